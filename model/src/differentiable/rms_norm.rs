//! Root-mean-square normalisation of rows (arXiv 1910.07467).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::{rows, vector};

/// `y = weight * x / sqrt(mean(x^2) + epsilon)`, row by row.
///
/// `x` is `[rows, width]`, `weight` is `[width]`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    x.contiguous()?.apply_op2(weight, RmsNorm { epsilon })
}

struct RmsNorm {
    epsilon: f32,
}

impl RmsNorm {
    fn inverse(&self, x: &[f32]) -> f32 {
        1.0 / (vector::dot(x, x) / x.len() as f32 + self.epsilon).sqrt()
    }
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
        let mut out = vec![0.0; x.len()];
        rows::for_each(&mut out, width, |row, out| {
            let x = &x[row * width..][..width];
            let inverse = self.inverse(x);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * weight;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    /// With r = 1 / sqrt(mean(x^2) + epsilon) and g = dy * weight:
    /// `dx = r g - x r^3 (g . x) / width` and `dweight = sum over rows of dy x r`.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let width = weight.elem_count();
        let (x_values, weight_values, dy_values) = (read(x)?, read(weight)?, read(&dy)?);
        let (x_slice, weight_slice, dy_slice) = (&*x_values, &*weight_values, &*dy_values);
        let mut dx = vec![0.0; x_slice.len()];
        let dweight = rows::for_each_summing(&mut dx, width, width, |row, dx, dweight| {
            let (x, dy) = (
                &x_slice[row * width..][..width],
                &dy_slice[row * width..][..width],
            );
            let inverse = self.inverse(x);
            for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight_slice) {
                *dx = dy * weight;
            }
            let along = vector::dot(dx, x) * inverse * inverse * inverse / width as f32;
            for ((dx, x), (dy, dweight)) in dx.iter_mut().zip(x).zip(dy.iter().zip(dweight)) {
                *dx = *dx * inverse - x * along;
                *dweight += dy * x * inverse;
            }
        });
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dweight, weight.shape(), x.device())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};

    #[test]
    fn agrees_with_the_composed_form() {
        let (x, weight) = (random(&[130, 24], 1), random(&[24], 2));
        let mean = x.sqr().unwrap().mean_keepdim(1).unwrap();
        let scale = (mean + 1e-5).unwrap().sqrt().unwrap();
        let composed = x
            .broadcast_div(&scale)
            .unwrap()
            .broadcast_mul(&weight)
            .unwrap();
        check_close(&rms_norm(&x, &weight, 1e-5).unwrap(), &composed, 1e-5);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[5, 8], 3), random(&[8], 4)], |v| {
            rms_norm(&v[0], &v[1], 1e-3)
        });
    }
}
