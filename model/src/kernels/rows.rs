//! Operations on single rows: norms, activations and softmax statistics.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions compiled for detected instructions are called unsafely"
    )
)]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

use super::simd::{multiply_add, vectorised};

/// Partial sums kept side by side, so that the compiler may use whole vectors without reordering anything.
const LANES: usize = 16;
/// Sums of exponentials are collected in f64 every so many values: a vocabulary is long enough for f32 to drift.
const EXPONENTIALS: usize = 1024;

/// e^x to about one unit in the last place, branch-free; 0 below -87, where f32 runs out of normal numbers.
///
/// Cephes' `expf`: reduction by a two-part ln 2, then a polynomial of degree 5. The library's own `exp` is a call,
/// which stops a loop from being vectorised.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = multiply_add(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add(n, 2.121_944_4e-4, multiply_add(n, -0.693_359_4, clamped));
    let mut p = 1.987_569_1e-4_f32;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = multiply_add(p, r, coefficient);
    }
    let value = multiply_add(p * r, r, r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { value * power }
}

/// The sum of `f` over `values`, in [`LANES`] strands.
#[inline(always)]
pub(crate) fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut strands = [0.0_f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail: f32 = chunks.remainder().iter().map(|&x| f(x)).sum();
    for chunk in chunks {
        for (strand, &x) in strands.iter_mut().zip(chunk) {
            *strand += f(x);
        }
    }
    strands.iter().sum::<f32>() + tail
}

/// The scalar product, in [`LANES`] strands.
#[inline(always)]
pub(crate) fn sum_of_products(left: &[f32], right: &[f32]) -> f32 {
    let ((left, left_rest), (right, right_rest)) =
        (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut strands = [0.0_f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            strands[lane] = multiply_add(left[lane], right[lane], strands[lane]);
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum();
    strands.iter().sum::<f32>() + rest
}

/// The sum of products of three, in [`LANES`] strands.
#[inline(always)]
pub(crate) fn sum_of_products_of_three(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest), (c, c_rest)) = (
        a.as_chunks::<LANES>(),
        b.as_chunks::<LANES>(),
        c.as_chunks::<LANES>(),
    );
    let mut strands = [0.0_f32; LANES];
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for lane in 0..LANES {
            strands[lane] = multiply_add(a[lane] * b[lane], c[lane], strands[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).zip(c_rest);
    strands.iter().sum::<f32>() + rest.map(|((a, b), c)| a * b * c).sum::<f32>()
}

#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let mut strands = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail = chunks
        .remainder()
        .iter()
        .fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    for chunk in chunks {
        for (strand, &x) in strands.iter_mut().zip(chunk) {
            *strand = if x > *strand { x } else { *strand };
        }
    }
    strands.iter().fold(tail, |a, &b| a.max(b))
}

vectorised! {
    /// `out = x / sqrt(mean(x²) + epsilon) * weight` for every row of `weight.len()` values (RMS norm, arXiv 1910.07467).
    pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = 1.0 / (sum_of(x, |x| x * x) / width as f32 + epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        }
    }
}

vectorised! {
    /// `SwiGLU`: `out = gate / (1 + e^-gate) * up` for rows that hold `width` gates followed by `width` ups.
    pub(crate) fn swiglu(gate_up: &[f32], width: usize, out: &mut [f32]) {
        for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + exp(-gate)) * up;
            }
        }
    }
}

vectorised! {
    /// ln Σ e^x.
    pub(crate) fn log_sum_exp(values: &[f32]) -> f32 {
        let maximum = maximum(values);
        let sum: f64 = values.chunks(EXPONENTIALS).map(|part| f64::from(sum_of(part, |x| exp(x - maximum)))).sum();
        maximum + sum.ln() as f32
    }
}

vectorised! {
    /// `out = e^((x - shift) * scale)`; returns the sum.
    pub(crate) fn scaled_exponentials(x: &[f32], shift: f32, scale: f32, out: &mut [f32]) -> f64 {
        let mut total = 0.0;
        for (x, out) in x.chunks(EXPONENTIALS).zip(out.chunks_mut(EXPONENTIALS)) {
            for (out, x) in out.iter_mut().zip(x) {
                *out = exp((x - shift) * scale);
            }
            total += f64::from(sum_of(out, |x| x));
        }
        total
    }
}

/// One row of attention scores turned into weights against a running maximum; see [`super::attention`].
///
/// Returns the new maximum and the sum of the weights. Values at `valid` and beyond become 0.
#[inline(always)]
pub(crate) fn score_weights(scores: &mut [f32], valid: usize, previous_maximum: f32) -> (f32, f32) {
    for score in &mut scores[valid..] {
        *score = f32::NEG_INFINITY;
    }
    let maximum = maximum(scores).max(previous_maximum);
    for score in scores.iter_mut() {
        *score = exp(*score - maximum);
    }
    (maximum, sum_of(scores, |x| x))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;
    use crate::kernels::simd::on_every_path;

    #[test]
    fn exponentials_are_close_to_the_librarys_over_the_whole_range() {
        let mut x: Vec<f32> = (-8700..8800).map(|i| i as f32 / 100.0).collect();
        x.extend([f32::NEG_INFINITY, -90.0]);
        on_every_path(|instructions| {
            let mut out = vec![f32::NAN; x.len()];
            scaled_exponentials(&x, 0.0, 1.0, &mut out);
            for (&x, &found) in x.iter().zip(&out[..17_500]) {
                let expected = f64::from(x).exp();
                let error = (f64::from(found) - expected).abs() / expected;
                assert!(error < 3e-7, "{instructions:?}: exp({x}) is off by {error}");
            }
            assert_eq!(out[17_500..], [0.0, 0.0], "{instructions:?}");
            assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
        });
    }

    #[test]
    fn log_sum_exp_of_a_long_row_does_not_drift() {
        let values: Vec<f32> = test_values(49_153, 1).iter().map(|x| x * 30.0).collect();
        let expected = values.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        on_every_path(|instructions| {
            let found = log_sum_exp(&values);
            assert!(
                (f64::from(found) - expected).abs() < 1e-5,
                "{instructions:?}: {found} instead of {expected}"
            );
        });
    }

    #[track_caller]
    fn assert_near(found: &[f32], expected: &[f64], what: impl std::fmt::Debug) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{what:?}, place {place}: {found} instead of {expected}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn operations_on_rows_equal_their_formulas(rows in 1..5_usize, width in 1..90_usize, seed: u64) {
            let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
            let (x, weight) = (test_values(rows * width, seed), test_values(width, seed ^ 1));
            let normal: Vec<f64> = wide(&x)
                .chunks(width)
                .flat_map(|row| {
                    let mean = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
                    let scaled = row.iter().map(move |x| x / (mean + 1e-5).sqrt());
                    scaled.zip(wide(&weight)).map(|(x, weight)| x * weight).collect::<Vec<_>>()
                })
                .collect();
            let gate_up: Vec<f32> = test_values(2 * rows * width, seed ^ 2).iter().map(|x| x * 9.0).collect();
            let activated: Vec<f64> = wide(&gate_up)
                .chunks(2 * width)
                .flat_map(|row| {
                    let (gate, up) = row.split_at(width);
                    let pairs = gate.iter().zip(up);
                    pairs.map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect::<Vec<_>>()
                })
                .collect();
            let powers: Vec<f64> = wide(&x).iter().map(|x| ((x - 0.25) * 3.0).exp()).collect();
            let total: f64 = powers.iter().sum();
            let log_sum: f64 = wide(&x).iter().map(|x| x.exp()).sum::<f64>().ln();
            on_every_path(|instructions| {
                let mut out = vec![f32::NAN; rows * width];
                rms_norm(&x, &weight, 1e-5, &mut out);
                assert_near(&out, &normal, instructions);
                swiglu(&gate_up, width, &mut out);
                assert_near(&out, &activated, instructions);
                let sum = scaled_exponentials(&x, 0.25, 3.0, &mut out);
                assert_near(&out, &powers, instructions);
                assert!((sum / total - 1.0).abs() < 3e-6, "{instructions:?}: {sum} instead of {total}");
                assert_near(&[log_sum_exp(&x)], &[log_sum], instructions);
            });
        }
    }

    #[test]
    fn score_weights_ignores_what_is_not_valid() {
        let mut scores = [1.0, 2.0, 50.0, f32::NAN];
        let (maximum, sum) = score_weights(&mut scores, 2, 1.5);
        assert_eq!(maximum.to_bits(), 2.0_f32.to_bits());
        assert_eq!(scores[2..], [0.0, 0.0]);
        assert!((sum - (1.0 + (-1.0_f32).exp())).abs() < 1e-6);
    }
}
