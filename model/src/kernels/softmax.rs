//! The passes over one row of logits that a softmax and its gradient are made of.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions compiled for detected instructions are called unsafely"
    )
)]

use super::rows::{exp, sum_of};
use super::simd::vectorised;

/// Sums are carried on in f64 every so many values: a vocabulary is long enough for f32 to drift.
const PART: usize = 1024;

vectorised! {
    /// Replaces every x by e^(x - shift) and returns their sum. A value that is not a number makes the sum one that is
    /// not, so that a diverged run is seen.
    pub(crate) fn exponentials(values: &mut [f32], shift: f32) -> f64 {
        let mut total = 0.0;
        for part in values.chunks_mut(PART) {
            for value in part.iter_mut() {
                *value = exp(*value - shift);
            }
            total += f64::from(sum_of(part, |x| x));
        }
        total
    }
}

vectorised! {
    /// The sum of all values.
    pub(crate) fn sum(values: &[f32]) -> f64 {
        values.chunks(PART).map(|part| f64::from(sum_of(part, |x| x))).sum()
    }
}

vectorised! {
    /// The largest value; what is not a number is passed over.
    pub(crate) fn maximum(values: &[f32]) -> f32 {
        super::rows::maximum(values)
    }
}

vectorised! {
    /// Multiplies every value by `factor`.
    pub(crate) fn scale(values: &mut [f32], factor: f32) {
        for value in values {
            *value *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;
    use crate::kernels::simd::on_every_path;

    fn check(length: usize, seed: u64) {
        let logits: Vec<f32> = test_values(length, seed).iter().map(|x| x * 9.0).collect();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let expected: Vec<f64> = logits
            .iter()
            .map(|x| (f64::from(*x) - f64::from(largest)).exp())
            .collect();
        on_every_path(|instructions| {
            assert_eq!(maximum(&logits).to_bits(), largest.to_bits());
            let mut row = logits.clone();
            let total = exponentials(&mut row, largest);
            assert!(
                (total / expected.iter().sum::<f64>() - 1.0).abs() < 1e-6,
                "{instructions:?}: the sum is {total}"
            );
            assert!((sum(&row) - total).abs() < 1e-9 * total);
            scale(&mut row, 0.5);
            for (found, expected) in row.iter().zip(&expected) {
                assert!(
                    (f64::from(*found) - 0.5 * expected).abs() < 1e-6,
                    "{instructions:?}: {found} instead of half of {expected}"
                );
            }
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn passes_equal_their_definitions_for_any_length(
            length in prop_oneof![1..100_usize, 1020..1060_usize, Just(5003)],
            seed: u64,
        ) {
            check(length, seed);
        }
    }

    #[test]
    fn what_is_not_a_number_reaches_the_sum() {
        on_every_path(|instructions| {
            for place in [0, 3, 40, 76] {
                let mut row = test_values(77, 1);
                row[place] = f32::NAN;
                let shift = maximum(&row);
                assert!(
                    exponentials(&mut row, shift).is_nan(),
                    "{instructions:?}: NaN at {place} is hidden"
                );
            }
        });
    }
}
