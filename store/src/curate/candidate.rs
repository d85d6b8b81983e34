//! One trace as curation sees it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::identity::content_id;
use crate::normalise;
use crate::record::{FinishReason, TraceRecord};

/// What a teacher thought of each choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChoiceDistribution {
    /// The choices.
    pub choices: Vec<String>,
    /// The log-probability of each in nats, not normalised over them; as many as `choices`.
    pub log_probabilities: Vec<f32>,
}

/// One trace to be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The trace's id.
    pub trace_id: String,
    /// What the trace is about, whichever way it was asked: [`Candidate::item_of`] the input.
    pub item: String,
    /// The bare text that the student sees.
    pub input: String,
    /// The way of asking.
    pub phrasing: String,
    /// Which answer to the prompt.
    pub sample: u32,
    /// The answer.
    pub answer: String,
    /// With choices: what the teacher thought of each. Lists of unequal length are taken for free text.
    pub choices: Option<ChoiceDistribution>,
    /// Whether something in the answer was replaced, so that it is not what the teacher's tokens say any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
    /// Why the answer ended.
    pub finish: FinishReason,
    /// Tokens of the answer.
    pub completion_tokens: u32,
    /// The mean log-probability of those tokens in nats, where the teacher tells them.
    pub mean_log_probability: Option<f32>,
}

impl Candidate {
    /// The identity of what a trace is about: a hash of the [normalised](normalise) input.
    pub fn item_of(input: &str) -> String {
        content_id(&json!({"limbeck": "item/1", "input": normalise(input)}))
    }
}

impl From<TraceRecord> for Candidate {
    fn from(record: TraceRecord) -> Self {
        let choices = record
            .choice_log_probabilities
            .map(|log_probabilities| ChoiceDistribution {
                choices: record.key.parameters.choices,
                log_probabilities,
            });
        Self {
            trace_id: record.id,
            item: Self::item_of(&record.prompt.input),
            input: record.prompt.input,
            phrasing: record.prompt.phrasing,
            sample: record.key.sample,
            answer: record.text,
            choices,
            redacted: false,
            finish: record.finish_reason,
            completion_tokens: record.completion_tokens,
            mean_log_probability: record.mean_log_probability,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}
