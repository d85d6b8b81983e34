//! Continuous batching.

use std::sync::Arc;

use super::sequence::{Answer, Sequence};
use super::{GeneratedToken, Output, Request};
use crate::decoder::{PASS_ROWS, Workspace};
use crate::{DecodeError, Decoder, ModelError, Tokenizer};

/// Answers many requests together: each [`Batcher::step`] is one forward pass over the next token of every answer in
/// progress and as much of the waiting prompts as fits. Requests come and go between steps.
///
/// One thread owns it; the work inside a step is spread over rayon's threads.
pub struct Batcher {
    decoder: Arc<Decoder>,
    tokenizer: Option<Tokenizer>,
    capacity: usize,
    /// In the order of submission.
    active: Vec<Sequence>,
    workspace: Workspace,
}

impl Batcher {
    /// An empty batch for up to `capacity` requests at a time, at least one. The tokenizer is needed for stop strings
    /// only.
    pub fn new(decoder: Arc<Decoder>, tokenizer: Option<Tokenizer>, capacity: usize) -> Self {
        Self {
            decoder,
            tokenizer,
            capacity: capacity.max(1),
            active: Vec::new(),
            workspace: Workspace::default(),
        }
    }

    /// Whether another request may be submitted now.
    pub fn has_room(&self) -> bool {
        self.active.len() < self.capacity
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// No room, an empty prompt, ids outside the vocabulary, a prompt that leaves no room for an answer in the model's
    /// context, sampling parameters out of range. The batch is as before then.
    pub fn submit(&mut self, request: Request) -> Result<(), ModelError> {
        if !self.has_room() {
            return Err(DecodeError::Full {
                capacity: self.capacity,
            }
            .into());
        }
        self.active.push(Sequence::new(
            request,
            &self.decoder,
            self.tokenizer.is_some(),
        )?);
        Ok(())
    }

    /// The tokens drawn so far for a request in progress, so that an answer can be shown while it grows; empty where
    /// there are none.
    pub fn generated(&self, id: u64) -> &[GeneratedToken] {
        self.active
            .iter()
            .find(|sequence| sequence.id == id)
            .map_or(&[], Sequence::generated)
    }

    /// Drops a request without an answer, as when nobody waits for it any more; returns whether it was there.
    pub fn cancel(&mut self, id: u64) -> bool {
        let Some(index) = self.active.iter().position(|sequence| sequence.id == id) else {
            return false;
        };
        let sequence = self.active.remove(index);
        sequence.cache.recycle(&mut self.workspace.pool);
        true
    }

    /// One forward pass; returns the answers that it completed. Does nothing when idle.
    pub fn step(&mut self) -> Result<Vec<Output>, ModelError> {
        if self.active.is_empty() {
            return Ok(Vec::new());
        }
        let counts = self.plan();
        let mut chunks = Vec::with_capacity(counts.len());
        for (sequence, &count) in self.active.iter_mut().zip(&counts) {
            if count > 0 {
                chunks.push(sequence.take(count));
            }
        }
        self.decoder.forward(&mut chunks, &mut self.workspace)?;

        let mut questions = Vec::new();
        let mut asked = Vec::with_capacity(counts.len());
        for (sequence, &count) in self.active.iter_mut().zip(&counts) {
            let before = questions.len();
            questions.extend(sequence.questions(count));
            asked.push(questions.len() - before);
        }
        let answers = self
            .decoder
            .head(&mut self.workspace, |row, logits, weights| {
                questions[row].ask(logits, weights)
            });
        Ok(self.hand_out(answers, &asked))
    }

    /// Gives each sequence the answers to as many questions as it asked; those that are done leave the batch.
    fn hand_out(&mut self, answers: Vec<Answer>, asked: &[usize]) -> Vec<Output> {
        let context_length = self.decoder.config().context_length;
        let mut answers = answers.into_iter();
        let mut outputs = Vec::new();
        let mut still_active = Vec::with_capacity(self.active.len());
        for (mut sequence, &asked) in self.active.drain(..).zip(asked) {
            let own = answers.by_ref().take(asked);
            match sequence.take_answers(own, context_length, self.tokenizer.as_ref()) {
                Some(result) => {
                    outputs.push(Output {
                        id: sequence.id,
                        prompt_tokens: sequence.prompt_tokens,
                        result,
                    });
                    sequence.cache.recycle(&mut self.workspace.pool);
                }
                None => still_active.push(sequence),
            }
        }
        self.active = still_active;
        outputs
    }

    /// How many tokens of each sequence the next pass reads: all single tokens, so that answers in progress never wait
    /// for a long prompt, then prompts in the order they came.
    fn plan(&self) -> Vec<usize> {
        let waiting = |sequence: &Sequence| sequence.waiting();
        let singles = self
            .active
            .iter()
            .filter(|sequence| waiting(sequence) == 1)
            .count();
        let mut budget = PASS_ROWS.max(self.capacity) - singles;
        let mut counts = Vec::with_capacity(self.active.len());
        for sequence in &self.active {
            let count = match waiting(sequence) {
                1 => 1,
                tokens => {
                    let count = tokens.min(budget);
                    budget -= count;
                    count
                }
            };
            counts.push(count);
        }
        counts
    }
}
