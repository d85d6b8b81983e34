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

/// Updates `values` and both moments in place. All four have the same length.
///
/// With `g = scale * gradient`: `m = beta_1 m + (1 - beta_1) g`, `v = beta_2 v + (1 - beta_2) g²`,
/// `value = kept * value - rate * m / (sqrt(v * correction) + epsilon)`.
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
