//! Seeded dropout.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::access::{matrix, read, values};
use super::composed;
use crate::kernels::fill::filled;
use crate::kernels::row_gradients::mask;

/// Sets each number of a matrix to zero with probability `share` and scales the rest by `1 / (1 - share)`, so that sums
/// keep their mean. `seed` alone decides which: the same seed drops the same places.
pub fn dropout(x: &Tensor, share: f32, seed: u64) -> Result<Tensor> {
    if share <= 0.0 {
        return Ok(x.clone());
    }
    if !x.device().is_cpu() {
        return composed::dropout(x, share, seed);
    }
    x.contiguous()?.apply_op1(Dropout { share, seed })
}

/// The mask is drawn on the way back as well rather than kept: that is cheaper than memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropout {
    pub(super) share: f32,
    pub(super) seed: u64,
}

impl Dropout {
    pub(super) fn masked(&self, x: &[f32], rows: usize, width: usize) -> Vec<f32> {
        let threshold = (f64::from(self.share) * 2f64.powi(32)) as u64;
        let kept = 1.0 / (1.0 - self.share);
        let (out, _) = filled(rows, width, |first, out| {
            let first = first * width;
            let x = &x[first..][..out.len()];
            mask(x, self.seed, first as u64, threshold, kept, out);
        });
        out
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = matrix(layout)?;
        let out = self.masked(values(storage, layout)?, rows, width);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (rows, width) = x.dims2()?;
        let dx = self.masked(&read(&dy)?, rows, width);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use candle_core::{DType, Device};

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};

    #[test]
    fn drops_the_share_and_keeps_the_mean() {
        let ones = Tensor::ones((100, 200), DType::F32, &Device::Cpu).unwrap();
        let dropped = dropout(&ones, 0.25, 7).unwrap();
        let values = dropped.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let zeros = values.iter().filter(|value| **value == 0.0).count();
        assert!((4_700..5_300).contains(&zeros), "{zeros} of 20000 dropped");
        let mean = dropped.mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 1.0).abs() < 0.02);
        check_close(&dropped, &dropout(&ones, 0.25, 7).unwrap(), 0.0);
        let other = dropout(&ones, 0.25, 8).unwrap().flatten_all().unwrap();
        assert_ne!(values, other.to_vec1::<f32>().unwrap());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[4, 6], 1)], |v| dropout(&v[0], 0.5, 3));
    }
}
