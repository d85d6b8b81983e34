//! What went wrong with one try, and whether another can help.
//!
//! - [`classify`]: from what services say of an error to its kind
//! - [`message`]: what of their words is kept

mod classify;
mod message;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use self::classify::Words;
use super::read::json;
use super::{Preset, RateSignals, Usage};

pub(super) use message::tidy;

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
    pub usage: Option<Box<Usage>>,
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
    /// It leads to another address, which is not followed: the key would go along.
    Redirected,
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
            Self::Redirected => "redirected",
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
                | Self::Redirected
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
            Self::Redirected => Some(
                "the key goes nowhere but to `base_url`; if the other address is the service's own, write that there",
            ),
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

    /// What a response with a bad status tells of. `now` is the time at which it came.
    pub fn read(
        preset: &Preset,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        let signals = RateSignals::read(preset, headers, now);
        let parsed = json::parse(body, &mut Vec::new());
        let words = match &parsed {
            Ok(value) => Words::of(value),
            Err(error) => Words::of_text(body, error),
        };
        let mut kind = classify::kind(Some(status), &words);
        // Nothing allowed at all is no matter of pace: the plan does not include this model.
        let nothing_allowed = |window: &super::RateWindow| window.limit == Some(0);
        if kind == FailureKind::RateLimited && signals.windows.iter().any(nothing_allowed) {
            kind = FailureKind::Quota;
        }
        let mut failure = words.failure(kind, Some(status));
        if kind == FailureKind::Redirected {
            failure.message = redirection(headers);
            // Moved for good: the same request will be sent there again.
            failure.worth_retrying = !matches!(status, 301 | 308);
        }
        failure.retry_after = signals.retry_after.or(failure.retry_after);
        failure.request_id = request_id(headers);
        if let Some(advice) = headers.get("x-should-retry").and_then(|v| v.to_str().ok())
            && !kind.is_fatal()
        {
            failure.worth_retrying = match advice {
                "true" => true,
                "false" => false,
                _ => failure.worth_retrying,
            };
        }
        failure
    }

    /// The same without `secret`, should a service have put it into its message.
    #[must_use]
    pub fn without_secret(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            self.message = self.message.replace(secret, message::HIDDEN);
            self.code = self.code.map(|code| code.replace(secret, message::HIDDEN));
            self.request_id = self
                .request_id
                .map(|id| id.replace(secret, message::HIDDEN));
        }
        self
    }
}

/// Where a response leads to, without what may be a secret: a user and a password, and what follows the question mark.
fn redirection(headers: &HeaderMap) -> String {
    let target = headers.get(http::header::LOCATION);
    let target = target.and_then(|target| target.to_str().ok());
    let Some(target) = target.filter(|target| !target.trim().is_empty()) else {
        return "redirected without saying where to".to_owned();
    };
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match target.split_once("//") {
        Some((scheme, rest)) => (format!("{scheme}//"), rest),
        None => (String::new(), target),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    tidy(&format!(
        "redirected to `{scheme}{host}{path}`, which is not followed"
    ))
}

/// The failure that a JSON value tells of, if it tells of one: a body's, or a stream's event's. `is_error`: it stands
/// where only errors do.
pub(super) fn from_error(status: Option<u16>, value: &Value, is_error: bool) -> Option<Failure> {
    let empty = |error: &Value| {
        error.is_null()
            || error == ""
            || error == false
            || *error == Value::Object(serde_json::Map::new())
    };
    let error = value.get("error").filter(|error| !empty(error));
    let named = json::text(value, "object") == Some("error");
    if error.is_none() && !named && !is_error {
        return None;
    }
    let words = Words::of(value);
    let status = status.or(words.status);
    Some(words.failure(classify::kind(status, &words), status))
}

/// The service's name for the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    const NAMES: [&str; 5] = [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-amzn-requestid",
        "cf-ray",
    ];
    let mut found = NAMES
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok());
    found
        .find(|id| !id.is_empty())
        .map(|id| id.chars().take(200).collect())
}
