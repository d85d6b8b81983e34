//! The ways back through operations on rows; the ways forward are in [`super::rows`].
#![expect(
    unsafe_code,
    reason = "functions compiled for detected instructions are called unsafely"
)]

use half::bf16;

use super::rows::{exp, sum_of, sum_of_products_of_three};
use super::simd::vectorised;

vectorised! {
    /// The way back through [`super::rows::rms_norm`] for some rows.
    ///
    /// With r = 1 / sqrt(mean(x²) + epsilon) and g = dy * weight: `dx += r g - x r³ (g · x) / width`, and
    /// `dweight += dy x r` over the rows. `rows` holds dy at first and the normalised rows in the end, as the product
    /// that reads them next needs them and they cost nothing more here.
    pub(crate) fn rms_norm_backward(
        x: &[f32],
        weight: &[f32],
        epsilon: f32,
        rows: &mut [f32],
        dx: &mut [f32],
        dweight: &mut [f32],
    ) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(rows.chunks_exact_mut(width)).zip(dx.chunks_exact_mut(width));
        for ((x, row), dx) in rows {
            let inverse = 1.0 / (sum_of(x, |x| x * x) / width as f32 + epsilon).sqrt();
            let along = sum_of_products_of_three(row, weight, x) * inverse * inverse * inverse / width as f32;
            let numbers = x.iter().zip(weight).zip(row.iter_mut().zip(dx)).zip(dweight.iter_mut());
            for (((&x, &weight), (row, dx)), dweight) in numbers {
                let normal = x * inverse;
                *dx += *row * weight * inverse - x * along;
                *dweight += *row * normal;
                *row = normal * weight;
            }
        }
    }
}

vectorised! {
    /// The way back through [`super::rows::swiglu`].
    ///
    /// With s = 1 / (1 + e^-gate): `dgate = dy up s (1 + gate (1 - s))` and `dup = dy gate s`.
    ///
    /// In place: `gate_up` becomes its gradient, and `rows`, which hold dy at first, become what the way forward gave.
    pub(crate) fn swiglu_backward(gate_up: &mut [f32], width: usize, rows: &mut [f32]) {
        for (pair, row) in gate_up.chunks_exact_mut(2 * width).zip(rows.chunks_exact_mut(width)) {
            let (gate, up) = pair.split_at_mut(width);
            for ((gate, up), row) in gate.iter_mut().zip(up).zip(row) {
                let s = 1.0 / (1.0 + exp(-*gate));
                let (silu, dy) = (*gate * s, *row);
                *row = silu * *up;
                *gate = dy * *up * s * (1.0 + *gate * (1.0 - s));
                *up = dy * silu;
            }
        }
    }
}

vectorised! {
    /// Rounds values to bfloat16.
    pub(crate) fn round(values: &[f32], out: &mut [bf16]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = bf16::from_f32(*value);
        }
    }
}

vectorised! {
    /// The values that rounded ones stand for.
    pub(crate) fn widen(values: &[bf16], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.to_f32();
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
