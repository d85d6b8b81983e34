//! The prompts of the next questions, read from the store a little before they are needed.
//!
//! So a harvest of a million prompts takes no more memory than one of a thousand.

use std::collections::VecDeque;

use limbeck_store::{Prompt, Store, StoreError};
use tokio::task::JoinHandle;

use super::HarvestPlan;
use super::pending::Question;

/// Prompts that are read in one call.
const CHUNK: usize = 512;
/// When so few are left, more are read: as many again, since the reading may have to wait for a commit.
const LOW: usize = CHUNK;

/// Questions in their order, the first of them with their prompts.
pub(super) struct Ahead<'a> {
    ready: VecDeque<(Question, Prompt)>,
    /// The questions whose prompts are being read.
    next: &'a [Question],
    /// That reading. A task of its own: one that was left half-way could hold the store's connection, which the writer
    /// waits for, while the loop waits for the writer.
    reading: Option<JoinHandle<Result<Vec<Prompt>, StoreError>>>,
    rest: &'a [Question],
    /// Questions about prompts whose text was erased: nothing else is asked in its place.
    erased: u64,
}

impl<'a> Ahead<'a> {
    /// `questions`, none of them read yet.
    pub(super) fn new(questions: &'a [Question]) -> Self {
        Self {
            ready: VecDeque::new(),
            next: &[],
            reading: None,
            rest: questions,
            erased: 0,
        }
    }

    /// Whether it is time to read more.
    pub(super) fn is_low(&self) -> bool {
        self.ready.len() < LOW && (!self.next.is_empty() || !self.rest.is_empty())
    }

    /// Whether a question is ready to be asked.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether there are questions left.
    pub(super) fn is_left(&self) -> bool {
        !self.ready.is_empty() || !self.next.is_empty() || !self.rest.is_empty()
    }

    /// Questions passed over so far because their prompts were erased.
    pub(super) fn erased(&self) -> u64 {
        self.erased
    }

    /// Reads the next prompts, while others are asked. Dropped before it is done, it waits for the same reading when it
    /// is called again.
    pub(super) async fn fill(
        &mut self,
        store: &Store,
        plan: &HarvestPlan,
    ) -> Result<(), StoreError> {
        let reading = self.reading.get_or_insert_with(|| {
            (self.next, self.rest) = self.rest.split_at(self.rest.len().min(CHUNK));
            let indices = self.next.iter().map(|question| question.index as usize);
            let ids: Vec<String> = indices.map(|index| plan.prompts.get(index)).collect();
            let store = store.clone();
            tokio::spawn(async move { store.prompts(&ids).await })
        });
        let read = match reading.await {
            Ok(read) => read,
            // The task is never aborted, so what is left is a panic, which goes on here.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.reading = None;
        let next = std::mem::take(&mut self.next);
        for (question, prompt) in next.iter().zip(read?) {
            if prompt.is_whole() {
                self.ready.push_back((*question, prompt));
            } else {
                self.erased += 1;
            }
        }
        Ok(())
    }

    /// The next question; `None` where none has been read.
    pub(super) fn take(&mut self) -> Option<(Question, Prompt)> {
        self.ready.pop_front()
    }
}
