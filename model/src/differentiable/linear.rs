//! Matrix products.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, values};
use super::vector;

/// `x weight^T`: `[rows, in]` times `[out, in]` gives `[rows, out]`.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.apply_op2(weight, Linear)
}

/// `residual + x weight^T`, in one pass; `residual` is `[rows, out]`.
pub fn linear_add(residual: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.apply_op3(weight, residual, LinearAdd)
}

struct Linear;

struct LinearAdd;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        product(s1, l1, s2, l2)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dweight) = backward(x, weight, dy)?;
        Ok((Some(dx), Some(dweight)))
    }
}

impl CustomOp3 for LinearAdd {
    fn name(&self) -> &'static str {
        "linear-add"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (mut out, shape) = product(s1, l1, s2, l2)?;
        let residual = values(s3, l3)?;
        if shape.dims() != l3.dims() {
            bail!(
                "linear-add: a product of {shape:?} and a residual of {:?}",
                l3.shape()
            );
        }
        if let CpuStorage::F32(out) = &mut out {
            vector::add(out, residual);
        }
        Ok((out, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _residual: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dweight) = backward(x, weight, dy)?;
        Ok((Some(dx), Some(dweight), Some(dy.clone())))
    }
}

fn product(
    s1: &CpuStorage,
    l1: &Layout,
    s2: &CpuStorage,
    l2: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let ((rows, inner), (out, expected)) = (matrix(l1)?, matrix(l2)?);
    if inner != expected {
        bail!("linear: rows of {inner} and a weight of [{out}, {expected}]");
    }
    let product = s1.matmul(s2, (1, rows, out, inner), l1, &l2.transpose(0, 1)?)?;
    Ok((product, (rows, out).into()))
}

/// `dx = dy weight` and `dweight = dy^T x`. The arguments are detached: a product of tracked tensors would grow a
/// graph that nobody walks.
fn backward(x: &Tensor, weight: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    Ok((dy.matmul(&weight.detach())?, dy.t()?.matmul(&x.detach())?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};

    #[test]
    fn agrees_with_candle() {
        let (x, weight, residual) = (random(&[9, 5], 1), random(&[4, 5], 2), random(&[9, 4], 3));
        let product = x.matmul(&weight.t().unwrap()).unwrap();
        check_close(&linear(&x, &weight).unwrap(), &product, 1e-6);
        let sum = (product + &residual).unwrap();
        check_close(&linear_add(&residual, &x, &weight).unwrap(), &sum, 1e-6);
        assert!(linear(&x, &random(&[4, 6], 4)).is_err());
        assert!(linear_add(&x, &x, &weight).is_err());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[6, 5], 4), random(&[3, 5], 5)], |v| {
            linear(&v[0], &v[1])
        });
        check_gradients(
            &[random(&[6, 3], 6), random(&[6, 5], 7), random(&[3, 5], 8)],
            |v| linear_add(&v[0], &v[1], &v[2]),
        );
    }
}
