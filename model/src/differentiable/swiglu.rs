//! The gated activation of the feed-forward (arXiv 2002.05202).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::rows;
use super::vector::sigmoid;

/// `y = silu(gate) * up`, where every row of `gate_up` holds `gate` and then `up`.
///
/// `[rows, 2 * width]` to `[rows, width]`.
pub fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
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
        let mut out = vec![0.0; count * width];
        rows::for_each(&mut out, width, |row, out| {
            let (gate, up) = gate_up[row * columns..][..columns].split_at(width);
            for ((out, &gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate * sigmoid(gate) * up;
            }
        });
        Ok((CpuStorage::F32(out), (count, width).into()))
    }

    /// With s = sigmoid(gate): `dgate = dy up s (1 + gate (1 - s))` and `dup = dy gate s`.
    fn bwd(&self, gate_up: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (_, columns) = gate_up.dims2()?;
        let width = columns / 2;
        let (gate_up_values, dy_values) = (read(gate_up)?, read(&dy)?);
        let (gate_up_slice, dy_slice) = (&*gate_up_values, &*dy_values);
        let mut out = vec![0.0; gate_up_slice.len()];
        rows::for_each(&mut out, columns, |row, out| {
            let (gate, up) = gate_up_slice[row * columns..][..columns].split_at(width);
            let (dgate, dup) = out.split_at_mut(width);
            let dy = &dy_slice[row * width..][..width];
            for (((dgate, dup), (&gate, up)), dy) in
                dgate.iter_mut().zip(dup).zip(gate.iter().zip(up)).zip(dy)
            {
                let s = sigmoid(gate);
                *dgate = dy * up * s * (1.0 + gate * (1.0 - s));
                *dup = dy * gate * s;
            }
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

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};

    #[test]
    fn agrees_with_the_composed_form() {
        let x = random(&[70, 12], 1);
        let (gate, up) = (x.narrow(1, 0, 6).unwrap(), x.narrow(1, 6, 6).unwrap());
        check_close(
            &swiglu(&x).unwrap(),
            &(gate.silu().unwrap() * up).unwrap(),
            1e-6,
        );
        assert!(swiglu(&random(&[2, 5], 1)).is_err());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[4, 10], 2)], |v| swiglu(&v[0]));
    }
}
