//! What came back from a teacher.

use serde::{Deserialize, Serialize};

use super::TraceKey;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The teacher ended it.
    Stop,
    /// It was cut off at the most tokens allowed.
    Length,
    /// One of the given choices was taken; nothing was generated.
    Choice,
}

impl FinishReason {
    /// The name as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Choice => "choice",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Stop, Self::Length, Self::Choice]
            .into_iter()
            .find(|reason| reason.name() == name)
    }
}

/// One generated token and what else could have stood there.
///
/// Natural logarithms at temperature 1, before any truncation. A store keeps them to 1/4096 of a nat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProbabilities {
    /// The token's id in the teacher's vocabulary.
    pub id: u32,
    /// Its log-probability.
    pub log_probability: f32,
    /// The likeliest tokens at this position with their log-probabilities, the likeliest first.
    pub top: Vec<(u32, f32)>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The answer; with choices, the likeliest one.
    pub text: String,
    /// What the teacher thought aloud before it, where it says so apart.
    pub reasoning: Option<String>,
    /// With choices: the log-probability of each, in their order, not normalised over them.
    pub choice_log_probabilities: Option<Vec<f32>>,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens written.
    pub completion_tokens: u32,
    /// Every generated token; empty where the teacher does not tell.
    pub tokens: Vec<TokenLogProbabilities>,
}

impl Trace {
    /// The mean log-probability of the generated tokens in nats, where the teacher tells them.
    pub fn mean_log_probability(&self) -> Option<f32> {
        if self.tokens.is_empty() {
            return None;
        }
        let sum: f64 = self
            .tokens
            .iter()
            .map(|t| f64::from(t.log_probability))
            .sum();
        Some((sum / self.tokens.len() as f64) as f32)
    }
}

/// How one try at a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum AttemptStatus {
    /// An answer came.
    Answered,
    /// None came.
    Failed {
        /// A short stable name, such as `timeout` or `rate-limited`.
        kind: String,
        /// What happened, in words, without any secret.
        message: String,
    },
}

/// One try at one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The prompt asked.
    pub prompt_id: String,
    /// The trace it was to become.
    pub trace_id: String,
    /// When it began, as RFC 3339 in UTC; see [`now`](super::now).
    pub started_at: String,
    /// How long it was held back by a limit before that, in milliseconds.
    pub waited_ms: u64,
    /// How long the teacher took, in milliseconds.
    pub latency_ms: u64,
    /// How it ended.
    #[serde(flatten)]
    pub status: AttemptStatus,
}

/// What a trace carries to show where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// `local`, or the name of a service.
    pub provider: String,
    /// The model as the recipe names it.
    pub model: String,
    /// The hex SHA-256 of the model's file, for a local one.
    pub model_sha256: Option<String>,
    /// The way to it, such as `in-process`.
    pub route: String,
    /// The licence that the model declares.
    pub license: Option<String>,
    /// The limits in force when it was asked.
    pub limits: serde_json::Value,
    /// The version of Limbeck that asked.
    pub limbeck_version: String,
    /// The hex SHA-256 of the request as it was sent.
    pub request_sha256: String,
    /// The hex SHA-256 of the response as it came.
    pub response_sha256: String,
}

/// An answer with everything that is kept of it; recorded as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What was asked, of whom and how.
    pub key: TraceKey,
    /// The answer.
    pub trace: Trace,
    /// The tries it took, the last of which succeeded.
    pub attempts: Vec<Attempt>,
    /// Where it came from.
    pub receipt: Receipt,
}
