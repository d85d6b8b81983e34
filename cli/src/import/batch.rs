//! The output of `OpenAI`'s batch API, and of the services that write the same: one line a request, by `custom_id`. The
//! requests are chats, completions or responses.
//!
//! The output does not hold what was asked, so the batch's input is read beside it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context;
use http::HeaderMap;
use jiff::Timestamp;
use limbeck_store::{PromptBody, SamplingParameters, ServiceReceipt, Trace};
use limbeck_teacher::kept_answer;
use limbeck_teacher::wire::{Failure, is_response, preset, read_answer, read_response};
use serde_json::{Map, Value, json};

use super::batch_request::request;
use super::conversation::row_id;
use super::rows::{is_list, read_line};
use crate::table::{BYTE_ORDER_MARK, json_object};

/// A batch's input. Only where each request stands is in memory.
pub struct Requests {
    path: PathBuf,
    file: BufReader<File>,
    places: HashMap<String, u64>,
}

/// One request of a batch.
pub struct Request {
    /// What was asked.
    pub body: PromptBody,
    /// How it was asked; what is not said is the API's default.
    pub parameters: SamplingParameters,
    /// The model asked.
    pub model: Option<String>,
    /// The path that was asked, such as `/v1/chat/completions`.
    pub endpoint: String,
    /// The request as it stands in the file.
    pub line: Value,
}

/// What one answer of a line came to.
pub enum Outcome {
    /// An answer.
    Answer(Box<Answer>),
    /// None, and why.
    Failure(Box<Failed>),
}

/// An answer with what the line says about it.
pub struct Answer {
    /// The answer.
    pub trace: Trace,
    /// Where the service says it comes from.
    pub service: ServiceReceipt,
}

/// Why there is no answer.
pub struct Failed {
    /// A short stable name.
    pub kind: String,
    /// What happened, in words.
    pub message: String,
    /// The status of the response, if one came.
    pub status: Option<u16>,
    /// The service's own id of the request.
    pub request_id: Option<String>,
}

impl Requests {
    /// Notes where each request stands. Every line must be one: a batch with a malformed line is never run.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let cannot_read = || format!("cannot read `{shown}`");
        if is_list(path)? {
            anyhow::bail!("`{shown}` is a JSON list and not the input of a batch");
        }
        let mut file = BufReader::new(File::open(path).with_context(cannot_read)?);
        let (mut places, mut place, mut number) = (HashMap::new(), 0, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            read_line(&mut file, &mut line).with_context(cannot_read)?;
            if line.is_empty() {
                break;
            }
            number += 1;
            let next = file.stream_position().with_context(cannot_read)?;
            if !line.trim_ascii().is_empty() {
                let id = custom_id_of(&line)
                    .map_err(|why| anyhow::anyhow!("`{shown}`, row {number}: {why}"))?;
                if let Some(id) = places.insert(id, place).and(custom_id_of(&line).ok()) {
                    anyhow::bail!("`{shown}`, row {number}: `custom_id` `{id}` is there twice");
                }
            }
            place = next;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            places,
        })
    }

    /// The request that `custom_id` names, or what is wrong with it.
    pub fn find(&mut self, custom_id: &str) -> Result<Request, String> {
        let path = self.path.display();
        let place = self
            .places
            .get(custom_id)
            .ok_or_else(|| format!("`{path}` has no request `{custom_id}`"))?;
        let mut line = Vec::new();
        self.file
            .seek(SeekFrom::Start(*place))
            .and_then(|_| read_line(&mut self.file, &mut line))
            .map_err(|error| format!("cannot read `{path}`: {error}"))?;
        let line = parse(&line)?;
        request(line).map_err(|why| format!("the request `{custom_id}`: {why}"))
    }
}

/// What a line's request came to: one outcome for every choice of its response.
pub fn outcomes(line: &Map<String, Value>, endpoint: &str) -> Result<Vec<Outcome>, String> {
    let response = line.get("response").and_then(Value::as_object);
    let request_id = response.and_then(|response| row_id(response, "request_id"));
    if let Some(error) = line.get("error").filter(|error| error.is_object()) {
        let failure = Failed::of_line(error, request_id);
        return Ok(vec![Outcome::Failure(Box::new(failure))]);
    }
    let response = response.ok_or("it has neither a `response` nor an `error`")?;
    let status = response.get("status_code").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok());
    let status = status.ok_or("`response.status_code` is no HTTP status")?;
    let body = response.get("body").unwrap_or(&Value::Null);
    let answer = |body: &Value| match read(status, body).and_then(|answer| {
        let service = ServiceReceipt {
            endpoint: endpoint.to_owned(),
            request_id: request_id.clone().or(answer.response_id.clone()),
            answered_model: answer.model.clone(),
            system_fingerprint: answer.system_fingerprint.clone(),
            ..ServiceReceipt::default()
        };
        Ok((kept_answer(answer)?, service))
    }) {
        Ok((trace, service)) => Outcome::Answer(Box::new(Answer { trace, service })),
        Err(failure) => Outcome::Failure(Box::new(Failed {
            kind: failure.kind.name().to_owned(),
            message: failure.message,
            status: Some(status),
            request_id: request_id.clone().or(failure.request_id),
        })),
    };
    Ok(one_by_one(body).iter().map(answer).collect())
}

/// A body for each of the choices. What all of them took together is not known for each, so it is left out.
fn one_by_one(body: &Value) -> Vec<Value> {
    let choices = body.get("choices").and_then(Value::as_array);
    let Some(choices) = choices.filter(|choices| choices.len() > 1) else {
        return vec![body.clone()];
    };
    let of = |choice: &Value| {
        let mut choice = choice.clone();
        choice["index"] = json!(0);
        let mut one = body.as_object().cloned().unwrap_or_default();
        one.insert("choices".to_owned(), json!([choice]));
        if let Some(usage) = one.get_mut("usage").and_then(Value::as_object_mut) {
            usage.retain(|name, _| name == "prompt_tokens");
        }
        Value::Object(one)
    };
    choices
        .iter()
        .filter(|choice| choice.is_object())
        .map(of)
        .collect()
}

fn read(status: u16, body: &Value) -> Result<limbeck_teacher::wire::WireAnswer, Failure> {
    // The preset of the dialect's inventor is always there.
    let preset = preset("openai").expect("the preset `openai`");
    let is_response = is_response(body);
    let body = body.to_string();
    if is_response && (200..300).contains(&status) {
        return read_response(body.as_bytes());
    }
    read_answer(
        preset,
        status,
        &HeaderMap::new(),
        body.as_bytes(),
        Timestamp::now(),
    )
}

impl Failed {
    /// What a line says that was never sent or never answered.
    fn of_line(error: &Value, request_id: Option<String>) -> Self {
        let read = read(500, &json!({"error": error}));
        let (kind, message) = match read {
            Err(failure) => (failure.kind.name().to_owned(), failure.message),
            Ok(_) => (
                "server".to_owned(),
                "the service says nothing of it".to_owned(),
            ),
        };
        // Such as `batch_expired`, which says more than the kinds of single requests do.
        let code = error.get("code").and_then(Value::as_str).map(|code| {
            let code = code
                .chars()
                .take(40)
                .map(|c| if c == '_' { '-' } else { c });
            code.filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect::<String>()
        });
        Self {
            kind: code.filter(|code| !code.is_empty()).unwrap_or(kind),
            message,
            status: None,
            request_id,
        }
    }
}

fn parse(line: &[u8]) -> Result<Map<String, Value>, String> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    json_object(line)
}

fn custom_id_of(line: &[u8]) -> Result<String, String> {
    row_id(&parse(line)?, "custom_id").ok_or_else(|| "it has no `custom_id`".to_owned())
}
