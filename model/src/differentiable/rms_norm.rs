//! Root-mean-square normalisation of rows (arXiv 1910.07467).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::access::{matrix, read, values};
use super::composed;
use crate::kernels::fill::{ROWS, filled};
use crate::kernels::row_gradients::{add, rms_norm_backward};
use crate::kernels::rows;

/// `y = weight * x / sqrt(mean(x^2) + epsilon)`, row by row.
///
/// `x` is `[rows, width]`, `weight` is `[width]`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::rms_norm(x, weight, epsilon);
    }
    x.contiguous()?.apply_op2(weight, RmsNorm { epsilon })
}

struct RmsNorm {
    epsilon: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (values(s1, l1)?, values(s2, l2)?);
        let (_, width) = matrix(l1)?;
        if weight.len() != width {
            bail!("rms-norm: {width} columns and {} weights", weight.len());
        }
        let out = forward(x, weight, self.epsilon);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let values = read(x)?;
        let mut rows = read(&dy.contiguous()?)?.to_vec();
        let mut dx = vec![0.0; rows.len()];
        let dweight = backward(&values, &read(weight)?, self.epsilon, &mut rows, &mut dx);
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dweight, weight.shape(), x.device())?),
        ))
    }
}

/// The rows of `x`, normalised.
pub(super) fn forward(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    let (out, _) = filled(x.len() / width.max(1), width, |first, out| {
        let x = &x[first * width..][..out.len()];
        rows::rms_norm(x, weight, epsilon, out);
    });
    out
}

/// Adds the gradient of `x` to `dx` and returns that of the weight. `rows` hold the gradient of the result at first, and
/// then the result.
pub(super) fn backward(
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    rows: &mut [f32],
    dx: &mut [f32],
) -> Vec<f32> {
    let width = weight.len();
    let block = ROWS * width.max(1);
    let partial: Vec<Vec<f32>> = x
        .par_chunks(block)
        .zip(rows.par_chunks_mut(block).zip(dx.par_chunks_mut(block)))
        .map(|(x, (rows, dx))| {
            let mut dweight = vec![0.0; width];
            rms_norm_backward(x, weight, epsilon, rows, dx, &mut dweight);
            dweight
        })
        .collect();
    let mut dweight = vec![0.0; width];
    for partial in partial {
        add(&mut dweight, &partial);
    }
    dweight
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::differentiable::test_support::{check_gradients, check_same, random};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn agrees_with_the_composed_form(rows in 1..200_usize, width in 1..100_usize, seed: u64) {
            check_same(
                &[random(&[rows, width], seed), random(&[width], seed ^ 1)],
                1e-4,
                |v| rms_norm(&v[0], &v[1], 1e-3),
                |v| composed::rms_norm(&v[0], &v[1], 1e-3),
            );
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[5, 8], 3), random(&[8], 4)], |v| {
            rms_norm(&v[0], &v[1], 1e-3)
        });
    }
}
