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
    /// Tokens of one pass through the model; all of the batch at once where not given.
    pub pass_tokens: Option<usize>,
}

impl Step<'_> {
    /// Forward, loss and backward over one batch, in one pass or more, then clipping and update. Returns the loss of
    /// the batch before the update; `number` is the step's own, from 0, for errors.
    pub fn take(
        self,
        batch: Batch,
        dropout: Option<Dropout>,
        update: &Update,
        number: usize,
    ) -> Result<f32, TrainError> {
        let gradients = self.decoder.gradients();
        let value = self.passes(batch, dropout, number).and_then(|value| {
            self.optimizer
                .update(self.parameters, gradients, update, number)?;
            Ok(value)
        });
        gradients.clear();
        value
    }

    /// The loss of the batch; the gradients are with the decoder then.
    fn passes(
        &self,
        batch: Batch,
        dropout: Option<Dropout>,
        number: usize,
    ) -> Result<f32, TrainError> {
        let mut value = 0.0;
        for (pass, batch) in (0..).zip(batch.passes(self.pass_tokens)) {
            let dropout = dropout.map(|dropout| dropout.of_pass(pass));
            let loss = self.decoder.loss(batch, dropout)?;
            value += loss.to_scalar::<f32>()?;
            if !value.is_finite() {
                let what = "the loss".to_owned();
                return Err(TrainError::NotFinite { what, step: number });
            }
            self.decoder.backward(&loss)?;
        }
        Ok(value)
    }
}
