//! Gradients of parameters, in buffers of their own beside candle's graph.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, TensorId, Var};
use rayon::prelude::*;

use super::access::read;
use crate::kernels::product::{self, Arithmetic, View};
use crate::kernels::row_gradients;

/// Numbers that one task adds.
const BLOCK: usize = 1 << 14;

/// The gradients of a model's parameters, summed over the passes of a step.
///
/// An operation that captures a weight writes the weight's gradient here on the way back, in place: candle would
/// allocate zeros for each edge of its graph and add to them. Parameters that only candle's own operations read come
/// from its store, with [`Gradients::absorb`].
///
/// A buffer is taken when something is first written to it and given back by [`Gradients::clear`]: on the way back the
/// gradients of a layer then lie where the activations of later ones were.
#[derive(Default)]
pub struct Gradients(HashMap<TensorId, Mutex<Option<Vec<f32>>>>);

impl Gradients {
    /// For these variables; every other tensor is frozen.
    pub fn new<'a>(variables: impl IntoIterator<Item = &'a Var>) -> Self {
        let variables = variables.into_iter();
        Self(
            variables
                .map(|variable| (variable.id(), Mutex::default()))
                .collect(),
        )
    }

    /// Whether the gradient of this tensor is asked for.
    pub fn wants(&self, weight: &Tensor) -> bool {
        self.0.contains_key(&weight.id())
    }

    /// Calls `work` with the gradient of a variable; `None` where nothing was found of it since [`Gradients::clear`].
    pub fn with<T>(&self, variable: &Tensor, work: impl FnOnce(&[f32]) -> T) -> Option<T> {
        lock(self.0.get(&variable.id())?).as_deref().map(work)
    }

    /// Adds what candle found of the variables, on whatever device they are.
    pub fn absorb(&self, found: &GradStore) -> Result<()> {
        for (&id, sum) in &self.0 {
            if let Some(gradient) = found.get_id(id) {
                let gradient = gradient.contiguous()?.to_device(&Device::Cpu)?;
                let values = read(&gradient)?;
                let mut sum = lock(sum);
                match sum.as_mut() {
                    Some(sum) => add(sum, &values),
                    None => *sum = Some(values.to_vec()),
                }
            }
        }
        Ok(())
    }

    /// Forgets all gradients.
    pub fn clear(&self) {
        for sum in self.0.values() {
            *lock(sum) = None;
        }
    }

    /// Lets `work` make the new sum of a weight from the one so far; does nothing for a frozen weight.
    pub(super) fn update(&self, weight: &Tensor, work: impl FnOnce(Option<Vec<f32>>) -> Vec<f32>) {
        if let Some(sum) = self.0.get(&weight.id()) {
            let mut sum = lock(sum);
            *sum = Some(work(sum.take()));
        }
    }

    /// Adds `values`.
    pub(super) fn add(&self, weight: &Tensor, values: Vec<f32>) {
        self.update(weight, |sum| match sum {
            Some(mut sum) => {
                add(&mut sum, &values);
                sum
            }
            None => values,
        });
    }

    /// Adds `left · right`.
    pub(super) fn add_product(
        &self,
        weight: &Tensor,
        arithmetic: Arithmetic,
        left: View<'_>,
        right: View<'_>,
    ) {
        self.update(weight, |sum| match sum {
            Some(mut sum) => {
                product::multiply_into(arithmetic, left, right, &mut sum, true);
                sum
            }
            None => product::multiply(arithmetic, left, right, None),
        });
    }
}

impl fmt::Debug for Gradients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Gradients of {} variables", self.0.len())
    }
}

fn lock(sum: &Mutex<Option<Vec<f32>>>) -> MutexGuard<'_, Option<Vec<f32>>> {
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `sum += values`.
pub(super) fn add(sum: &mut [f32], values: &[f32]) {
    sum.par_chunks_mut(BLOCK)
        .zip(values.par_chunks(BLOCK))
        .for_each(|(sum, values)| row_gradients::add(sum, values));
}
