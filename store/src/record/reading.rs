//! Traces as they are read again.

use serde::{Deserialize, Serialize};

use super::{Attempt, FinishReason, Prompt, Receipt, TraceKey};
use crate::curate::Verdict;

/// A trace with its prompt, as curation and training need it.
///
/// The token log-probabilities are read apart, with
/// [`Store::token_log_probabilities`](crate::Store::token_log_probabilities): they are a hundred times the
/// size of the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceRecord {
    /// The trace's id.
    pub id: String,
    /// What was asked, of whom and how.
    pub key: TraceKey,
    /// The prompt.
    pub prompt: Prompt,
    /// The answer; with choices, the likeliest one.
    pub text: String,
    /// What the teacher thought aloud.
    pub reasoning: Option<String>,
    /// With choices: the log-probability of each, in the order of the key's `choices`.
    pub choice_log_probabilities: Option<Vec<f32>>,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens written.
    pub completion_tokens: u32,
    /// The mean log-probability of the generated tokens in nats, where the teacher tells them.
    pub mean_log_probability: Option<f32>,
    /// When it was recorded, as RFC 3339 in UTC.
    pub recorded_at: String,
    /// What the teacher had begun to say before it took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retracted: Option<String>,
}

/// Which traces a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceFilter {
    /// The most rows; `None` for all.
    pub limit: Option<u32>,
    /// How many to pass over first.
    pub offset: u32,
    /// Only those of this teacher identity.
    pub teacher: Option<String>,
    /// Only those that the newest curation judged so.
    pub verdict: Option<VerdictFilter>,
}

impl Default for TraceFilter {
    fn default() -> Self {
        Self {
            limit: Some(50),
            offset: 0,
            teacher: None,
            verdict: None,
        }
    }
}

/// How the newest curation judged a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictFilter {
    /// Judged, and no check dropped it.
    Kept,
    /// Some check dropped it.
    Dropped,
    /// No check judged it.
    Unjudged,
}

/// One row of a list of traces, in the order in which they were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// The trace's id.
    pub id: String,
    /// The prompt's id.
    pub prompt_id: String,
    /// Which answer to the prompt.
    pub sample: u32,
    /// The teacher's identity.
    pub teacher: String,
    /// The way of asking.
    pub phrasing: String,
    /// What the student sees.
    pub input: String,
    /// The answer.
    pub text: String,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// Tokens written.
    pub completion_tokens: u32,
    /// How the newest curation judged it.
    pub verdict: VerdictFilter,
    /// When it was recorded, as RFC 3339 in UTC.
    pub recorded_at: String,
}

/// Everything about one trace except its token log-probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceDetail {
    /// The trace and its prompt.
    pub record: TraceRecord,
    /// Where it came from.
    pub receipt: Receipt,
    /// The tries it took, in order.
    pub attempts: Vec<Attempt>,
    /// What the newest curation found, in the order of its checks.
    pub verdicts: Vec<Verdict>,
}
