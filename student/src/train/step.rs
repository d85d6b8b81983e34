//! One step of training, which the loop and the benchmark take alike.

use super::TrainError;
use super::batch::Batch;
use super::decoder::{Dropout, StudentDecoder};
use super::optimizer::{AdamW, Update};
use super::parameters::Parameters;

/// What a step works on.
pub(super) struct Step<'a> {
    /// The model over `parameters`.
    pub decoder: &'a StudentDecoder,
    pub parameters: &'a Parameters,
    pub optimizer: &'a mut AdamW,
}

impl Step<'_> {
    /// Forward, loss, backward, clipping and update over one batch. Returns the loss of the batch before the update;
    /// `number` is the step's own, from 0, for errors.
    pub fn take(
        self,
        batch: Batch,
        dropout: Option<Dropout>,
        update: &Update,
        number: usize,
    ) -> Result<f32, TrainError> {
        let loss = self.decoder.loss(batch, dropout)?;
        let value = loss.to_scalar::<f32>()?;
        if !value.is_finite() {
            let what = "the loss".to_owned();
            return Err(TrainError::NotFinite { what, step: number });
        }
        let gradients = loss.backward()?;
        self.optimizer
            .update(self.parameters, &gradients, update, number)?;
        Ok(value)
    }
}
