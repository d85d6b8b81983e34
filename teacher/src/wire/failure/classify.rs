//! From what a service says of an error to its kind.
//!
//! Every service has its own names, statuses are used loosely (an empty account is a 400, a 402, a 403 or a 429), and
//! some facts are told in words alone. So each kind has a list of the names, statuses and words that mean it, and the
//! first kind that is meant wins, those first that no waiting will mend.

use std::time::Duration;

use serde_json::Value;

use super::message::tidy;
use super::{Failure, FailureKind};
use crate::wire::rate::duration;
use crate::wire::read::json::{describe, text};

/// What an error says of itself.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The names that it goes by: code, type, status, reasons.
    names: Vec<String>,
    message: String,
    /// The HTTP status in the body, where the response's own says nothing.
    pub(super) status: Option<u16>,
    retry_after: Option<Duration>,
    /// A limit that lasts a day or longer was hit.
    of_the_day: bool,
}

impl Words {
    /// Reads the shapes of errors of all services:
    /// `{"error": {"message", "type", "code", "status", "details"}}` with the code a text or a status,
    /// `{"error": "…", "code": "…"}`, `{"object": "error", "message", "type", "code"}`, `{"detail": …}`,
    /// `{"message": …}`, and the first of a list of these.
    pub(super) fn of(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let mut words = Self::default();
        let mut message = None;
        for place in [value.get("error"), Some(value)].into_iter().flatten() {
            words.add_names(place);
            let said = place.as_str().or_else(|| text(place, "message"));
            message = message.or(said.map(str::to_owned));
            for detail in place
                .get("details")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                words.add_detail(detail);
            }
        }
        let detail = value.get("detail").filter(|detail| !detail.is_null());
        let detail = detail.map(|detail| match detail {
            Value::String(detail) => detail.clone(),
            other => other.to_string(),
        });
        words.message = message.or(detail).unwrap_or_default();
        words.retry_after = words.retry_after.or_else(|| try_again_in(&words.message));
        words
    }

    /// A body that is no JSON: what it is, and its words if it is short text.
    pub(super) fn of_text(body: &[u8], error: &serde_json::Error) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(2000)]);
        let plain = !text.trim().is_empty() && !text.trim_start().starts_with(['<', '{', '[']);
        let message = if plain {
            text.into_owned()
        } else {
            describe(body, error)
        };
        Self {
            retry_after: try_again_in(&message),
            message,
            ..Self::default()
        }
    }

    fn add_names(&mut self, place: &Value) {
        for key in ["code", "type", "status", "reason"] {
            match place.get(key) {
                Some(Value::String(name)) => match name.parse() {
                    Ok(status) => self.add_status(status),
                    Err(_) if name == "error" => {}
                    Err(_) => self.names.push(name.clone()),
                },
                Some(Value::Number(number)) => self.add_status(number.as_u64().unwrap_or(0)),
                _ => {}
            }
        }
        if let Some(code) = place
            .get("innererror")
            .and_then(|inner| text(inner, "code"))
        {
            self.names.push(code.to_owned());
        }
    }

    fn add_status(&mut self, status: u64) {
        let status = u16::try_from(status)
            .ok()
            .filter(|status| (400..600).contains(status));
        self.status = self.status.or(status);
    }

    /// A detail of a Google error: when to come again, or which allowance is used up.
    fn add_detail(&mut self, detail: &Value) {
        if let Some(delay) = text(detail, "retryDelay") {
            self.retry_after = duration(delay);
        }
        if let Some(reason) = text(detail, "reason") {
            self.names.push(reason.to_owned());
        }
        let violations = detail.get("violations").and_then(Value::as_array);
        self.of_the_day |= violations
            .into_iter()
            .flatten()
            .filter_map(|violation| text(violation, "quotaId"))
            .any(|quota| quota.contains("PerDay"));
    }

    pub(super) fn failure(&self, kind: FailureKind, status: Option<u16>) -> Failure {
        let message = match (tidy(&self.message), status) {
            (message, Some(status)) if message.is_empty() => format!("status {status}"),
            (message, None) if message.is_empty() => "the service gave no reason".to_owned(),
            (message, _) => message,
        };
        Failure {
            kind,
            status,
            code: self.names.first().map(|name| tidy(name)),
            message,
            retry_after: self.retry_after,
            worth_retrying: kind.is_worth_retrying(),
            usage: None,
            request_id: None,
        }
    }
}

/// The time in "Please try again in 6m0s", which `OpenAI` and Groq say where no header does.
fn try_again_in(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let after = lower.split_once("try again in ")?.1;
    let word = after.split_whitespace().next()?;
    duration(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// What means a kind: names as they are, and words anywhere in the message, both in lower case.
struct Meaning {
    kind: FailureKind,
    names: &'static [&'static str],
    words: &'static [&'static str],
    statuses: &'static [u16],
}

/// In order; the first that fits wins.
const MEANINGS: [Meaning; 10] = [
    Meaning {
        kind: FailureKind::Quota,
        names: &[
            "insufficient_quota",
            "insufficient_balance",
            "insufficient_credits",
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_error",
            "payment_required",
        ],
        words: &[
            "insufficient balance",
            "insufficient credits",
            "insufficient quota",
            "credit balance is too low",
            "requires more credits",
            "used all available credits",
            "spending limit",
            "credit limit exceeded",
            "limit: 0,",
            "limit: 0\n",
        ],
        statuses: &[402],
    },
    Meaning {
        kind: FailureKind::TooLong,
        names: &[
            "context_length_exceeded",
            "exceed_context_size_error",
            "string_above_max_length",
            "request_too_large",
            "context_window_exceeded",
        ],
        words: &[
            "maximum context length",
            "context length exceeded",
            "exceeds the available context size",
            "prompt is too long",
            "input is too long",
            "input token count",
            "maximum prompt length",
            "loaded with context length",
            // More than a whole minute's allowance: no waiting makes room for it.
            "request too large for",
        ],
        statuses: &[413],
    },
    Meaning {
        kind: FailureKind::Policy,
        names: &[
            "content_filter",
            "content_policy_violation",
            "responsibleaipolicyviolation",
            "invalid_prompt",
            "prohibited_content",
            "moderation_blocked",
            "safety",
        ],
        words: &[
            "content exists risk",
            "content management policy",
            "content policy",
            "usage policy",
            "usage policies",
            "flagged by",
            "was flagged",
            "requires moderation",
        ],
        statuses: &[451],
    },
    Meaning {
        kind: FailureKind::Authentication,
        names: &[
            "invalid_api_key",
            "api_key_invalid",
            "invalid_authentication",
            "authentication_error",
            "permission_error",
            "permission_denied",
            "unauthenticated",
            "account_deactivated",
        ],
        words: &[
            "api key not valid",
            "incorrect api key",
            "invalid api key",
            "no auth credentials",
        ],
        statuses: &[401, 403, 407],
    },
    Meaning {
        kind: FailureKind::Overloaded,
        names: &[
            "overloaded_error",
            "overloaded",
            "engine_overloaded",
            "unavailable",
            "unavailable_error",
            "service_unavailable",
            "service_tier_capacity_exceeded",
            "capacity_exceeded",
        ],
        words: &[
            "overloaded",
            "at capacity",
            "over capacity",
            "loading model",
        ],
        statuses: &[498, 503, 529],
    },
    Meaning {
        kind: FailureKind::RateLimited,
        names: &[
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limited",
            "resource_exhausted",
            "too_many_requests",
        ],
        words: &["rate limit", "too many requests"],
        statuses: &[429],
    },
    Meaning {
        kind: FailureKind::Timeout,
        names: &[
            "timeout",
            "timeout_error",
            "deadline_exceeded",
            "request_timeout",
        ],
        words: &[],
        statuses: &[408, 504, 522, 524],
    },
    Meaning {
        kind: FailureKind::NotFound,
        names: &[
            "model_not_found",
            "not_found_error",
            "not_found",
            "deploymentnotfound",
        ],
        words: &[],
        statuses: &[404, 405, 410],
    },
    Meaning {
        kind: FailureKind::Redirected,
        names: &[],
        words: &[],
        statuses: &[300, 301, 302, 303, 305, 307, 308],
    },
    Meaning {
        kind: FailureKind::Server,
        names: &[
            "server_error",
            "internal_server_error",
            "api_error",
            "internal",
        ],
        words: &[],
        statuses: &[409, 425, 500, 501, 502, 505, 520, 521, 523, 525, 526, 530],
    },
];

/// The kind of an error with this status and these words.
pub(super) fn kind(status: Option<u16>, words: &Words) -> FailureKind {
    let names: Vec<String> = words.names.iter().map(|name| name.to_lowercase()).collect();
    let message = words.message.to_lowercase();
    let says = |meaning: &&Meaning| {
        let has_name = names
            .iter()
            .any(|name| meaning.names.contains(&name.as_str()));
        has_name || meaning.words.iter().any(|words| message.contains(words))
    };
    // Names and words first, whatever the status: a status is the least that a service says.
    let said = MEANINGS.iter().find(says);
    let meant = said.or_else(|| {
        let status = status?;
        MEANINGS
            .iter()
            .find(|meaning| meaning.statuses.contains(&status))
    });
    match meant.map(|meaning| meaning.kind) {
        Some(FailureKind::RateLimited) if words.of_the_day => FailureKind::Quota,
        Some(kind) => kind,
        None => match status {
            Some(400..500) => FailureKind::InvalidRequest,
            _ if names.iter().any(|name| name.starts_with("invalid")) => {
                FailureKind::InvalidRequest
            }
            _ => FailureKind::Server,
        },
    }
}
