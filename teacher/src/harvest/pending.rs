//! What a harvest still has to ask.

use std::collections::HashSet;

use limbeck_store::{Prompt, Store, StoreError, TraceKey};

use super::HarvestPlan;
use crate::Ask;

/// Prompts and keys that go to the store in one call.
const CHUNK: usize = 1000;

/// The questions without an answer, by where they stand in the plan: a few bytes each, since there may be a
/// hundred thousand prompts.
pub(super) struct Pending {
    /// Different prompts in the plan.
    pub(super) prompts: u64,
    /// Answers that the store holds already.
    pub(super) reused: u64,
    /// Index of the prompt, and the sample; in the order of the plan.
    pub(super) questions: Vec<(usize, u32)>,
}

impl Pending {
    /// Adds the plan's prompts to the store, and looks up which of its questions have been answered by `teacher` (a
    /// key of its identity). A prompt that the plan holds twice counts once.
    pub(super) async fn find(
        store: &Store,
        teacher: &str,
        plan: &HarvestPlan,
    ) -> Result<Self, StoreError> {
        for prompts in plan.prompts.chunks(CHUNK) {
            store.add_prompts(prompts).await?;
        }
        let mut seen: HashSet<&str> = HashSet::with_capacity(plan.prompts.len());
        let different = plan
            .prompts
            .iter()
            .enumerate()
            .filter(|(_, prompt)| seen.insert(&prompt.id));
        let mut questions =
            different.flat_map(|(index, _)| (0..plan.samples).map(move |sample| (index, sample)));

        let (mut unanswered, mut reused) = (Vec::new(), 0);
        loop {
            let chunk: Vec<(usize, u32)> = questions.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            let keys: Vec<TraceKey> = chunk
                .iter()
                .map(|&(index, sample)| plan.ask(index, sample).trace_key(teacher))
                .collect();
            let answered = store.answered(&keys).await?;
            for (question, key) in chunk.into_iter().zip(&keys) {
                if answered.contains(&key.id()) {
                    reused += 1;
                } else {
                    unanswered.push(question);
                }
            }
        }
        drop(questions);
        Ok(Self {
            prompts: seen.len() as u64,
            reused,
            questions: unanswered,
        })
    }
}

impl HarvestPlan {
    /// The question about one of the plan's prompts.
    pub(super) fn ask(&self, index: usize, sample: u32) -> Ask {
        let prompt: &Prompt = &self.prompts[index];
        Ask {
            prompt: prompt.clone(),
            sample,
            parameters: self.parameters.clone(),
        }
    }
}
