//! What a harvest still has to ask.

use std::collections::HashMap;

use limbeck_store::{
    FinishReason, Prompt, SamplingParameters, Store, StoreError, TraceIds, TraceKey,
};

use super::HarvestPlan;
use crate::{Ask, AskError};

/// Prompts and keys that go to the store in one call.
const CHUNK: usize = 1000;

/// One question, by where it stands in the plan: a few bytes, since there may be a million prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// Which of the prompts.
    pub(crate) index: u32,
    pub(crate) sample: u32,
    /// It is asked again with the larger limit that the plan has for answers which were cut off.
    pub(crate) larger: bool,
}

/// The questions without an answer.
pub(crate) struct Pending {
    /// Different prompts in the plan.
    pub(crate) prompts: u64,
    /// Answers that the store holds already.
    pub(crate) reused: u64,
    /// Questions that failed before in a way that would repeat itself, and are not asked.
    pub(crate) left_out: u64,
    /// In the order of the plan.
    pub(crate) questions: Vec<Question>,
}

impl Pending {
    /// Looks up which of the plan's questions have been answered by `teacher` (a key of its identity). A prompt that
    /// the plan holds twice counts once.
    pub(crate) async fn find(
        store: &Store,
        teacher: &str,
        plan: &HarvestPlan,
    ) -> Result<Self, StoreError> {
        let mut pending = Self {
            prompts: 0,
            reused: 0,
            left_out: 0,
            questions: Vec::new(),
        };
        let mut chunk = Vec::with_capacity(CHUNK);
        let ids = plan.trace_ids(teacher);
        let repeats = plan.prompts.repeats();
        for index in 0..plan.prompts.len() {
            if repeats.contains(&index) {
                continue;
            }
            pending.prompts += 1;
            for sample in 0..plan.samples {
                chunk.push(Question {
                    index: index as u32,
                    sample,
                    larger: false,
                });
                if chunk.len() == CHUNK {
                    pending.sort(store, &ids, plan, &mut chunk).await?;
                }
            }
        }
        pending.sort(store, &ids, plan, &mut chunk).await?;
        Ok(pending)
    }

    /// Takes `chunk` and sorts out what is answered and what is not to be asked.
    async fn sort(
        &mut self,
        store: &Store,
        ids: &QuestionIds<'_>,
        plan: &HarvestPlan,
        chunk: &mut Vec<Question>,
    ) -> Result<(), StoreError> {
        let first = ids.of_all(chunk);
        let answered = store.finish_reasons(&first).await?;
        let mut unanswered = Vec::new();
        for (question, id) in chunk.drain(..).zip(first) {
            match answered.get(&id) {
                None => unanswered.push((question, id)),
                Some(FinishReason::Length) if plan.larger_limit().is_some() => {
                    let question = Question {
                        larger: true,
                        ..question
                    };
                    unanswered.push((question, ids.of(question)));
                }
                Some(_) => self.reused += 1,
            }
        }
        let (questions, rest): (Vec<Question>, Vec<String>) = unanswered.into_iter().unzip();
        let larger = store.answered(&rest).await?;
        let failed = store.last_failures(&rest).await?;
        for (question, id) in questions.into_iter().zip(&rest) {
            if larger.contains(id) {
                self.reused += 1;
            } else if plan.asks_again(&failed, id) {
                self.questions.push(question);
            } else {
                self.left_out += 1;
            }
        }
        Ok(())
    }
}

/// What the answers of one teacher to the questions of a plan are kept under.
pub(crate) struct QuestionIds<'a> {
    plan: &'a HarvestPlan,
    usual: TraceIds,
    larger: TraceIds,
}

impl QuestionIds<'_> {
    pub(crate) fn of(&self, question: Question) -> String {
        let ids = if question.larger {
            &self.larger
        } else {
            &self.usual
        };
        let prompt = self.plan.prompts.get(question.index as usize);
        ids.of(&prompt, question.sample)
    }

    pub(crate) fn of_all(&self, questions: &[Question]) -> Vec<String> {
        let ids = questions.iter().map(|&question| self.of(question));
        ids.collect()
    }
}

impl HarvestPlan {
    /// The question about `prompt`, which is the plan's at the question's index.
    pub(crate) fn ask(&self, question: Question, prompt: Prompt) -> Ask {
        Ask {
            prompt,
            sample: question.sample,
            parameters: self.parameters_of(question),
        }
    }

    /// What identifies the answer that `teacher` (a key of its identity) will give to a question.
    pub(crate) fn trace_key(&self, question: Question, teacher: &str) -> TraceKey {
        TraceKey {
            prompt_id: self.prompts.get(question.index as usize),
            sample: question.sample,
            teacher: teacher.to_owned(),
            parameters: self.parameters_of(question),
        }
    }

    /// The ids of the answers that `teacher` (a key of its identity) gives.
    pub(crate) fn trace_ids(&self, teacher: &str) -> QuestionIds<'_> {
        let ids = |larger| TraceIds::new(teacher, &self.parameters_with(larger));
        QuestionIds {
            plan: self,
            usual: ids(false),
            larger: ids(true),
        }
    }

    fn parameters_of(&self, question: Question) -> SamplingParameters {
        self.parameters_with(question.larger)
    }

    fn parameters_with(&self, larger: bool) -> SamplingParameters {
        let mut parameters = self.parameters.clone();
        if let (true, Some(larger)) = (larger, self.larger_limit()) {
            parameters.max_tokens = larger;
        }
        parameters
    }

    /// How many tokens an answer may have that is asked for again because it was cut off.
    pub(crate) fn larger_limit(&self) -> Option<u32> {
        let larger = self.truncated_max_tokens?;
        (self.parameters.choices.is_empty() && larger > self.parameters.max_tokens)
            .then_some(larger)
    }

    /// Whether a question without an answer is asked: one that failed for good only where the plan says so.
    fn asks_again(&self, failed: &HashMap<String, String>, id: &str) -> bool {
        match failed.get(id) {
            None => true,
            Some(kind) => self.retry_failed.contains(kind) || !AskError::is_lasting(kind),
        }
    }
}
