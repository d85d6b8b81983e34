//! The prompts of the next questions, read from the store a little before they are needed.
//!
//! So a harvest of a million prompts takes no more memory than one of a thousand.

use std::collections::VecDeque;
use std::pin::Pin;

use limbeck_store::{Prompt, Store, StoreError};

use super::HarvestPlan;
use super::pending::Question;

/// Prompts that are read in one call.
const CHUNK: usize = 512;
/// When so few are left, more are read: as many again, since the reading may have to wait for a commit.
const LOW: usize = CHUNK;

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<Prompt>, StoreError>> + Send + 'a>>;

/// Questions in their order, the first of them with their prompts.
pub(super) struct Ahead<'a> {
    ready: VecDeque<(Question, Prompt)>,
    /// The questions whose prompts are being read.
    next: &'a [Question],
    /// That reading; nobody has to wait for it before the ready ones are asked.
    reading: Option<Reading<'a>>,
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

    /// Reads the next prompts. Dropped before it is done, it goes on where it was when it is called again.
    pub(super) async fn fill(
        &mut self,
        store: &'a Store,
        plan: &'a HarvestPlan,
    ) -> Result<(), StoreError> {
        if self.next.is_empty() {
            (self.next, self.rest) = self.rest.split_at(self.rest.len().min(CHUNK));
        }
        let next = self.next;
        let reading = self.reading.get_or_insert_with(|| {
            Box::pin(async move {
                let index = |question: &Question| question.index as usize;
                let ids: Vec<String> = next
                    .iter()
                    .map(index)
                    .map(|i| plan.prompts.get(i))
                    .collect();
                store.prompts(&ids).await
            })
        });
        let read = reading.await;
        self.reading = None;
        self.next = &[];
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
