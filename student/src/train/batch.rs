//! Documents put together for one pass of the model.

use std::sync::Arc;

use limbeck_model::differentiable::{HeadTarget, TargetTerm};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::document::Document;

/// What is learnt from a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// Next-token prediction over the input, and over the answer where it is a text.
    Language,
    /// The answer, and next-token prediction over the input with this weight.
    Answer { input_loss: f32 },
}

impl Goal {
    /// Tokens of a document that the model reads.
    pub fn length(self, document: &Document) -> usize {
        match self {
            Self::Language if !document.answer_is_text => document.input_end,
            _ => document.length(),
        }
    }
}

/// Documents one after another, without padding.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub ids: Arc<[u32]>,
    /// First place of each document, and the number of places.
    pub offsets: Arc<[usize]>,
    /// Places that predict something.
    pub rows: Arc<[u32]>,
    /// What they predict, one entry a row.
    pub targets: Vec<HeadTarget>,
}

impl Batch {
    /// The batch in passes of at most `tokens` tokens: whole documents in their order, one at least. Targets keep their
    /// weights, which are shares of the whole step, so that the passes' losses add up to the step's.
    pub fn passes(self, tokens: Option<usize>) -> Vec<Self> {
        let Some(tokens) = tokens.filter(|tokens| *tokens < self.ids.len()) else {
            return vec![self];
        };
        let mut passes = Vec::new();
        let (mut first, mut first_row) = (0, 0);
        let mut targets = self.targets.into_iter();
        for last in 1..self.offsets.len() {
            let start = self.offsets[first];
            let full = self
                .offsets
                .get(last + 1)
                .is_none_or(|end| end - start > tokens);
            if !full {
                continue;
            }
            let end = self.offsets[last];
            let rows = self.rows[first_row..].partition_point(|row| (*row as usize) < end);
            passes.push(Self {
                ids: self.ids[start..end].into(),
                offsets: self.offsets[first..=last]
                    .iter()
                    .map(|offset| offset - start)
                    .collect(),
                rows: self.rows[first_row..first_row + rows]
                    .iter()
                    .map(|row| row - start as u32)
                    .collect(),
                targets: targets.by_ref().take(rows).collect(),
            });
            (first, first_row) = (last, first_row + rows);
        }
        passes
    }
}

/// Collects documents.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    ids: Vec<u32>,
    offsets: Vec<usize>,
    rows: Vec<u32>,
    targets: Vec<HeadTarget>,
    /// Whether each target belongs to an answer (or is what language modelling is about).
    main: Vec<bool>,
}

impl BatchBuilder {
    pub fn push(&mut self, document: &Document, goal: Goal) {
        let first = self.ids.len();
        let length = goal.length(document);
        self.offsets.push(first);
        self.ids.extend_from_slice(&document.tokens[..length]);
        match goal {
            Goal::Language => self.push_next_tokens(document, first, length, 1.0, true),
            Goal::Answer { input_loss } => {
                if input_loss > 0.0 {
                    self.push_next_tokens(document, first, document.input_end, input_loss, false);
                }
                for (offset, target) in document.answer.iter().enumerate() {
                    self.rows.push((first + document.input_end + offset) as u32);
                    self.targets.push(target.clone());
                    self.main.push(true);
                }
            }
        }
    }

    fn push_next_tokens(
        &mut self,
        document: &Document,
        first: usize,
        count: usize,
        weight: f32,
        main: bool,
    ) {
        for (place, &next) in document.tokens[1..=count].iter().enumerate() {
            self.rows.push((first + place) as u32);
            self.targets.push(HeadTarget {
                terms: vec![TargetTerm::token(next, weight)],
            });
            self.main.push(main);
        }
    }

    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Replaces each input token, marks excepted, by one of `replacements` with probability `share`.
    pub fn drop_tokens(
        &mut self,
        documents: &[&Document],
        share: f32,
        replacements: &[u32],
        seed: u64,
        step: u64,
    ) {
        if share <= 0.0 || replacements.is_empty() {
            return;
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(step);
        for (document, &first) in documents.iter().zip(&self.offsets) {
            for token in &mut self.ids[first + 1..first + document.input_end] {
                if random.random::<f32>() < share {
                    *token = replacements[random.random_range(0..replacements.len())];
                }
            }
        }
    }

    /// The batch with weights divided by the number of targets of their kind, so that the loss is a mean over the
    /// supervised tokens of the whole step.
    pub fn mean(mut self) -> Batch {
        let main = self.main.iter().filter(|main| **main).count();
        let counts = [self.main.len() - main, main];
        for (target, &main) in self.targets.iter_mut().zip(&self.main) {
            for term in &mut target.terms {
                term.weight /= counts[usize::from(main)] as f32;
            }
        }
        self.sum()
    }

    /// The batch with weights as they are.
    pub fn sum(mut self) -> Batch {
        self.offsets.push(self.ids.len());
        Batch {
            ids: self.ids.into(),
            offsets: self.offsets.into(),
            rows: self.rows.into(),
            targets: self.targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(answer_is_text: bool) -> Document {
        let answer = [7, 0].map(|id| HeadTarget {
            terms: vec![TargetTerm::token(id, 1.0)],
        });
        Document {
            tokens: vec![1, 5, 6, 2, 7, 0],
            input_end: 3,
            answer: answer.to_vec(),
            answer_is_text,
        }
    }

    fn batch(goal: Goal, answer_is_text: bool) -> Batch {
        let mut builder = BatchBuilder::default();
        builder.push(&document(answer_is_text), goal);
        builder.push(&document(answer_is_text), goal);
        builder.mean()
    }

    fn targets(batch: &Batch) -> Vec<(u32, u32, f32)> {
        let term = |target: &HeadTarget| (target.terms[0].ids[0], target.terms[0].weight);
        batch
            .rows
            .iter()
            .zip(&batch.targets)
            .map(|(row, target)| (*row, term(target).0, term(target).1))
            .collect()
    }

    #[test]
    fn only_the_answer_and_its_end_are_supervised() {
        let batch = batch(Goal::Answer { input_loss: 0.0 }, true);
        assert_eq!(*batch.ids, [1, 5, 6, 2, 7, 1, 5, 6, 2, 7]);
        assert_eq!(*batch.offsets, [0, 5, 10]);
        assert_eq!(
            targets(&batch),
            [(3, 7, 0.25), (4, 0, 0.25), (8, 7, 0.25), (9, 0, 0.25)]
        );
    }

    #[test]
    fn input_loss_is_a_mean_of_its_own() {
        let batch = batch(Goal::Answer { input_loss: 0.6 }, true);
        let input: Vec<_> = targets(&batch)
            .into_iter()
            .filter(|(row, ..)| row % 5 < 3)
            .collect();
        assert_eq!(input.len(), 6);
        assert!(input.iter().all(|(.., weight)| (weight - 0.1).abs() < 1e-6));
        assert_eq!(
            input.iter().map(|entry| entry.1).collect::<Vec<_>>(),
            [5, 6, 2, 5, 6, 2]
        );
    }

    #[test]
    fn language_modelling_leaves_labels_out() {
        assert_eq!(*batch(Goal::Language, false).ids, [1, 5, 6, 1, 5, 6]);
        let whole = batch(Goal::Language, true);
        assert_eq!(*whole.ids, [1, 5, 6, 2, 7, 1, 5, 6, 2, 7]);
        assert_eq!(
            targets(&whole)
                .iter()
                .map(|entry| entry.1)
                .collect::<Vec<_>>()[..5],
            [5, 6, 2, 7, 0]
        );
    }

    #[test]
    fn passes_are_the_batch_in_pieces() {
        let mut builder = BatchBuilder::default();
        for _ in 0..5 {
            builder.push(&document(true), Goal::Answer { input_loss: 0.6 });
        }
        let whole = builder.mean();
        for (tokens, documents) in [
            (None, vec![5]),
            (Some(25), vec![5]),
            (Some(24), vec![4, 1]),
            (Some(10), vec![2, 2, 1]),
            (Some(1), vec![1; 5]),
        ] {
            let passes = whole.clone().passes(tokens);
            let counts: Vec<usize> = passes.iter().map(|pass| pass.offsets.len() - 1).collect();
            assert_eq!(counts, documents);
            let (mut first, mut all) = (0, Vec::new());
            for pass in &passes {
                assert_eq!(pass.offsets.last(), Some(&pass.ids.len()));
                all.extend(
                    targets(pass)
                        .into_iter()
                        .map(|(row, id, weight)| (row + first, id, weight)),
                );
                first += pass.ids.len() as u32;
            }
            assert_eq!(all, targets(&whole));
            let ids: Vec<u32> = passes.iter().flat_map(|pass| pass.ids.to_vec()).collect();
            assert_eq!(ids, whole.ids.to_vec());
        }
    }

    #[test]
    fn dropped_tokens_are_inputs_only_and_repeat_with_the_seed() {
        let document = document(true);
        let dropped = |step| {
            let mut builder = BatchBuilder::default();
            builder.push(&document, Goal::Answer { input_loss: 0.0 });
            builder.drop_tokens(&[&document], 0.9, &[8, 9], 3, step);
            builder.sum().ids.to_vec()
        };
        let steps: Vec<Vec<u32>> = (0..20).map(dropped).collect();
        assert!(steps.iter().all(|ids| ids[0] == 1 && ids[3..] == [2, 7]));
        assert!(steps.iter().any(|ids| ids[1] >= 8) && steps.iter().any(|ids| ids[2] >= 8));
        assert!(steps.iter().any(|ids| *ids != steps[0]));
        assert_eq!(steps[4], dropped(4));
    }
}
