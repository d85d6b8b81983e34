//! What a service says of one request of a batch.

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::wire::failure::{from_error, tidy};
use crate::wire::read::json as lenient;
use crate::wire::{Dialect, Failure, FailureKind, Preset, WireAnswer, read_answer};

/// One line of the results.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultLine {
    /// Which request it is about.
    pub custom_id: String,
    /// The status of the response, where there was one.
    pub status: Option<u16>,
    /// What became of it.
    pub result: LineResult,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum LineResult {
    /// It was answered.
    Answer(Box<WireAnswer>),
    /// It was worked on, and failed.
    Failed(Box<Failure>),
    /// Nobody worked on it in time.
    Expired,
    /// The batch was cancelled before anybody worked on it.
    Cancelled,
}

impl ResultLine {
    /// Reads a line. `now` is the time at which it came.
    ///
    /// # Errors
    /// Where the line is no JSON or does not say which request it is about: what it is instead.
    pub fn read(preset: &Preset, line: &[u8], now: Timestamp) -> Result<Self, String> {
        let value = lenient::parse(line, &mut Vec::new())
            .map_err(|error| lenient::describe(line, &error))?;
        let custom_id = value.get("custom_id").and_then(Value::as_str);
        let custom_id = custom_id.ok_or("the line has no `custom_id`")?.to_owned();
        let (status, result) = match preset.dialect {
            Dialect::Anthropic => anthropic(preset, &value, now),
            Dialect::Openai | Dialect::Gemini => openai(preset, &value, now),
        };
        Ok(Self {
            custom_id,
            status,
            result,
        })
    }
}

fn openai(preset: &Preset, value: &Value, now: Timestamp) -> (Option<u16>, LineResult) {
    let response = value
        .get("response")
        .filter(|response| response.is_object());
    if let Some(error) = value.get("error").filter(|error| error.is_object()) {
        let result = match error.get("code").and_then(Value::as_str) {
            Some("batch_expired") => LineResult::Expired,
            Some("batch_cancelled" | "batch_canceled") => LineResult::Cancelled,
            _ => failed(&json!({"error": error})),
        };
        return (None, result);
    }
    let Some(response) = response else {
        return (
            None,
            malformed("the line has neither a response nor an error"),
        );
    };
    let status = response.get("status_code").and_then(Value::as_u64);
    let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else {
        return (None, malformed("the response of the line has no status"));
    };
    let body = response.get("body").unwrap_or(&Value::Null);
    let request_id = response.get("request_id").and_then(Value::as_str).map(tidy);
    let result = match read(preset, status, body, now) {
        Ok(mut answer) => {
            answer.request_id = request_id.or(answer.request_id);
            LineResult::Answer(Box::new(answer))
        }
        Err(mut failure) => {
            failure.request_id = request_id.or(failure.request_id);
            LineResult::Failed(Box::new(failure))
        }
    };
    (Some(status), result)
}

fn anthropic(preset: &Preset, value: &Value, now: Timestamp) -> (Option<u16>, LineResult) {
    let result = value.get("result").unwrap_or(&Value::Null);
    match result.get("type").and_then(Value::as_str) {
        Some("succeeded") => {
            let message = result.get("message").unwrap_or(&Value::Null);
            let result = match read(preset, 200, message, now) {
                Ok(answer) => LineResult::Answer(Box::new(answer)),
                Err(failure) => LineResult::Failed(Box::new(failure)),
            };
            (Some(200), result)
        }
        Some("errored") => (None, failed(result.get("error").unwrap_or(&Value::Null))),
        Some("canceled" | "cancelled") => (None, LineResult::Cancelled),
        Some("expired") => (None, LineResult::Expired),
        _ => (
            None,
            malformed("the line does not say what became of its request"),
        ),
    }
}

fn read(preset: &Preset, status: u16, body: &Value, now: Timestamp) -> Result<WireAnswer, Failure> {
    let body = body.to_string();
    read_answer(preset, status, &HeaderMap::new(), body.as_bytes(), now)
}

/// What an object tells of that stands where only errors do.
fn failed(error: &Value) -> LineResult {
    match from_error(None, error, true) {
        Some(failure) => LineResult::Failed(Box::new(failure)),
        None => malformed("the line tells of an error and not of which"),
    }
}

fn malformed(message: &str) -> LineResult {
    let failure = Failure::transport(FailureKind::Malformed, message);
    LineResult::Failed(Box::new(failure))
}
