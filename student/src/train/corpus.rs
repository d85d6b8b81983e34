//! The examples, sorted into what is trained on, what is held out, and what cannot be learnt.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::document::{Document, Encoded, Encoder, LabelDocuments};
use super::{Skipped, TrainData, TrainError, TrainPlan};

/// Documents of a run.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    /// Documents with an answer, to train on.
    pub training: Vec<Document>,
    /// Texts for language modelling alone.
    pub unlabelled: Vec<Document>,
    /// Documents that training does not see.
    pub held_out: Vec<HeldOut>,
    pub skipped: Skipped,
    pub without_candidates: usize,
    /// Tokens that may stand in for a dropped one.
    pub replacements: Vec<u32>,
}

/// A document to judge by.
#[derive(Clone, Debug)]
pub(super) struct HeldOut {
    pub document: Document,
    pub labels: Option<LabelDocuments>,
}

impl Corpus {
    pub fn new(plan: &TrainPlan, data: &TrainData<'_>) -> Result<Self, TrainError> {
        let context = plan.shape.context;
        let encoder = Encoder::new(data.tokenizer, data.teacher_ids, &plan.objective, context)?;
        let documents: Vec<Encoded> = data
            .examples
            .par_iter()
            .map(|example| encoder.encode(example))
            .collect::<Result<_, _>>()?;
        let mut corpus = Self {
            replacements: (0..data.tokenizer.vocab_size() as u32)
                .filter(|id| !data.tokenizer.is_control(*id))
                .collect(),
            ..Self::default()
        };
        for (example, encoded) in data.examples.iter().zip(documents) {
            corpus.add(encoded, is_held_out(&example.id, plan.held_out));
        }
        if corpus.training.is_empty() {
            return Err(TrainError::NoExamples {
                total: data.examples.len(),
                skipped: corpus.skipped,
                held_out: corpus.held_out.len(),
                context,
            });
        }
        Ok(corpus)
    }

    fn add(&mut self, encoded: Encoded, held_out: bool) {
        match encoded {
            Encoded::Learnable {
                document,
                labels,
                without_candidates,
            } => {
                self.without_candidates += usize::from(without_candidates);
                if held_out {
                    self.held_out.push(HeldOut { document, labels });
                } else {
                    self.training.push(document);
                }
            }
            // A held-out text may occur again as an example, so it is not modelled either.
            Encoded::Unlabelled(_) if held_out => {}
            Encoded::Unlabelled(document) => self.unlabelled.push(document),
            Encoded::TooLong => self.skipped.too_long += 1,
            Encoded::WithoutAnswer => self.skipped.without_answer += 1,
        }
    }
}

/// Whether the hash of an id falls into the first `share` of all hashes: independent of the other examples, so that
/// an example that is held out once is held out always.
fn is_held_out(id: &str, share: f32) -> bool {
    let digest = Sha256::digest(id.as_bytes());
    let (head, _) = digest.split_at(4);
    let number = head
        .iter()
        .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) < f64::from(share) * 2f64.powi(32)
}
