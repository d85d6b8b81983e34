//! The ways back through operations on rows; the ways forward are in [`super::rows`].
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

use half::bf16;

use super::rows::{exp, sum_of, sum_of_products_of_three};
use super::simd::vectorised;

/// Numbers that are computed side by side: a vector of the widest registers.
const LANES: usize = 16;

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
            let (gates, ups) = pair.split_at_mut(width);
            let (gates, gates_rest) = gates.as_chunks_mut::<LANES>();
            let (ups, ups_rest) = ups.as_chunks_mut::<LANES>();
            let (row, row_rest) = row.as_chunks_mut::<LANES>();
            for ((gate, up), row) in gates.iter_mut().zip(ups).zip(row) {
                // Copies, which the compiler knows to lie apart: it takes no vectors otherwise.
                let (mut dgate, mut dup, mut result) = (*gate, *up, *row);
                for lane in 0..LANES {
                    (dgate[lane], dup[lane], result[lane]) = swiglu_gradients(dgate[lane], dup[lane], result[lane]);
                }
                (*gate, *up, *row) = (dgate, dup, result);
            }
            for ((gate, up), row) in gates_rest.iter_mut().zip(ups_rest).zip(row_rest) {
                (*gate, *up, *row) = swiglu_gradients(*gate, *up, *row);
            }
        }
    }
}

/// The gradients of a gate and an up, and the result of both.
#[inline(always)]
fn swiglu_gradients(gate: f32, up: f32, dy: f32) -> (f32, f32, f32) {
    let s = 1.0 / (1.0 + exp(-gate));
    let silu = gate * s;
    (dy * up * s * (1.0 + gate * (1.0 - s)), dy * silu, silu * up)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;
    use crate::kernels::simd::{InstructionSet, on_every_path, with_instructions};

    const EPSILON: f32 = 1e-5;

    /// The slope of `f` in argument `place`, by a central difference in f64.
    fn slope(arguments: &[f64], place: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
        let at = |step: f64| {
            let mut arguments = arguments.to_vec();
            arguments[place] += step;
            f(&arguments)
        };
        (at(1e-5) - at(-1e-5)) / 2e-5
    }

    #[track_caller]
    fn assert_near(found: &[f32], expected: &[f64], what: impl std::fmt::Debug) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (f64::from(*found) - expected).abs() < 2e-5 * (1.0 + expected.abs()),
                "{what:?}, place {place}: {found} instead of {expected}"
            );
        }
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().copied().map(f64::from).collect()
    }

    fn norm(x: &[f64], weight: &[f64]) -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let root = (mean + f64::from(EPSILON)).sqrt();
        x.iter()
            .zip(weight)
            .map(|(x, weight)| x / root * weight)
            .collect()
    }

    fn dot(left: &[f64], right: &[f64]) -> f64 {
        left.iter()
            .zip(right)
            .map(|(left, right)| left * right)
            .sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_way_back_through_a_norm_is_its_slope(rows in 1..4_usize, width in 1..70_usize, seed: u64) {
            let [mut x, dy, dx] = [0, 1, 2].map(|part| test_values(rows * width, seed ^ part));
            // A row of small numbers is scaled up by the norm, and its rounding with it.
            for x in &mut x {
                *x += x.signum() / 2.0;
            }
            let weight = test_values(width, seed ^ 3);
            let weights = wide(&weight);
            let (mut normal, mut expected_dx, mut expected_dweight) = (Vec::new(), wide(&dx), vec![0.5; width]);
            let row_pairs = x.chunks(width).zip(dy.chunks(width));
            for ((x, dy), dx) in row_pairs.zip(expected_dx.chunks_mut(width)) {
                let (x, dy) = (wide(x), wide(dy));
                normal.extend(norm(&x, &weights));
                for i in 0..width {
                    dx[i] += slope(&x, i, |x| dot(&dy, &norm(x, &weights)));
                    expected_dweight[i] += slope(&weights, i, |weights| dot(&dy, &norm(&x, weights)));
                }
            }
            on_every_path(|instructions| {
                let (mut row, mut dx, mut dweight) = (dy.clone(), dx.clone(), vec![0.5; width]);
                rms_norm_backward(&x, &weight, EPSILON, &mut row, &mut dx, &mut dweight);
                assert_near(&row, &normal, instructions);
                assert_near(&dweight, &expected_dweight, instructions);
                assert_near(&dx, &expected_dx, instructions);
            });
        }

        #[test]
        fn the_way_back_through_an_activation_is_its_slope(rows in 1..4_usize, width in 1..70_usize, seed: u64) {
            let gate_up: Vec<f32> = test_values(2 * rows * width, seed).iter().map(|x| x * 6.0).collect();
            let dy = test_values(rows * width, seed ^ 1);
            let activation = |pair: &[f64]| pair[0] / (1.0 + (-pair[0]).exp()) * pair[1];
            let (mut forward, mut expected) = (vec![0.0; rows * width], vec![0.0; 2 * rows * width]);
            for (row, dy) in dy.chunks(width).enumerate() {
                for (i, dy) in wide(dy).into_iter().enumerate() {
                    let places = [2 * row * width + i, (2 * row + 1) * width + i];
                    let pair = places.map(|place| f64::from(gate_up[place]));
                    forward[row * width + i] = activation(&pair);
                    for (argument, place) in places.into_iter().enumerate() {
                        expected[place] = dy * slope(&pair, argument, activation);
                    }
                }
            }
            on_every_path(|instructions| {
                let (mut gradient, mut rows) = (gate_up.clone(), dy.clone());
                swiglu_backward(&mut gradient, width, &mut rows);
                assert_near(&gradient, &expected, instructions);
                assert_near(&rows, &forward, instructions);
            });
        }

        #[test]
        fn what_is_exact_is_so_on_every_path(count in 0..200_usize, first in 0..1_000_000_u64, seed: u64) {
            let mut values = test_values(count, seed);
            let special = [f32::NAN, f32::INFINITY, f32::MAX, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1e-40];
            for (value, special) in values.iter_mut().zip(special) {
                *value = special;
            }
            let masked = |x: &[f32], first| {
                let mut out = vec![f32::NAN; x.len()];
                mask(x, seed, first, 1 << 31, 2.0, &mut out);
                out
            };
            let ones = vec![1.0; count];
            let expected_mask = with_instructions(InstructionSet::Portable, || masked(&ones, first));
            on_every_path(|instructions| {
                let mut rounded = vec![bf16::ZERO; count];
                round(&values, &mut rounded);
                let mut widened = vec![0.0; count];
                widen(&rounded, &mut widened);
                let mut sums = values.clone();
                add(&mut sums, &ones);
                for (i, value) in values.iter().enumerate() {
                    assert_eq!(rounded[i].to_bits(), bf16::from_f32(*value).to_bits(), "{instructions:?}: {value}");
                    assert_eq!(widened[i].to_bits(), rounded[i].to_f32().to_bits());
                    assert!(sums[i].to_bits() == (value + 1.0).to_bits() || value.is_nan());
                }
                let mask = masked(&ones, first);
                assert_eq!(mask, expected_mask, "{instructions:?}");
                // Where a text is cut does not change what is masked.
                let cut = count / 3;
                assert_eq!(masked(&ones[cut..], first + cut as u64), mask[cut..]);
            });
        }
    }
}
