//! Judging the student on examples that training does not see.

use super::TrainError;
use super::batch::{Batch, BatchBuilder, Goal};
use super::corpus::HeldOut;
use super::decoder::StudentDecoder;
use super::document::{Document, LabelDocuments};

/// Tokens that are judged in one pass.
const TOKENS: usize = 4096;

/// The held-out examples, put together once.
#[derive(Debug)]
pub(super) struct Judge {
    answers: Vec<Batch>,
    supervised: usize,
    /// Every choice of every label example, in order.
    choices: Vec<Batch>,
    labels: Vec<LabelDocuments>,
}

/// What a judgement found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    /// Mean loss in nats per supervised token.
    pub loss: f32,
    /// Share of label examples on which student and teacher choose the same.
    pub agreement: Option<f32>,
}

impl Judge {
    /// `None` where nothing is held out.
    pub fn new(held_out: &[HeldOut]) -> Option<Self> {
        if held_out.is_empty() {
            return None;
        }
        let labels: Vec<LabelDocuments> = held_out
            .iter()
            .filter_map(|example| example.labels.clone())
            .collect();
        Some(Self {
            supervised: held_out
                .iter()
                .map(|example| example.document.answer.len())
                .sum(),
            answers: batches(held_out.iter().map(|example| &example.document)),
            choices: batches(labels.iter().flat_map(|labels| &labels.choices)),
            labels,
        })
    }

    pub fn judge(&self, decoder: &StudentDecoder) -> Result<Judged, TrainError> {
        let loss = losses(decoder, &self.answers)?.iter().sum::<f64>() / self.supervised as f64;
        let per_token = losses(decoder, &self.choices)?;
        let agreed = self.agreed(&per_token);
        Ok(Judged {
            loss: loss as f32,
            agreement: (!self.labels.is_empty()).then(|| agreed as f32 / self.labels.len() as f32),
        })
    }

    /// Examples where the choice that costs the student least is the teacher's; `losses` run over the tokens of all
    /// choices of all examples.
    fn agreed(&self, losses: &[f64]) -> usize {
        let mut rest = losses;
        let mut agreed = 0;
        for labels in &self.labels {
            let mut costs = Vec::with_capacity(labels.choices.len());
            for choice in &labels.choices {
                let (tokens, after) = rest.split_at(choice.answer.len());
                rest = after;
                costs.push(tokens.iter().sum::<f64>());
            }
            let cheapest =
                (1..costs.len()).fold(0, |best, i| if costs[i] < costs[best] { i } else { best });
            agreed += usize::from(cheapest == labels.best);
        }
        agreed
    }
}

fn batches<'a>(documents: impl Iterator<Item = &'a Document>) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::default();
    for document in documents {
        if builder.tokens() + document.length() > TOKENS && builder.tokens() > 0 {
            batches.push(std::mem::take(&mut builder).sum());
        }
        builder.push(document, Goal::Answer { input_loss: 0.0 });
    }
    if builder.tokens() > 0 {
        batches.push(builder.sum());
    }
    batches
}

fn losses(decoder: &StudentDecoder, batches: &[Batch]) -> Result<Vec<f64>, TrainError> {
    let mut losses = Vec::new();
    for batch in batches {
        losses.extend(decoder.losses(batch)?);
    }
    Ok(losses)
}
