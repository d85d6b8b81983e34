//! The optimizer's loops over a parameter's numbers.
#![expect(
    unsafe_code,
    reason = "functions compiled for detected instructions are called unsafely"
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
