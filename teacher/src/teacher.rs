//! What a teacher is: something with an identity that answers one question at a time.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use limbeck_store::identity::sha256_hex;
use limbeck_store::{
    Attempt, AttemptStatus, Call, Prompt, PromptBody, SamplingParameters, ServiceReceipt, Trace,
    TraceKey,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::AskError;

/// Something that answers questions.
#[async_trait]
pub trait Teacher: Send + Sync {
    /// Who answers; it goes into every receipt.
    fn identity(&self) -> &TeacherIdentity;

    /// Asks one question and waits for the answer.
    ///
    /// `cancel` means "begin nothing more": a question that still waits for its turn comes back as
    /// [`AskError::Cancelled`], one that is being answered is answered to its end, because an answer that was
    /// begun may have been paid for. Whoever wants it to stop at once drops the future.
    async fn ask(&self, ask: &Ask, cancel: &CancellationToken) -> Asked;

    /// How many questions the teacher takes in while all its places are busy, so that the next are ready when a
    /// place becomes free. They count against no limit of concurrency, since nothing is done with them yet. A
    /// service keeps the default of none.
    fn queue_ahead(&self) -> usize {
        0
    }

    /// How many questions a teacher takes at a time that keeps its limits itself, because one question may take
    /// several requests. `None`: the harvest keeps them for it.
    fn places(&self) -> Option<usize> {
        None
    }
}

/// Who answers, and by which way it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherIdentity {
    /// The recipe's name for it.
    pub name: String,
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
}

impl TeacherIdentity {
    /// What stands for this teacher in a [`TraceKey`]: provider, model and route.
    ///
    /// A model file counts by its digest, so that moving or renaming it, or the teacher, asks nothing twice.
    pub fn key(&self) -> String {
        let model = self.model_sha256.as_deref().unwrap_or(&self.model);
        format!("{}|{model}|{}", self.provider, self.route)
    }
}

/// One question to a teacher.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// What is asked.
    pub prompt: Prompt,
    /// Which answer to the prompt this is, counted from 0.
    pub sample: u32,
    /// How it is asked; its `seed` is the recipe's, see [`Ask::seed`].
    pub parameters: SamplingParameters,
}

impl Ask {
    /// What identifies the answer that `teacher` (a [`TeacherIdentity::key`]) will give.
    pub fn trace_key(&self, teacher: &str) -> TraceKey {
        TraceKey {
            prompt_id: self.prompt.id.clone(),
            sample: self.sample,
            teacher: teacher.to_owned(),
            parameters: self.parameters.clone(),
        }
    }

    /// Bytes of all that is asked; no tokenizer makes more tokens of them than bytes, its own marks apart.
    pub fn prompt_bytes(&self) -> u64 {
        let bytes = match &self.prompt.body {
            PromptBody::Completion { text } => text.len(),
            PromptBody::Chat { messages } => messages
                .iter()
                .map(|message| message.role.len() + message.content.len())
                .sum(),
        };
        bytes as u64
    }

    /// The seed of this one request: a hash of the recipe's seed, the prompt and the sample number.
    ///
    /// It depends on nothing else, so neither the order of the questions nor their batch changes an answer.
    pub fn seed(&self) -> u64 {
        let digest = sha256_hex(
            format!(
                "limbeck/request-seed/1|{}|{}|{}",
                self.parameters.seed, self.prompt.id, self.sample
            )
            .as_bytes(),
        );
        // The first 64 bits of the digest; hex digits only, so every step of the fold is defined.
        digest
            .chars()
            .take(16)
            .filter_map(|digit| digit.to_digit(16))
            .fold(0, |seed, digit| seed << 4 | u64::from(digit))
    }
}

/// What a teacher gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The answer, with its token counts (the prompt's include what was shared with other prompts).
    pub trace: Trace,
    /// How long the teacher worked on it, without waiting in a queue.
    pub latency: Duration,
    /// The hex SHA-256 of the request as it was sent; see [`Receipt`](limbeck_store::Receipt).
    pub request_sha256: String,
    /// The hex SHA-256 of the response as it came.
    pub response_sha256: String,
    /// The limits that it was asked under, as receipts tell them, where they are not the harvest's.
    pub limits: Option<Value>,
    /// What a receipt says of an answer that came over the network.
    pub service: Option<Box<ServiceReceipt>>,
}

/// What became of a question: every try at it, and how it ended.
#[derive(Debug)]
pub struct Asked {
    /// In order. The last one of an answered question is the one that was answered; a question that was never put to
    /// the teacher has none.
    pub tries: Vec<Try>,
    /// The answer, or why there is none.
    pub result: Result<Answer, AskError>,
}

impl Asked {
    /// One try that began at `started_at`, with its result.
    pub fn once(started_at: String, begun: Instant, result: Result<Answer, AskError>) -> Self {
        let one = match &result {
            Err(AskError::Cancelled) => None,
            Err(error) => Some(Try::failed(started_at, begun.elapsed(), error)),
            Ok(answer) => Some(Try {
                started_at,
                waited: Duration::ZERO,
                latency: answer.latency,
                status: AttemptStatus::Answered,
                call: None,
            }),
        };
        Self {
            tries: one.into_iter().collect(),
            result,
        }
    }
}

/// One try at a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// When it began, as RFC 3339 in UTC.
    pub started_at: String,
    /// How long it was held back before that.
    pub waited: Duration,
    /// How long the teacher took.
    pub latency: Duration,
    /// How it ended.
    pub status: AttemptStatus,
    /// Where it went and what came back, for one over the network.
    pub call: Option<Box<Call>>,
}

impl Try {
    pub(crate) fn failed(started_at: String, latency: Duration, error: &AskError) -> Self {
        let status = AttemptStatus::Failed {
            kind: error.kind().to_owned(),
            message: error.in_full(),
        };
        Self {
            started_at,
            waited: Duration::ZERO,
            latency,
            status,
            call: None,
        }
    }

    /// As the store keeps it: a try at the answer `key`, whose id is `trace_id`.
    pub(crate) fn attempt(self, key: &TraceKey, trace_id: &str) -> Attempt {
        Attempt {
            prompt_id: key.prompt_id.clone(),
            trace_id: trace_id.to_owned(),
            teacher: Some(key.teacher.clone()),
            started_at: self.started_at,
            waited_ms: self.waited.as_millis() as u64,
            latency_ms: self.latency.as_millis() as u64,
            status: self.status,
            call: self.call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, sample: u32, seed: u64) -> Ask {
        let body = PromptBody::Completion {
            text: text.to_owned(),
        };
        let mut parameters = SamplingParameters::choose(Vec::new());
        parameters.seed = seed;
        Ask {
            prompt: Prompt::new(body, text, "main", "test", 1),
            sample,
            parameters,
        }
    }

    #[test]
    fn a_seed_depends_on_recipe_seed_prompt_and_sample_and_on_nothing_else() {
        let seed = ask("a", 0, 1).seed();
        assert_ne!(seed, ask("b", 0, 1).seed());
        assert_ne!(seed, ask("a", 1, 1).seed());
        assert_ne!(seed, ask("a", 0, 2).seed());
        let mut elsewhere = ask("a", 0, 1);
        elsewhere.prompt.row = 77;
        elsewhere.prompt.source = "another.csv".to_owned();
        assert_eq!(seed, elsewhere.seed());
    }

    #[test]
    fn a_seed_is_the_same_for_ever() {
        let ask = ask("a", 0, 1);
        let text = format!("limbeck/request-seed/1|1|{}|0", ask.prompt.id);
        let digest = sha256_hex(text.as_bytes());
        assert_eq!(format!("{:016x}", ask.seed()), digest[..16]);
    }

    #[test]
    fn a_renamed_teacher_or_a_moved_file_is_the_same_teacher() {
        let identity = TeacherIdentity {
            name: "a".to_owned(),
            provider: "local".to_owned(),
            model: "here.gguf".to_owned(),
            model_sha256: Some("00ff".to_owned()),
            route: "in-process".to_owned(),
            license: None,
        };
        let moved = TeacherIdentity {
            name: "b".to_owned(),
            model: "there.gguf".to_owned(),
            ..identity.clone()
        };
        assert_eq!(identity.key(), "local|00ff|in-process");
        assert_eq!(identity.key(), moved.key());
        let unhashed = TeacherIdentity {
            model_sha256: None,
            ..identity
        };
        assert_eq!(unhashed.key(), "local|here.gguf|in-process");
    }
}
