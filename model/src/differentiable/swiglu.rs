//! The gated activation of the feed-forward (arXiv 2002.05202).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::composed;
use super::layers::Kept;
use crate::kernels::fill::{filled, filled_pair};
use crate::kernels::row_gradients::{round, swiglu_backward, widen};
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
        let out = forward(gate_up, columns / 2);
        Ok((CpuStorage::F32(out), (count, columns / 2).into()))
    }

    fn bwd(&self, gate_up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, columns) = gate_up.dims2()?;
        let dy = dy.contiguous()?;
        let kept = Kept::Full(read(gate_up)?.to_vec());
        let (dgate_up, _) = backward(&kept, columns / 2, &read(&dy)?);
        Ok(Some(Tensor::from_vec(
            dgate_up,
            gate_up.shape(),
            gate_up.device(),
        )?))
    }
}

fn forward(gate_up: &[f32], width: usize) -> Vec<f32> {
    let (out, _) = filled(gate_up.len() / (2 * width).max(1), width, |first, out| {
        let gate_up = &gate_up[2 * first * width..][..2 * out.len()];
        rows::swiglu(gate_up, width, out);
    });
    out
}

/// The result, and what the way back needs: all of `gate_up`, or half of its bits.
pub(super) fn forward_keeping(gate_up: Vec<f32>, width: usize, half: bool) -> (Vec<f32>, Kept) {
    if !half {
        return (forward(&gate_up, width), Kept::Full(gate_up));
    }
    let rows = gate_up.len() / (2 * width).max(1);
    let (out, rounded) = filled_pair(rows, (width, 2 * width), |first, out, rounded| {
        let gate_up = &gate_up[2 * first * width..][..rounded.len()];
        rows::swiglu(gate_up, width, out);
        round(gate_up, rounded);
    });
    (out, Kept::Half(rounded))
}

/// The gradient of `gate_up`, and what the way forward gave.
pub(super) fn backward(gate_up: &Kept, width: usize, dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let rows = dy.len() / width.max(1);
    filled_pair(rows, (2 * width, width), |first, gate_up_block, block| {
        let place = 2 * first * width;
        match gate_up {
            Kept::Full(values) => {
                gate_up_block.copy_from_slice(&values[place..][..gate_up_block.len()]);
            }
            Kept::Half(values) => widen(&values[place..][..gate_up_block.len()], gate_up_block),
        }
        block.copy_from_slice(&dy[first * width..][..block.len()]);
        swiglu_backward(gate_up_block, width, block);
    })
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
