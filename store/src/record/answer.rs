//! What came back from a teacher.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ImportReceipt, TraceKey};

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
    /// The provider took it back while it was being written, or ended it by a filter.
    Filtered,
}

impl FinishReason {
    /// The name as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Choice => "choice",
            Self::Filtered => "filtered",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Stop, Self::Length, Self::Choice, Self::Filtered]
            .into_iter()
            .find(|reason| reason.name() == name)
    }
}

/// One generated token and what else could have stood there.
///
/// Natural logarithms at temperature 1, before any truncation. A store keeps them to 1/4096 of a nat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProbabilities {
    /// The token's id in the teacher's vocabulary, or its place in [`Trace::vocabulary`].
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
    /// Every generated token; empty where the teacher does not tell. With choices, of the answer as it was drawn, which
    /// need not be the likeliest choice.
    pub tokens: Vec<TokenLogProbabilities>,
    /// The bytes of the tokens, where the teacher tells these and no ids; `tokens` then name places in here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocabulary: Vec<Vec<u8>>,
    /// What the teacher had begun to say before it took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retracted: Option<String>,
}

impl Trace {
    /// The mean log-probability of the generated tokens in nats, where the teacher tells them. None with choices: how
    /// sure the teacher was is in their distribution, and the tokens may spell another choice than `text`.
    pub fn mean_log_probability(&self) -> Option<f32> {
        if self.tokens.is_empty() || self.finish_reason == FinishReason::Choice {
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
    /// The teacher's identity; attempts of old stores do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// When it began, as RFC 3339 in UTC; see [`now`](super::now).
    pub started_at: String,
    /// How long it was held back by a limit before that, in milliseconds.
    pub waited_ms: u64,
    /// How long the teacher took, in milliseconds.
    pub latency_ms: u64,
    /// How it ended.
    #[serde(flatten)]
    pub status: AttemptStatus,
    /// Where it went and what came back, for one over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<Call>>,
}

/// What is known of one request over the network; never a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Call {
    /// Host and path that were asked.
    pub endpoint: String,
    /// What the user calls the key.
    pub key_alias: Option<String>,
    /// The status of the response, if one came.
    pub http_status: Option<u16>,
    /// The headers of the response that tell of limits, waits and identity.
    pub headers: BTreeMap<String, String>,
    /// The provider's own id of the request.
    pub request_id: Option<String>,
    /// Tokens read, as the provider counts them.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, as the provider counts them.
    pub completion_tokens: Option<u64>,
    /// What it cost, in billionths of a US dollar, by the prices of the recipe. Where no word came back, the most
    /// that it may have cost.
    pub cost_nano_usd: Option<u64>,
}

/// A question without an answer, by its last attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// How many attempts were made at it.
    pub attempts: u64,
    /// What the student would see.
    pub input: String,
    /// The last of them.
    #[serde(flatten)]
    pub last: Attempt,
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
    /// What else is known of an answer that came over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<ServiceReceipt>>,
    /// Of an answer that was asked for elsewhere: what the rest of the receipt rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Box<ImportReceipt>>,
    /// The records of terms that were in force on the day on which the answer was kept, as the store that kept it knew
    /// them; empty where no record said anything. `None` in receipts that do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Vec<TermsInForce>>,
    /// What a person says the licence really is, where the store was told so when the answer was kept. `license` says
    /// what was declared all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clarification: Option<Box<Clarified>>,
}

/// A person's word that a licence is another than the one that is declared, by a text that they read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Clarified {
    /// The licence: a name or an SPDX expression.
    pub license: String,
    /// Who read the text.
    pub reviewer: String,
    /// Where the text is.
    pub text: String,
    /// The SHA-256 of the text, in hex.
    pub sha256: String,
}

/// A record of terms, as a receipt names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TermsInForce {
    /// The record's id.
    pub id: String,
    /// Its digest on that day: a record that was corrected since has another.
    pub sha256: String,
}

/// The part of a receipt that only a service over the network has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceReceipt {
    /// Host and path that were asked.
    pub endpoint: String,
    /// The plan, as the recipe declares it.
    pub plan: Option<String>,
    /// The region, as the recipe declares it.
    pub region: Option<String>,
    /// How long the provider keeps what it is sent, as the recipe declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// With whom the user has the contract, as the recipe declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contracting_entity: Option<String>,
    /// What the user calls the key.
    pub key_alias: Option<String>,
    /// The provider's own id of the request.
    pub request_id: Option<String>,
    /// The model that answered, as the response names it.
    pub answered_model: Option<String>,
    /// The provider's name for the state of its system.
    pub system_fingerprint: Option<String>,
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
