//! Matrix products.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Error, Layout, Result, Shape, Tensor, bail};

use super::Gradients;
use super::access::{Values, matrix, read, values};
use crate::Precision;
use crate::kernels::product::{self, Arithmetic, View};

/// `x weight^T`: `[rows, in]` times `[out, in]` gives `[rows, out]`.
///
/// Products, those of the gradients included, are computed in `precision`. A weight that is no variable (nor computed
/// from one) is frozen: no gradient of it is computed.
pub fn linear(x: &Tensor, weight: &Tensor, precision: Precision) -> Result<Tensor> {
    let op = Linear(precision.arithmetic().map_err(Error::wrap)?);
    x.contiguous()?.apply_op2(weight, op)
}

/// `residual + x weight^T`, in one pass; `residual` is `[rows, out]`. Otherwise like [`linear`].
pub fn linear_add(
    residual: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    precision: Precision,
) -> Result<Tensor> {
    let op = LinearAdd(precision.arithmetic().map_err(Error::wrap)?);
    x.contiguous()?
        .apply_op3(weight, &residual.contiguous()?, op)
}

struct Linear(Arithmetic);

struct LinearAdd(Arithmetic);

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
        forward(self.0, (s1, l1), (s2, l2), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(self.0, x, weight, dy)
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
        forward(self.0, (s1, l1), (s2, l2), Some((s3, l3)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _residual: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dweight) = backward(self.0, x, weight, dy)?;
        Ok((dx, dweight, Some(dy.clone())))
    }
}

/// A weight of `[out, in]` with the products of a linear layer over plain rows.
pub(super) struct Weight<'a> {
    arithmetic: Arithmetic,
    tensor: &'a Tensor,
    values: Values<'a>,
    out: usize,
    inner: usize,
}

impl<'a> Weight<'a> {
    pub(super) fn new(arithmetic: Arithmetic, tensor: &'a Tensor) -> Result<Self> {
        let (out, inner) = tensor.dims2()?;
        Ok(Self {
            arithmetic,
            tensor,
            values: read(tensor)?,
            out,
            inner,
        })
    }

    /// `x weight^T`, or `addend + x weight^T`.
    pub(super) fn multiply(&self, x: &[f32], addend: Option<&[f32]>) -> Vec<f32> {
        let x = rows_of(x, self.inner);
        product::multiply(self.arithmetic, x, self.view().transpose(), addend)
    }

    /// The gradient of what is multiplied, `dy weight`.
    pub(super) fn input_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let dy = rows_of(dy, self.out);
        product::multiply(self.arithmetic, dy, self.view(), None)
    }

    /// Adds the gradient of the weight, `dy^T x`.
    pub(super) fn add_gradient(&self, dy: &[f32], x: &[f32], gradients: &Gradients) {
        let (dy, x) = (rows_of(dy, self.out), rows_of(x, self.inner));
        gradients.add_product(self.tensor, self.arithmetic, dy.transpose(), x);
    }

    fn view(&self) -> View<'_> {
        View::new(&self.values, self.out, self.inner)
    }
}

fn rows_of(values: &[f32], width: usize) -> View<'_> {
    View::new(values, values.len() / width.max(1), width)
}

fn forward(
    arithmetic: Arithmetic,
    (s1, l1): (&CpuStorage, &Layout),
    (s2, l2): (&CpuStorage, &Layout),
    residual: Option<(&CpuStorage, &Layout)>,
) -> Result<(CpuStorage, Shape)> {
    let ((rows, inner), (out, expected)) = (matrix(l1)?, matrix(l2)?);
    if inner != expected {
        bail!("linear: rows of {inner} and a weight of [{out}, {expected}]");
    }
    let residual = match residual {
        Some((_, layout)) if layout.dims() != [rows, out] => bail!(
            "linear-add: a product of [{rows}, {out}] and a residual of {:?}",
            layout.shape()
        ),
        Some((storage, layout)) => Some(values(storage, layout)?),
        None => None,
    };
    let x = View::new(values(s1, l1)?, rows, inner);
    let weight = View::new(values(s2, l2)?, out, inner);
    let y = product::multiply(arithmetic, x, weight.transpose(), residual);
    Ok((CpuStorage::F32(y), (rows, out).into()))
}

/// `dx = dy weight` and `dweight = dy^T x`, each where somebody asks for it.
fn backward(
    arithmetic: Arithmetic,
    x: &Tensor,
    weight: &Tensor,
    dy: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let ((rows, inner), (out, _)) = (x.dims2()?, weight.dims2()?);
    let dy = dy.contiguous()?;
    let dy_values = read(&dy)?;
    let dy = View::new(&dy_values, rows, out);
    let mut gradients = (None, None);
    if x.track_op() {
        let weight = read(weight)?;
        let dx = product::multiply(arithmetic, dy, View::new(&weight, out, inner), None);
        gradients.0 = Some(Tensor::from_vec(dx, (rows, inner), x.device())?);
    }
    if weight.track_op() {
        let x_values = read(x)?;
        let x_view = View::new(&x_values, rows, inner);
        let dweight = product::multiply(arithmetic, dy.transpose(), x_view, None);
        gradients.1 = Some(Tensor::from_vec(dweight, (out, inner), x.device())?);
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use candle_core::Var;
    use proptest::prelude::*;

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};
    use crate::kernels::simd::{InstructionSet, with_instructions};

    /// Every way to compute that this processor has, and how far a product of `inner` factors may then be from the
    /// exact one.
    fn ways(inner: usize) -> impl Iterator<Item = (InstructionSet, Precision, f32)> {
        // In bfloat16 both factors are off by up to one part in 2^9, at random.
        let precisions = [
            (Precision::F32, 1e-5),
            (Precision::Bf16, 4e-3 * (inner as f32).sqrt()),
        ];
        let sets = InstructionSet::available().into_iter();
        sets.flat_map(move |set| {
            precisions.map(|(precision, tolerance)| (set, precision, tolerance))
        })
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (x, weight) = (random(&[9, 5], 1), random(&[4, 5], 2));
        assert!(linear(&x, &random(&[4, 6], 4), Precision::F32).is_err());
        assert!(linear_add(&x, &x, &weight, Precision::F32).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn values_and_gradients_agree_with_candle(
            rows in 1..80_usize,
            inner in 1..150_usize,
            out in 1..130_usize,
            seed: u64,
        ) {
            let variable = |shape: &[usize], seed| Var::from_tensor(&random(shape, seed)).unwrap();
            let (x, weight, residual) = (
                variable(&[rows, inner], seed),
                variable(&[out, inner], seed ^ 1),
                variable(&[rows, out], seed ^ 2),
            );
            let weights = random(&[rows, out], seed ^ 3);
            let product = x.matmul(&weight.t().unwrap()).unwrap();
            let composed = (&product + residual.as_tensor()).unwrap();
            let expected = (&composed * &weights).unwrap().backward().unwrap();
            for (instructions, precision, tolerance) in ways(inner.max(rows).max(out)) {
                with_instructions(instructions, || {
                    check_close(&linear(&x, &weight, precision).unwrap(), &product, tolerance);
                    let fused = linear_add(&residual, &x, &weight, precision).unwrap();
                    check_close(&fused, &composed, tolerance);
                    let found = (&fused * &weights).unwrap().backward().unwrap();
                    for variable in [&x, &weight, &residual] {
                        check_close(
                            found.get(variable).unwrap(),
                            expected.get(variable).unwrap(),
                            tolerance,
                        );
                    }
                });
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for instructions in InstructionSet::available() {
            with_instructions(instructions, || {
                check_gradients(&[random(&[6, 5], 4), random(&[3, 5], 5)], |v| {
                    linear(&v[0], &v[1], Precision::F32)
                });
                check_gradients(
                    &[random(&[6, 3], 6), random(&[6, 5], 7), random(&[3, 5], 8)],
                    |v| linear_add(&v[0], &v[1], &v[2], Precision::F32),
                );
            });
        }
    }

    #[test]
    fn a_frozen_weight_gets_no_gradient_and_lets_the_inputs_through() {
        let x = Var::from_tensor(&random(&[6, 5], 1)).unwrap();
        let weight = random(&[3, 5], 2);
        let y = linear(&x, &weight, Precision::F32).unwrap();
        let gradients = y.backward().unwrap();
        assert!(gradients.get(&weight).is_none());
        let ones = Tensor::ones((6, 3), candle_core::DType::F32, x.device()).unwrap();
        check_close(
            gradients.get(&x).unwrap(),
            &ones.matmul(&weight).unwrap(),
            1e-6,
        );
    }
}
