//! `AdamW` (arXiv 1711.05101) over plain slices: one pass over gradient, moments and values.

use rayon::prelude::*;

use crate::kernels::optimizer as kernel;

/// Numbers that one task takes; fixed, so that sums over blocks do not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// The constants of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Factor of the gradient, from clipping.
    pub scale: f32,
    /// What weight decay leaves of a value: `1 - learning rate * decay`.
    pub kept: f32,
    /// The learning rate, corrected for the first moment's start at zero.
    pub rate: f32,
    /// The second moment's correction for its start at zero.
    pub correction: f32,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// Updates `values` and both moments in place.
///
/// With `g = scale * gradient`: `m = beta_1 m + (1 - beta_1) g`, `v = beta_2 v + (1 - beta_2) g²`,
/// `value = kept * value - rate * m / (sqrt(v * correction) + epsilon)`.
///
/// # Panics
/// Where the four slices differ in length.
pub fn adamw(
    values: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: AdamWStep,
) {
    assert!(
        [gradient.len(), first.len(), second.len()] == [values.len(); 3],
        "a parameter, its gradient and its moments have one length"
    );
    let moments = first
        .par_chunks_mut(BLOCK)
        .zip(second.par_chunks_mut(BLOCK));
    values
        .par_chunks_mut(BLOCK)
        .zip(gradient.par_chunks(BLOCK))
        .zip(moments)
        .for_each(|((values, gradient), (first, second))| {
            kernel::adamw(values, gradient, first, second, step);
        });
}

/// Σ x², over fixed blocks that are added in order: the same bits for any number of threads.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let blocks: Vec<f64> = values
        .par_chunks(BLOCK)
        .map(kernel::sum_of_squares)
        .collect();
    blocks.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn updates_and_sums_equal_their_formulas(length in 0..50_000_usize, seed: u64) {
            let (values, gradient) = (test_values(length, seed), test_values(length, seed ^ 1));
            let first = test_values(length, seed ^ 2);
            let second: Vec<f32> = first.iter().map(|m| m * m + 0.1).collect();
            let step = AdamWStep {
                scale: 0.7,
                kept: 0.99,
                rate: 0.02,
                correction: 1.5,
                beta_1: 0.9,
                beta_2: 0.95,
                epsilon: 1e-8,
            };
            let (mut new, mut m, mut v) = (values.clone(), first.clone(), second.clone());
            adamw(&mut new, &gradient, &mut m, &mut v, step);
            for i in 0..length {
                let wide = |values: &[f32]| f64::from(values[i]);
                let g = 0.7 * wide(&gradient);
                let expected_m = 0.9 * wide(&first) + 0.1 * g;
                let expected_v = 0.95 * wide(&second) + 0.05 * g * g;
                let expected = 0.99 * wide(&values) - 0.02 * expected_m / ((1.5 * expected_v).sqrt() + 1e-8);
                prop_assert!((wide(&m) - expected_m).abs() < 1e-6);
                prop_assert!((wide(&v) - expected_v).abs() < 1e-6);
                prop_assert!((wide(&new) - expected).abs() < 1e-6);
            }
            let expected: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
            prop_assert!((sum_of_squares(&gradient) - expected).abs() <= 1e-12 * (1.0 + expected));
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let values = test_values(200_001, 1);
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool")
                .install(|| sum_of_squares(&values).to_bits())
        };
        assert_eq!(bits(1), bits(3));
    }
}
