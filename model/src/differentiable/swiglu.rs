//! The gated activation of the feed-forward (arXiv 2002.05202).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::composed;
use crate::kernels::fill::filled;
use crate::kernels::row_gradients::swiglu_backward;
use crate::kernels::rows;

/// `y = silu(gate) * up`, where every row of `gate_up` holds `gate` and then `up`.
///
/// `[rows, 2 * width]` to `[rows, width]`.
pub fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
    if !gate_up.device().is_cpu() {
        return composed::swiglu(gate_up);
    }
    gate_up.contiguous()?.apply_op1(SwiGlu)
}

struct SwiGlu;

impl CustomOp1 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let gate_up = values(storage, layout)?;
        let (count, columns) = matrix(layout)?;
        if columns % 2 != 0 {
            bail!("swiglu: {columns} columns are no pair");
        }
        let width = columns / 2;
        let (out, _) = filled(count, width, |first, out| {
            let gate_up = &gate_up[first * columns..][..2 * out.len()];
            rows::swiglu(gate_up, width, out);
        });
        Ok((CpuStorage::F32(out), (count, width).into()))
    }

    fn bwd(&self, gate_up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (count, columns) = gate_up.dims2()?;
        let width = columns / 2;
        let (gate_up_values, dy_values) = (read(gate_up)?, read(&dy)?);
        let (gate_up_slice, dy_slice) = (&*gate_up_values, &*dy_values);
        let (out, _) = filled(count, columns, |first, out| {
            let gate_up = &gate_up_slice[first * columns..][..out.len()];
            let dy = &dy_slice[first * width..][..out.len() / 2];
            swiglu_backward(gate_up, width, dy, out);
        });
        Ok(Some(Tensor::from_vec(
            out,
            gate_up.shape(),
            gate_up.device(),
        )?))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::differentiable::test_support::{check_gradients, check_same, random};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn agrees_with_the_composed_form(rows in 1..200_usize, width in 1..70_usize, seed: u64) {
            let x = (random(&[rows, 2 * width], seed) * 8.0).unwrap();
            check_same(&[x], 1e-5, |v| swiglu(&v[0]), |v| composed::swiglu(&v[0]));
        }
    }

    #[test]
    fn columns_that_are_no_pair_are_refused() {
        assert!(swiglu(&random(&[2, 5], 1)).is_err());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[4, 10], 2)], |v| swiglu(&v[0]));
    }
}
