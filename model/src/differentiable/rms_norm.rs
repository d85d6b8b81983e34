//! Root-mean-square normalisation of rows (arXiv 1910.07467).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::composed;
use crate::kernels::fill::filled;
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
        let (count, width) = matrix(l1)?;
        if weight.len() != width {
            bail!("rms-norm: {width} columns and {} weights", weight.len());
        }
        let (out, _) = filled(count, width, |first, out| {
            let x = &x[first * width..][..out.len()];
            rows::rms_norm(x, weight, self.epsilon, out);
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (count, width) = x.dims2()?;
        let (x_values, weight_values, dy_values) = (read(x)?, read(weight)?, read(&dy)?);
        let (x_slice, weight_slice, dy_slice) = (&*x_values, &*weight_values, &*dy_values);
        let (dx, partial) = filled(count, width, |first, dx| {
            let block = first * width..first * width + dx.len();
            let mut dweight = vec![0.0; width];
            let (x, dy) = (&x_slice[block.clone()], &dy_slice[block]);
            rms_norm_backward(x, weight_slice, self.epsilon, dy, dx, &mut dweight);
            dweight
        });
        let mut dweight = vec![0.0; width];
        for partial in partial {
            add(&mut dweight, &partial);
        }
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dweight, weight.shape(), x.device())?),
        ))
    }
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
