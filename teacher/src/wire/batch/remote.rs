//! What a service says of a batch.

use jiff::Timestamp;
use serde_json::Value;

use super::request::MARKER;
use super::{malformed, name};
use crate::wire::failure::tidy;
use crate::wire::{Dialect, Failure, Preset};

/// A batch as the service sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteBatch {
    /// The service's name for it.
    pub id: String,
    /// Where it stands, in the service's words.
    pub state: String,
    /// What that means.
    pub phase: RemotePhase,
    /// Our marker, where the service keeps one.
    pub marker: Option<String>,
    /// When it was made, by the service's clock.
    pub created: Option<Timestamp>,
    /// Requests in it.
    pub total: Option<u64>,
    /// Requests that the service is done with.
    pub done: Option<u64>,
    /// What [`BatchCalls::results`](super::BatchCalls::results) takes, one after the other.
    pub results: Vec<String>,
}

/// Whether a batch is still worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemotePhase {
    /// It is.
    Running,
    /// It is not.
    Ended(RemoteEnd),
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteEnd {
    /// All of it was worked on, or the results say of each request what was not.
    Completed,
    /// Its time was over.
    Expired,
    /// Somebody stopped it.
    Cancelled,
    /// The service did not begin with it.
    Rejected {
        /// In one line.
        why: String,
        /// There are too many requests with the service already; later it may take it.
        crowded: bool,
    },
}

/// A page of batches.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteList {
    /// The newest first.
    pub batches: Vec<RemoteBatch>,
    /// Entries that are no account of a batch.
    pub unreadable: usize,
    /// Whether the service says that no page follows; where it does not say, one may.
    pub is_last: bool,
    /// What [`BatchCalls::list`](super::BatchCalls::list) takes for the next page, if there may be one.
    pub next: Option<String>,
}

impl RemoteBatch {
    /// Reads the account of one batch.
    ///
    /// # Errors
    /// A [`Failure`] where it is none.
    pub fn read(preset: &Preset, value: &Value) -> Result<Self, Failure> {
        let id =
            name(value, "id").ok_or_else(|| malformed("the account of a batch has no `id`"))?;
        match preset.dialect {
            Dialect::Anthropic => anthropic(id, value),
            Dialect::Openai | Dialect::Gemini => openai(id, value),
        }
    }
}

impl RemoteList {
    /// Reads a page of a list. What in it is no batch is counted and passed over.
    ///
    /// # Errors
    /// A [`Failure`] where it is no list.
    pub fn read(preset: &Preset, value: &Value) -> Result<Self, Failure> {
        let data = value.get("data").and_then(Value::as_array);
        let data = data.ok_or_else(|| malformed("the list of batches has no `data`"))?;
        let (is_last, next) = match &preset.batches.cursor {
            Some(_) => by_cursor(value),
            None => by_last_id(value, data),
        };
        let batches: Vec<RemoteBatch> = data
            .iter()
            .filter_map(|batch| RemoteBatch::read(preset, batch).ok())
            .collect();
        Ok(Self {
            unreadable: data.len() - batches.len(),
            batches,
            is_last,
            next,
        })
    }
}

fn by_last_id(value: &Value, data: &[Value]) -> (bool, Option<String>) {
    let more = value.get("has_more").and_then(Value::as_bool);
    let last = name(value, "last_id").or_else(|| name(data.last()?, "id"));
    (more == Some(false), last.filter(|_| more == Some(true)))
}

/// Where there is no word of pages at all, more may follow.
fn by_cursor(value: &Value) -> (bool, Option<String>) {
    const LONGEST: usize = 1024;
    let Some(paging) = value.get("paging") else {
        return (false, None);
    };
    let cursor = paging.get("next_cursor").filter(|cursor| !cursor.is_null());
    let next = cursor.and_then(Value::as_str);
    let next = next.filter(|text| !text.is_empty() && text.len() <= LONGEST);
    let is_last = cursor.is_none_or(|cursor| cursor == "");
    (is_last, next.map(str::to_owned))
}

fn openai(id: String, value: &Value) -> Result<RemoteBatch, Failure> {
    let state = state(value, "status")?;
    let count = |field: &str| value.get("request_counts")?.get(field)?.as_u64();
    // Azure's reference writes them with a capital letter in places.
    let phase = match state.to_ascii_lowercase().as_str() {
        "completed" => RemotePhase::Ended(RemoteEnd::Completed),
        "expired" => RemotePhase::Ended(RemoteEnd::Expired),
        "cancelled" | "canceled" => RemotePhase::Ended(RemoteEnd::Cancelled),
        "failed" => RemotePhase::Ended(rejected(value)),
        _ => RemotePhase::Running,
    };
    Ok(RemoteBatch {
        id,
        phase,
        marker: value
            .get("metadata")
            .and_then(|metadata| metadata.get(MARKER)?.as_str())
            .map(str::to_owned),
        created: value.get("created_at").and_then(time),
        total: count("total"),
        done: match (count("completed"), count("failed")) {
            (None, None) => None,
            (completed, failed) => Some(completed.unwrap_or(0).saturating_add(failed.unwrap_or(0))),
        },
        results: ["output_file_id", "error_file_id"]
            .iter()
            .filter_map(|field| name(value, field))
            .collect(),
        state,
    })
}

fn anthropic(id: String, value: &Value) -> Result<RemoteBatch, Failure> {
    let state = state(value, "processing_status")?;
    let count = |field: &str| value.get("request_counts")?.get(field)?.as_u64();
    let done = ["succeeded", "errored", "canceled", "expired"]
        .iter()
        .filter_map(|field| count(field))
        .fold(0_u64, u64::saturating_add);
    // Its lines say of each request what became of it.
    let phase = match state.as_str() {
        "ended" => RemotePhase::Ended(RemoteEnd::Completed),
        _ => RemotePhase::Running,
    };
    Ok(RemoteBatch {
        results: vec![id.clone()],
        id,
        state,
        phase,
        marker: None,
        created: value
            .get("created_at")
            .and_then(Value::as_str)
            .and_then(|time| time.parse().ok()),
        total: count("processing").map(|processing| processing.saturating_add(done)),
        done: Some(done),
    })
}

/// Seconds since 1970, or a date as Azure's reference also shows it.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(date) => date.parse().ok(),
        seconds => Timestamp::from_second(seconds.as_i64()?).ok(),
    }
}

fn state(value: &Value, field: &str) -> Result<String, Failure> {
    let state = value.get(field).and_then(Value::as_str).map(tidy);
    state.ok_or_else(|| malformed(&format!("the account of a batch has no `{field}`")))
}

fn rejected(value: &Value) -> RemoteEnd {
    // Groq gives the bare list.
    let errors = value.get("errors");
    let first = errors.and_then(|errors| errors.get("data").unwrap_or(errors).get(0));
    let text = |field: &str| first?.get(field)?.as_str();
    let (code, message) = (text("code"), text("message"));
    let why = match (code, message) {
        (Some(code), Some(message)) => tidy(&format!("{code}: {message}")),
        (Some(word), None) | (None, Some(word)) => tidy(word),
        (None, None) => "it does not say why".to_owned(),
    };
    RemoteEnd::Rejected {
        crowded: code == Some("token_limit_exceeded"),
        why,
    }
}

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedFile {
    /// The service's name for it.
    pub id: String,
    /// Whether a batch can be made of it.
    pub state: FileState,
}

/// How far a service is with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// A batch can be made of it.
    Ready,
    /// It is still being read; Azure makes no batch of it before it is.
    BeingRead,
    /// It could not be read: what the service says of that.
    Unusable(String),
}

impl UploadedFile {
    /// Reads what the service says of a file. What says nothing of how far it is, is ready.
    ///
    /// # Errors
    /// A [`Failure`] where it names none.
    pub fn read(value: &Value) -> Result<Self, Failure> {
        let id = name(value, "id");
        let id = id.ok_or_else(|| malformed("the service does not name the file that it took"))?;
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let state = match text("status").unwrap_or_default() {
            "pending" | "running" | "notRunning" => FileState::BeingRead,
            "error" => {
                let why = text("status_details").unwrap_or("it does not say why");
                FileState::Unusable(tidy(why))
            }
            _ => FileState::Ready,
        };
        Ok(Self { id, state })
    }
}
