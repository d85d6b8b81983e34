//! Requests that are handed to a service together.

use serde::{Deserialize, Serialize};

use super::{Answered, Attempt, SamplingParameters, TraceKey};

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchState {
    /// It may or may not be at the service: its name there is not known.
    Submitting,
    /// The service has it.
    Submitted,
    /// The service is done with it, and its results are being read.
    Collecting,
    /// What became of each of its requests is known.
    Ended,
}

impl BatchState {
    /// The name as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitting => "submitting",
            Self::Submitted => "submitted",
            Self::Collecting => "collecting",
            Self::Ended => "ended",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [
            Self::Submitting,
            Self::Submitted,
            Self::Collecting,
            Self::Ended,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// A batch that is about to be handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBatch {
    /// What the service is told, to find the batch by if its name never arrives. No two are the same.
    pub marker: String,
    /// The teacher's identity.
    pub teacher: String,
    /// Host and path.
    pub endpoint: String,
    /// What the user calls the key.
    pub key_alias: Option<String>,
    /// How all of it is asked.
    pub parameters: SamplingParameters,
    /// What it asks.
    pub requests: Vec<BatchRequest>,
}

/// One request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// The trace that it is to become, which is also what the service is given to tell it by.
    pub trace_id: String,
    /// The prompt.
    pub prompt_id: String,
    /// Which answer to the prompt, counted from 0.
    pub sample: u32,
    /// The hex SHA-256 of the request.
    pub request_sha256: String,
    /// What it may cost at most, in billionths of a US dollar.
    pub most_nano_usd: u64,
    /// What became of it, as far as it is known.
    pub outcome: Option<BatchOutcome>,
}

/// What became of a request in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchOutcome {
    /// Its answer is kept.
    Answered,
    /// It was worked on, and failed.
    Failed,
    /// Nobody worked on it: the batch expired, was cancelled, or was never sent.
    Unanswered,
}

impl BatchOutcome {
    /// The name as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Answered, Self::Failed, Self::Unanswered]
            .into_iter()
            .find(|outcome| outcome.name() == name)
    }
}

/// A batch as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Its number in the store.
    pub number: i64,
    /// What the service was told, to find it by.
    pub marker: String,
    /// The service's name for it, once it is known.
    pub remote_id: Option<String>,
    /// How far it has come.
    pub state: BatchState,
    /// The teacher's identity.
    pub teacher: String,
    /// Host and path.
    pub endpoint: String,
    /// What the user calls the key.
    pub key_alias: Option<String>,
    /// How all of it is asked.
    pub parameters: SamplingParameters,
    /// When it was made, as RFC 3339 in UTC; as are the other times.
    pub created_at: String,
    /// When it was about to be sent.
    pub sent_at: Option<String>,
    /// When the service had taken it.
    pub submitted_at: Option<String>,
    /// When the service was asked last how far it is.
    pub polled_at: Option<String>,
    /// What it said, in its own words.
    pub remote_state: Option<String>,
    /// Requests that the service said it was done with.
    pub remote_done: Option<u64>,
    /// When the last of its results was kept.
    pub ended_at: Option<String>,
    /// Lines of its results that were not kept.
    pub odd_lines: u64,
    /// Requests in it.
    pub requests: u64,
    /// Of these: answered.
    pub answered: u64,
    /// Of these: failed.
    pub failed: u64,
    /// Of these: not worked on.
    pub unanswered: u64,
}

impl Batch {
    /// Requests of which nothing is known yet.
    pub fn open(&self) -> u64 {
        self.requests - (self.answered + self.failed + self.unanswered).min(self.requests)
    }

    /// Whether the service may or may not have it: it was sent, and no word of it came back.
    pub fn fate_is_unknown(&self) -> bool {
        self.state == BatchState::Submitting && self.sent_at.is_some()
    }

    /// What the answer to one of its requests is kept under.
    pub fn key(&self, request: &BatchRequest) -> TraceKey {
        TraceKey {
            prompt_id: request.prompt_id.clone(),
            sample: request.sample,
            teacher: self.teacher.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

/// Results of a batch that are kept together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchResults {
    /// Answers.
    pub answered: Vec<Answered>,
    /// Requests that were worked on and failed.
    pub failed: Vec<Attempt>,
    /// Requests that nobody worked on.
    pub unanswered: Vec<Attempt>,
}

impl BatchResults {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.answered.len() + self.failed.len() + self.unanswered.len()
    }

    /// What becomes of each request by them, by trace id.
    pub(crate) fn outcomes(&self) -> Vec<(String, BatchOutcome)> {
        let answered = self.answered.iter().map(|answered| answered.key.id());
        let id = |attempt: &Attempt| attempt.trace_id.clone();
        let failed = self.failed.iter().map(id);
        let unanswered = self.unanswered.iter().map(id);
        answered
            .map(|id| (id, BatchOutcome::Answered))
            .chain(failed.map(|id| (id, BatchOutcome::Failed)))
            .chain(unanswered.map(|id| (id, BatchOutcome::Unanswered)))
            .collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
