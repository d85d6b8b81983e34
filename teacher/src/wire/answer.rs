//! An answer as it came over the wire, whatever the service.

use std::fmt;

/// One answer, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WireAnswer {
    /// The answer itself. Where it was retracted, what was said before.
    pub text: String,
    /// What the teacher thought aloud, whichever way it came: in a field of its own, in blocks, or between `<think>`
    /// tags at the start of the text.
    pub reasoning: Option<String>,
    /// Why it ended.
    pub finish: Finish,
    /// The service took back what it had begun to say. `text` and `reasoning` hold what came before.
    pub retraction: Option<Retraction>,
    /// What it took.
    pub usage: Usage,
    /// The model that answered, as the service names it; often a dated version of the one that was asked.
    pub model: Option<String>,
    /// The service's name for the answer, from the body.
    pub response_id: Option<String>,
    /// The service's name for the request, from a header.
    pub request_id: Option<String>,
    /// The service's name for the software that answered.
    pub system_fingerprint: Option<String>,
    /// The tokens of `text` with their log-probabilities; empty where the service does not tell them.
    pub tokens: Vec<WireToken>,
    /// What was odd about it and was not believed.
    pub oddities: Vec<Oddity>,
}

/// One token of an answer, by its bytes: ids mean nothing outside the service's own vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct WireToken {
    /// Its bytes; part of a character may be in one token and the rest in the next.
    pub bytes: Vec<u8>,
    /// Its log-probability in nats, 0 or less.
    pub log_probability: f32,
    /// The likeliest tokens at this place with theirs, the likeliest first. Whether the token itself is among them
    /// is up to the service.
    pub top: Vec<(Vec<u8>, f32)>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Finish {
    /// The teacher ended it, or a stop text did.
    Stop,
    /// It was cut off at the most tokens allowed.
    Length,
    /// A filter of the service cut it off.
    ContentFilter,
    /// The teacher refused to go on.
    Refusal,
    /// It ended in a call of a tool, though none was offered.
    Tool,
    /// For a reason that only this service knows.
    Other(String),
    /// The service did not say.
    #[default]
    Unsaid,
}

/// What a service said instead of what it had begun to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retraction {
    /// In the service's words, such as `content_filter`, `refusal` or `SAFETY`.
    pub reason: String,
    /// What it put in place of the answer, where it put anything.
    pub message: Option<String>,
}

/// Tokens that an answer took, as far as the service says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens read, those from a cache included.
    pub input: Option<u64>,
    /// Of `input`: read from a cache, at a lower price.
    pub cached: Option<u64>,
    /// Of `input`: written to a cache, at a higher price.
    pub cache_written: Option<u64>,
    /// Tokens written, those of reasoning included.
    pub output: Option<u64>,
    /// Of `output`: reasoning.
    pub reasoning: Option<u64>,
}

/// Something in a response that was odd, and was left out or mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// A count that cannot be true: negative, broken, not a number, or larger than any context.
    Usage {
        /// The field.
        field: String,
        /// What it held.
        value: String,
    },
    /// Log-probabilities that are none; all of the answer's were left out.
    LogProbabilities {
        /// What is wrong with them.
        what: String,
    },
    /// Bytes that are not UTF-8; each stretch became a replacement character.
    InvalidUtf8,
    /// Numbers such as `NaN`, which JSON does not know.
    InvalidNumbers,
    /// The service did not say why the answer ended.
    NoFinish,
    /// More answers than were asked for; the first was taken.
    SeveralAnswers,
}

impl Finish {
    /// A short stable name.
    pub fn name(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content-filter",
            Self::Refusal => "refusal",
            Self::Tool => "tool",
            Self::Other(name) => name,
            Self::Unsaid => "unsaid",
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { field, value } => write!(f, "the count `{field}` is {value}"),
            Self::LogProbabilities { what } => write!(f, "log-probabilities left out: {what}"),
            Self::InvalidUtf8 => write!(f, "bytes that are not UTF-8"),
            Self::InvalidNumbers => write!(f, "numbers that JSON does not know, such as NaN"),
            Self::NoFinish => write!(f, "no reason why the answer ended"),
            Self::SeveralAnswers => write!(f, "more answers than the one asked for"),
        }
    }
}
