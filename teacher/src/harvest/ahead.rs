//! The prompts of the next questions, read from the store a little before they are needed.
//!
//! So a harvest of a million prompts takes no more memory than one of a thousand.

use std::collections::VecDeque;

use limbeck_store::{Prompt, Store, StoreError};

use super::HarvestPlan;
use super::pending::Question;

/// Prompts that are read in one call.
const CHUNK: usize = 512;
/// When so few are left, more are read.
const LOW: usize = 64;

/// Questions in their order, the first of them with their prompts.
pub(super) struct Ahead<'a> {
    ready: VecDeque<(Question, Prompt)>,
    rest: &'a [Question],
}

impl<'a> Ahead<'a> {
    /// `questions`, none of them read yet.
    pub(super) fn new(questions: &'a [Question]) -> Self {
        Self {
            ready: VecDeque::new(),
            rest: questions,
        }
    }

    /// Whether it is time to read more.
    pub(super) fn is_low(&self) -> bool {
        self.ready.len() < LOW && !self.rest.is_empty()
    }

    /// Whether there are questions left.
    pub(super) fn is_left(&self) -> bool {
        !self.ready.is_empty() || !self.rest.is_empty()
    }

    /// Reads the next prompts.
    pub(super) async fn fill(
        &mut self,
        store: &Store,
        plan: &HarvestPlan,
    ) -> Result<(), StoreError> {
        let (next, rest) = self.rest.split_at(self.rest.len().min(CHUNK));
        let ids: Vec<String> = next
            .iter()
            .map(|question| plan.prompts.get(question.index as usize))
            .collect();
        let prompts = store.prompts(&ids).await?;
        self.ready.extend(next.iter().copied().zip(prompts));
        self.rest = rest;
        Ok(())
    }

    /// The next question; `None` where none has been read.
    pub(super) fn take(&mut self) -> Option<(Question, Prompt)> {
        self.ready.pop_front()
    }
}
