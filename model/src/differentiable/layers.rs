//! Layers over plain rows, one after another, as one operation of candle's.
//!
//! What a layer computes forward, what it keeps and how it goes back are its own: nothing inside is an edge of candle's
//! graph, each of which would cost an allocation, a fill with zeros and an addition.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, Var, bail};
use half::bf16;

use super::access::{read, values};

/// Numbers that a layer keeps for the way back.
pub enum Kept {
    /// As they were computed.
    Full(Vec<f32>),
    /// Rounded to half the memory.
    Half(Vec<bf16>),
}

/// A function of rows, as many of the same width, that knows its way back.
pub trait Layer: Send + Sync {
    /// The result, and what the way back needs beside `x`. The same `x` has to give the same numbers each time.
    fn forward(&self, x: &[f32]) -> Result<(Vec<f32>, Vec<Kept>)>;

    /// The gradient of `x` from that of the result. Gradients of weights go to the
    /// [`Gradients`](super::Gradients) that the layer holds.
    fn backward(&self, x: &[f32], kept: Vec<Kept>, dy: Vec<f32>) -> Result<Vec<f32>>;

    /// Whether the way back finds the gradient of any weight.
    fn learns(&self) -> bool;
}

/// What lies in memory between the way forward through layers and the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// All that the layers keep.
    Activations,
    /// The input of each layer; the rest is computed again (activation checkpointing, arXiv 1604.06174), to the same
    /// bits.
    Inputs,
    /// Nothing: there is no way back.
    Nothing,
}

/// The last of `layers` of the one before and so on down to the first of `x`, `[rows, width]`.
///
/// `backward` may run once. Where nothing asks for the gradient of `x`, it ends at the first layer that learns: those
/// before it keep nothing and have no way back.
pub fn layers<L: Layer + 'static>(
    x: &Tensor,
    mut layers: Vec<L>,
    retention: Retention,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let stack = |layers| Stack {
        layers,
        recompute: retention == Retention::Inputs,
        passed: Mutex::default(),
    };
    if retention == Retention::Nothing {
        return x.detach().apply_op1_no_bwd(&Forgetful(stack(layers)));
    }
    if x.track_op() {
        return x.apply_op1(stack(layers));
    }
    let frozen = layers.iter().take_while(|layer| !layer.learns()).count();
    let learning = layers.split_off(frozen);
    let x = x.apply_op1_no_bwd(&Forgetful(stack(layers)))?;
    if learning.is_empty() {
        return Ok(x);
    }
    Var::from_tensor(&x)?.apply_op1(stack(learning))
}

struct Stack<L> {
    layers: Vec<L>,
    recompute: bool,
    /// What the way forward left, a layer after the other.
    passed: Mutex<Option<Vec<Passed>>>,
}

struct Passed {
    /// What the layer read; `None` is the input of the whole stack, which candle keeps.
    input: Option<Vec<f32>>,
    kept: Vec<Kept>,
}

impl<L: Layer> Stack<L> {
    /// The result; `leave` is told what each layer read and kept.
    fn forward(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        mut leave: impl FnMut(Passed),
    ) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut current = None;
        for layer in &self.layers {
            let input: &[f32] = current.as_deref().unwrap_or(x);
            let (y, kept) = layer.forward(input)?;
            if y.len() != x.len() {
                bail!("layers: {} numbers became {}", x.len(), y.len());
            }
            let input = current.replace(y);
            leave(Passed { input, kept });
        }
        let y = current.unwrap_or_else(|| x.to_vec());
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

impl<L: Layer> CustomOp1 for Stack<L> {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut passed = Vec::with_capacity(self.layers.len());
        let result = self.forward(storage, layout, |mut layer| {
            if self.recompute {
                layer.kept = Vec::new();
            }
            passed.push(layer);
        })?;
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) = Some(passed);
        Ok(result)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let passed = self
            .passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut passed) = passed else {
            bail!("layers: backward may run once")
        };
        let values = read(x)?;
        let mut gradient = read(&dy.contiguous()?)?.to_vec();
        for layer in self.layers.iter().rev() {
            let Some(Passed { input, mut kept }) = passed.pop() else {
                bail!("layers: the way forward was not finished")
            };
            let input = input.as_deref().unwrap_or(&values);
            if self.recompute {
                kept = layer.forward(input)?.1;
            }
            gradient = layer.backward(input, kept, gradient)?;
        }
        Ok(Some(Tensor::from_vec(gradient, x.shape(), x.device())?))
    }
}

/// A stack that leaves nothing behind.
struct Forgetful<L>(Stack<L>);

impl<L: Layer> CustomOp1 for Forgetful<L> {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.forward(storage, layout, drop)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::differentiable::test_support::{check_close, random};

    /// Doubles, and counts its ways back.
    struct Doubling {
        learns: bool,
        backwards: Arc<AtomicUsize>,
    }

    impl Layer for Doubling {
        fn forward(&self, x: &[f32]) -> Result<(Vec<f32>, Vec<Kept>)> {
            Ok((x.iter().map(|x| 2.0 * x).collect(), Vec::new()))
        }

        fn backward(&self, _x: &[f32], _kept: Vec<Kept>, dy: Vec<f32>) -> Result<Vec<f32>> {
            self.backwards.fetch_add(1, Ordering::Relaxed);
            Ok(dy.iter().map(|dy| 2.0 * dy).collect())
        }

        fn learns(&self) -> bool {
            self.learns
        }
    }

    #[test]
    fn the_way_back_ends_where_nothing_before_it_learns() {
        let input = random(&[3, 4], 1);
        let variable = Var::from_tensor(&input).unwrap();
        let run = |x: &Tensor, learning: &[bool], retention| {
            let backwards = Arc::new(AtomicUsize::new(0));
            let stack = learning.iter().map(|&learns| Doubling {
                learns,
                backwards: Arc::clone(&backwards),
            });
            let y = layers(x, stack.collect(), retention).unwrap();
            check_close(&y, &(&input * 8.0).unwrap(), 0.0);
            y.backward().unwrap();
            (y.track_op(), backwards.load(Ordering::Relaxed))
        };
        for retention in [Retention::Activations, Retention::Inputs] {
            let run = |x, learning| run(x, learning, retention);
            let x = &input;
            assert_eq!(run(x, &[true, false, true]), (true, 3));
            assert_eq!(run(x, &[false, true, false]), (true, 2));
            assert_eq!(run(x, &[false, false, true]), (true, 1));
            assert_eq!(run(x, &[false, false, false]), (false, 0));
            // What is before the layers learns.
            assert_eq!(run(&variable, &[false, false, false]), (true, 3));
        }
    }
}
