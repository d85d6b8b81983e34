//! Memory for time: parts of a network whose activations are computed a second time on the way back rather than kept
//! (activation checkpointing, arXiv 1604.06174).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, Var, bail};

use super::access::read;

/// Gradients of the variables that recomputed parts read, which their own ways back find.
#[derive(Default)]
pub struct CapturedGradients(Mutex<Option<GradStore>>);

impl CapturedGradients {
    /// Adds what was captured since the last call to `gradients`.
    pub fn move_into(&self, gradients: &mut GradStore) -> Result<()> {
        let captured = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        captured.map_or(Ok(()), |captured| gradients.extend(captured))
    }

    fn capture(&self, gradients: GradStore) -> Result<()> {
        let mut captured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(captured) = captured.as_mut() {
            return captured.extend(gradients);
        }
        *captured = Some(gradients);
        Ok(())
    }
}

impl fmt::Debug for CapturedGradients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CapturedGradients")
    }
}

/// `part(x)`, of which only `x` is kept: on the way back `part` is computed again.
///
/// It has to compute the same both times. Gradients of the variables that it reads do not come with those of the
/// caller's `backward`: they go to `captured`.
pub fn recomputed(
    x: &Tensor,
    captured: &Arc<CapturedGradients>,
    part: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    // Where nothing asks for the gradient of `x` there is no way back that could be taken for the variables' sake.
    if !x.track_op() {
        return part(x);
    }
    let x = x.contiguous()?;
    let y = part(&x.detach())?;
    let op = Recomputed {
        shape: y.shape().clone(),
        values: Mutex::new(Some(read(&y.contiguous()?)?.to_vec())),
        captured: Arc::clone(captured),
        part,
    };
    x.apply_op1(op)
}

struct Recomputed<F> {
    /// The result, until the operation is applied.
    values: Mutex<Option<Vec<f32>>>,
    shape: Shape,
    captured: Arc<CapturedGradients>,
    part: F,
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Recomputed<F> {
    fn name(&self) -> &'static str {
        "recomputed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = self
            .values
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match values {
            Some(values) => Ok((CpuStorage::F32(values), self.shape.clone())),
            None => bail!("recomputed: applied twice"),
        }
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let x = Var::from_tensor(&x.detach())?;
        let y = (self.part)(&x)?;
        let mut gradients = y.apply_op1(Seed(dy.contiguous()?))?.backward()?;
        let dx = gradients.remove(&x);
        self.captured.capture(gradients)?;
        match dx {
            Some(dx) => Ok(Some(dx)),
            None => Ok(Some(x.zeros_like()?.detach())),
        }
    }
}

/// The root of a part's graph: lets the way back begin with a gradient that is known.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::differentiable::rms_norm;
    use crate::differentiable::test_support::random;

    /// Two layers over one weight, so that what both find of it has to be added.
    fn network(x: &Tensor, weight: &Var, captured: Option<&Arc<CapturedGradients>>) -> Tensor {
        let weight = weight.clone();
        let layer = move |x: &Tensor| (rms_norm(x, &weight, 1e-3)?.sqr()? + x)?.affine(0.5, 0.1);
        let run = |x: &Tensor| match captured {
            Some(captured) => recomputed(x, captured, layer.clone()).unwrap(),
            None => layer(x).unwrap(),
        };
        run(&run(x))
    }

    #[test]
    fn values_and_gradients_are_the_same_bits() {
        let (x, weight) = (
            Var::from_tensor(&random(&[70, 9], 1)).unwrap(),
            Var::from_tensor(&random(&[9], 2)).unwrap(),
        );
        let bits = |tensor: &Tensor| -> Vec<u32> {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        let kept = network(&x, &weight, None);
        let expected = kept.sqr().unwrap().backward().unwrap();
        let captured = Arc::default();
        for _ in 0..2 {
            let again = network(&x, &weight, Some(&captured));
            assert_eq!(bits(&again), bits(&kept));
            let mut gradients = again.sqr().unwrap().backward().unwrap();
            assert!(gradients.get(&weight).is_none());
            captured.move_into(&mut gradients).unwrap();
            for variable in [&x, &weight] {
                let (found, expected) = (gradients.get(variable), expected.get(variable));
                assert_eq!(bits(found.unwrap()), bits(expected.unwrap()));
            }
        }
    }

    #[test]
    fn variables_learn_where_the_input_is_a_constant() {
        let (x, weight) = (
            random(&[5, 9], 1),
            Var::from_tensor(&random(&[9], 2)).unwrap(),
        );
        let y = network(&x, &weight, Some(&Arc::default()));
        assert!(y.sqr().unwrap().backward().unwrap().get(&weight).is_some());
    }
}
