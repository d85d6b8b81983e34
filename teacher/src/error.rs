//! What can go wrong with a teacher, a question and a harvest.

use std::error::Error;

use limbeck_model::ModelError;
use limbeck_store::StoreError;

use crate::pace::{Refusal, usd};
use crate::wire::{Failure, RequestError};

/// A local teacher could not be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeacherError {
    /// The model's files cannot be used.
    #[error("cannot load the teacher `{name}`")]
    Load {
        /// The recipe's name for the teacher.
        name: String,
        /// What is wrong with them.
        #[source]
        source: Box<ModelError>,
    },
    /// The system gave no thread to decode on.
    #[error("cannot start the thread of the teacher `{name}`")]
    Thread {
        /// The recipe's name for the teacher.
        name: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A limit that would let nothing through.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl TeacherError {
    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Load { .. } => Some(
                "a teacher is a GGUF file of the `llama` architecture, or a folder as transformers saves it",
            ),
            Self::Thread { .. } => {
                Some("close other programs, or raise the limit of threads (`ulimit -u`)")
            }
            Self::Limit(error) => Some(error.hint()),
        }
    }
}

/// A limit that would let nothing through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{field}` is 0, expected 1 or more")]
pub struct LimitError {
    /// The limit's name in a recipe.
    pub field: &'static str,
}

impl LimitError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        "leave the limit out, or give it the number that the teacher allows"
    }
}

/// One question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It was still waiting for its turn when the work was stopped; it was not asked.
    #[error("stopped before it was asked")]
    Cancelled,
    /// The prompt and its answer do not fit into the teacher's context.
    #[error(
        "the prompt has {prompt} tokens and its answer needs {answer}, but the teacher's context holds {context}"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens that the answer needs at least.
        answer: usize,
        /// Tokens that the context holds.
        context: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// A choice without any text has no probability.
    #[error("the choice {choice:?} is empty")]
    EmptyChoice {
        /// The choice.
        choice: String,
    },
    /// No token of an answer was allowed.
    #[error("an answer of at most 0 tokens was asked for")]
    NoTokens,
    /// A chat was put to a model that has no form for it.
    #[error("the teacher `{teacher}` has no chat template")]
    NoChatTemplate {
        /// The recipe's name for the teacher.
        teacher: String,
    },
    /// The prompt could not be turned into tokens.
    #[error("the prompt cannot be encoded")]
    Encode(#[from] ModelError),
    /// The forward pass failed.
    #[error("decoding failed: {message}")]
    Decode {
        /// The decoder's account.
        message: String,
    },
    /// The thread that decodes has ended.
    #[error("the thread of the teacher `{teacher}` has ended")]
    Stopped {
        /// The recipe's name for the teacher.
        teacher: String,
    },
    /// It may need more than a limit ever lets through.
    #[error(
        "it may take {need} tokens, but the limit `{field}` of {allowance} never lets so many through"
    )]
    OverLimit {
        /// The limit's name in a recipe.
        field: &'static str,
        /// Tokens that it may need.
        need: u64,
        /// Tokens that the limit lets through.
        allowance: u64,
    },
    /// There may not be enough money left for it; it was not asked.
    #[error(
        "the cap `spend_usd` is reached: {spent:.6} of {cap:.6} USD are spent, and one more request may cost {cost:.6}"
    )]
    CapReached {
        /// The cap in US dollars.
        cap: f64,
        /// What is spent.
        spent: f64,
        /// What the question may cost.
        cost: f64,
    },
    /// The service cannot be asked this.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The service gave no answer, after all attempts that were worth making.
    #[error("`{endpoint}` gave no answer in {attempts} {}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Service {
        /// Host and path.
        endpoint: String,
        /// How many were made.
        attempts: usize,
        /// Whether every other question would fail in the same way.
        fatal: bool,
        /// The last failure.
        #[source]
        failure: Box<Failure>,
    },
    /// No endpoint has answered for minutes, and nobody should wait any longer.
    #[error("`{}` has not answered for minutes", endpoints.join("`, `"))]
    Unreachable {
        /// Host and path of each.
        endpoints: Vec<String>,
    },
    /// A failure that only this kind of teacher knows.
    #[error("{message}")]
    Other {
        /// A short stable name, such as `timeout` or `rate-limited`.
        kind: String,
        /// What happened, in words, without any secret.
        message: String,
        /// Whether every other question would fail in the same way.
        fatal: bool,
    },
}

impl AskError {
    /// A short stable name, as it stands in the store's record of failures.
    pub fn kind(&self) -> &str {
        match self {
            Self::Cancelled => "cancelled",
            Self::TooLong { .. } => "too-long",
            Self::EmptyPrompt => "empty-prompt",
            Self::EmptyChoice { .. } => "empty-choice",
            Self::NoTokens => "no-tokens",
            Self::NoChatTemplate { .. } => "no-chat-template",
            Self::Encode(_) => "encode",
            Self::Decode { .. } => "decode",
            Self::Stopped { .. } => "stopped",
            Self::OverLimit { .. } => "over-limit",
            Self::CapReached { .. } => "cap-reached",
            Self::Request(_) => "invalid-request",
            Self::Service { failure, .. } => failure.kind.name(),
            Self::Unreachable { .. } => "unreachable",
            Self::Other { kind, .. } => kind,
        }
    }

    /// Whether every other question of the same harvest would fail in the same way.
    pub fn is_fatal(&self) -> bool {
        match self {
            // The choices and the number of tokens are those of the whole harvest, not of one prompt.
            Self::EmptyChoice { .. }
            | Self::NoTokens
            | Self::NoChatTemplate { .. }
            | Self::CapReached { .. }
            | Self::Unreachable { .. }
            | Self::Stopped { .. } => true,
            // The settings are those of the whole harvest, the turns those of one prompt.
            Self::Request(error) => matches!(
                error,
                RequestError::Unsupported { .. } | RequestError::Invalid { .. }
            ),
            Self::Service { fatal, .. } | Self::Other { fatal, .. } => *fatal,
            Self::Cancelled
            | Self::TooLong { .. }
            | Self::EmptyPrompt
            | Self::OverLimit { .. }
            | Self::Encode(_)
            | Self::Decode { .. } => false,
        }
    }

    /// Whether a failure of this kind would repeat itself and may cost money each time: such a question is asked again
    /// only on request.
    pub fn is_lasting(kind: &str) -> bool {
        matches!(kind, "policy" | "refused" | "invalid-request")
    }

    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::TooLong { .. } => {
                Some("shorten the template, the examples or the rows (a `where` on their length)")
            }
            Self::EmptyPrompt => Some("leave rows without text out with `where`"),
            Self::EmptyChoice { .. } => Some("write every entry of `choices` out"),
            Self::NoTokens => Some("set `max_tokens` of `sampling` to 1 or more"),
            Self::NoChatTemplate { .. } => Some("ask in the form `completion`"),
            Self::Stopped { .. } => Some("answers so far are kept; run the same command again"),
            Self::OverLimit { .. } => {
                Some("shorten the prompt, lower `max_tokens` of `sampling`, or raise the limit")
            }
            Self::CapReached { .. } => Some(
                "answers so far are kept; raise `spend_usd` of `limits` and run the same command again",
            ),
            Self::Request(error) => error.hint(),
            Self::Service { failure, .. } => failure.kind.hint(),
            Self::Unreachable { .. } => Some(
                "answers so far are kept; look at `base_url` and at the network, and run the same command again",
            ),
            Self::Other { kind, .. } if kind == "batch-rejected" => Some(
                "answers so far are kept; mend the cause, or try smaller batches (`batch = { size = … }`), and run the same command again",
            ),
            Self::Other { kind, .. } if kind == "batch-unknown" => Some(
                "use the key of the project that it was handed over with; if it is gone, `limbeck teachers batches RECIPE --send-again ID` has its questions asked again, and `--forget ID` gives them up",
            ),
            Self::Cancelled | Self::Encode(_) | Self::Decode { .. } | Self::Other { .. } => None,
        }
    }

    /// The error with its causes, in one line.
    pub(crate) fn in_full(&self) -> String {
        in_full(self)
    }
}

impl From<Refusal> for AskError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::LargerThanLimit {
                field,
                need,
                allowance,
            } => Self::OverLimit {
                field,
                need,
                allowance,
            },
            Refusal::CapReached { cap, spent, cost } => Self::CapReached {
                cap: usd(cap),
                spent: usd(spent),
                cost: usd(cost),
            },
        }
    }
}

/// An error and its causes, outermost first, in one line.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A harvest that could not go on. Every answer that came before is in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarvestError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A limit that would let nothing through.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A failure that every other question would share.
    #[error("the teacher `{teacher}` cannot answer")]
    Teacher {
        /// The recipe's name for the teacher.
        teacher: String,
        /// Why.
        #[source]
        source: AskError,
    },
    /// So many failures one after another that the rest would fail as well.
    #[error("{count} questions in a row got no answer from the teacher `{teacher}`")]
    TooManyFailures {
        /// The recipe's name for the teacher.
        teacher: String,
        /// How many.
        count: usize,
        /// The last of them.
        #[source]
        source: AskError,
    },
}

impl HarvestError {
    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Limit(error) => Some(error.hint()),
            Self::Teacher { source, .. } => source.hint(),
            Self::TooManyFailures { source, .. } => source.hint().or(Some(
                "answers so far are kept; mend the cause and run the same command again",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_one_another_in_one_line() {
        let source = ModelError::ChatRole {
            role: "<|im_start|>".to_owned(),
        };
        let expected = format!("the prompt cannot be encoded: {source}");
        assert_eq!(AskError::Encode(source).in_full(), expected);
    }
}
