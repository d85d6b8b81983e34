//! The ways back through operations on rows; the ways forward are in [`super::rows`].
#![expect(
    unsafe_code,
    reason = "functions compiled for detected instructions are called unsafely"
)]

use super::rows::{exp, sum_of, sum_of_products};
use super::simd::vectorised;

vectorised! {
    /// The way back through [`super::rows::rms_norm`] for some rows.
    ///
    /// With r = 1 / sqrt(mean(x²) + epsilon) and g = dy * weight: `dx = r g - x r³ (g · x) / width`, and
    /// `dweight += dy x r` over the rows.
    pub(crate) fn rms_norm_backward(
        x: &[f32],
        weight: &[f32],
        epsilon: f32,
        dy: &[f32],
        dx: &mut [f32],
        dweight: &mut [f32],
    ) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for ((x, dy), dx) in rows {
            let inverse = 1.0 / (sum_of(x, |x| x * x) / width as f32 + epsilon).sqrt();
            for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight) {
                *dx = dy * weight;
            }
            let along = sum_of_products(dx, x) * inverse * inverse * inverse / width as f32;
            for ((dx, x), (dy, dweight)) in dx.iter_mut().zip(x).zip(dy.iter().zip(dweight.iter_mut())) {
                *dx = *dx * inverse - x * along;
                *dweight += dy * x * inverse;
            }
        }
    }
}

vectorised! {
    /// The way back through [`super::rows::swiglu`].
    ///
    /// With s = 1 / (1 + e^-gate): `dgate = dy up s (1 + gate (1 - s))` and `dup = dy gate s`.
    pub(crate) fn swiglu_backward(gate_up: &[f32], width: usize, dy: &[f32], dgate_up: &mut [f32]) {
        let rows = gate_up.chunks_exact(2 * width).zip(dgate_up.chunks_exact_mut(2 * width)).zip(dy.chunks_exact(width));
        for ((row, out), dy) in rows {
            let ((gate, up), (dgate, dup)) = (row.split_at(width), out.split_at_mut(width));
            for (((dgate, dup), (&gate, up)), dy) in dgate.iter_mut().zip(dup).zip(gate.iter().zip(up)).zip(dy) {
                let s = 1.0 / (1.0 + exp(-gate));
                *dgate = dy * up * s * (1.0 + gate * (1.0 - s));
                *dup = dy * gate * s;
            }
        }
    }
}

vectorised! {
    /// `out += values`.
    pub(crate) fn add(out: &mut [f32], values: &[f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out += value;
        }
    }
}

vectorised! {
    /// `out = x * mask`, where the mask is 0 with the probability `threshold` / 2³² and `kept` otherwise.
    ///
    /// The mask of number `first + i` is drawn from `SplitMix64`'s state of that number after `seed`: a generator that
    /// counts, so that places can be drawn in any order, and again on the way back.
    pub(crate) fn mask(x: &[f32], seed: u64, first: u64, threshold: u64, kept: f32, out: &mut [f32]) {
        for (place, (out, x)) in (first..).zip(out.iter_mut().zip(x)) {
            let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            *out = x * if z >> 32 < threshold { 0.0 } else { kept };
        }
    }
}
