//! What went wrong with one try, and whether another can help.

use std::time::Duration;

use super::Usage;

/// One try that gave no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct Failure {
    /// Of what kind it is.
    pub kind: FailureKind,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// The service's own name for it, such as `insufficient_quota`.
    pub code: Option<String>,
    /// What happened, in one line, without what looks like a key.
    pub message: String,
    /// The service asks to wait this long.
    pub retry_after: Option<Duration>,
    /// Whether asking again can help.
    pub worth_retrying: bool,
    /// What it took nevertheless: refusals are paid for.
    pub usage: Option<Usage>,
    /// The service's name for the request.
    pub request_id: Option<String>,
}

/// Of what kind a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Asked too often; waiting helps.
    RateLimited,
    /// The service has too much to do; waiting helps.
    Overloaded,
    /// No answer in time.
    Timeout,
    /// The connection failed or was cut.
    Connection,
    /// Something came that is no answer.
    Malformed,
    /// The teacher refused.
    Refused,
    /// A filter of the service refused the question or the answer.
    Policy,
    /// The key is missing, wrong, or not allowed to do this.
    Authentication,
    /// The money or the day's allowance is used up.
    Quota,
    /// The question does not fit into the teacher's context.
    TooLong,
    /// The model or the address does not exist.
    NotFound,
    /// The service does not understand the request.
    InvalidRequest,
    /// The service broke.
    Server,
}

impl FailureKind {
    /// A short stable name, as it stands in the store's record of failures.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Policy => "policy",
            Self::Authentication => "authentication",
            Self::Quota => "quota",
            Self::TooLong => "too-long",
            Self::NotFound => "not-found",
            Self::InvalidRequest => "invalid-request",
            Self::Server => "server",
        }
    }

    /// Whether asking the same again can help.
    pub fn is_worth_retrying(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Overloaded
                | Self::Timeout
                | Self::Connection
                | Self::Malformed
                | Self::Server
        )
    }

    /// Whether every other question to the same teacher would fail in the same way.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Authentication | Self::Quota | Self::NotFound)
    }

    /// What a person can do about it, if there is anything to say.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Authentication => Some(
                "look at the variable that `api_key_env` names, and at what the key may be used for",
            ),
            Self::Quota => {
                Some("add credit at the service, or wait until its allowance is renewed")
            }
            Self::NotFound => Some("look at `model` and `base_url` of the teacher"),
            Self::TooLong => Some("shorten the template, the examples or the rows"),
            Self::RateLimited => Some("lower the teacher's `limits`"),
            _ => None,
        }
    }
}

impl Failure {
    /// A failure without a response, such as a timeout.
    pub fn transport(kind: FailureKind, message: &str) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            message: message.to_owned(),
            retry_after: None,
            worth_retrying: kind.is_worth_retrying(),
            usage: None,
            request_id: None,
        }
    }
}
