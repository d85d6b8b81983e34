//! The optimizer's loops over a parameter's numbers.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions compiled for detected instructions are called unsafely"
    )
)]

use super::simd::vectorised;
use crate::optimizer::AdamWStep;

/// Squares that are summed side by side.
const LANES: usize = 16;

vectorised! {
    /// Σ x², in f64: a gradient's squares differ by more than f32 can hold side by side.
    pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
        let (chunks, rest) = values.as_chunks::<LANES>();
        let mut strands = [0.0_f64; LANES];
        for chunk in chunks {
            for (strand, &x) in strands.iter_mut().zip(chunk) {
                *strand += f64::from(x) * f64::from(x);
            }
        }
        strands.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
    }
}

vectorised! {
    /// One update of some numbers of a parameter; see [`crate::optimizer::adamw`].
    pub(crate) fn adamw(values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: AdamWStep) {
        let AdamWStep { scale, kept, rate, correction, beta_1, beta_2, epsilon } = step;
        let moments = first.iter_mut().zip(second);
        for ((value, gradient), (m, v)) in values.iter_mut().zip(gradient).zip(moments) {
            let gradient = gradient * scale;
            *m = beta_1 * *m + (1.0 - beta_1) * gradient;
            *v = beta_2 * *v + (1.0 - beta_2) * gradient * gradient;
            let spread = (*v * correction).sqrt() + epsilon;
            *value = *value * kept - rate * *m / spread;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;
    use crate::kernels::simd::on_every_path;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn an_update_equals_its_formula_for_any_number_of_values(count in 0..200_usize, seed: u64) {
            let [values, gradient, first] = [0, 1, 2].map(|part| test_values(count, seed ^ part));
            let second: Vec<f32> = test_values(count, seed ^ 3).iter().map(|x| x.abs()).collect();
            let step = AdamWStep {
                scale: 0.7,
                kept: 0.99,
                rate: 0.02,
                correction: 1.5,
                beta_1: 0.9,
                beta_2: 0.95,
                epsilon: 1e-8,
            };
            let squares: f64 = gradient.iter().map(|x| f64::from(*x).powi(2)).sum();
            on_every_path(|instructions| {
                let sum = sum_of_squares(&gradient);
                assert!((sum - squares).abs() <= 1e-12 * squares, "{instructions:?}: {sum} instead of {squares}");
                let [mut new, mut m, mut v] = [&values, &first, &second].map(Vec::clone);
                adamw(&mut new, &gradient, &mut m, &mut v, step);
                for i in 0..count {
                    let [value, gradient, m_before, v_before] =
                        [values[i], 0.7 * gradient[i], first[i], second[i]].map(f64::from);
                    let mean = 0.9 * m_before + 0.1 * gradient;
                    let spread = 0.95 * v_before + 0.05 * gradient * gradient;
                    let moved = value * 0.99 - 0.02 * mean / ((spread * 1.5).sqrt() + 1e-8);
                    for (found, expected) in [(m[i], mean), (v[i], spread), (new[i], moved)] {
                        assert!(
                            (f64::from(found) - expected).abs() < 3e-6 * (1.0 + expected.abs()),
                            "{instructions:?}, value {i} of {count}: {found} instead of {expected}"
                        );
                    }
                }
            });
        }
    }
}
