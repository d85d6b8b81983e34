//! What a service is told about batches.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;

use super::BatchLimits;
use crate::wire::{Dialect, Preset, WireRequest};

/// The key of a batch's metadata under which `OpenAI`'s service keeps our marker.
pub const MARKER: &str = "limbeck";

/// The requests of one batch, written down. The same requests are always the same bytes.
#[derive(Debug, Clone)]
pub struct BatchBody {
    dialect: Dialect,
    limits: BatchLimits,
    /// Where each request goes.
    path: String,
    bytes: Vec<u8>,
    requests: usize,
}

impl BatchBody {
    /// An empty batch within `limits`, in the language of `dialect`.
    pub fn new(dialect: Dialect, limits: BatchLimits) -> Self {
        Self {
            dialect,
            limits,
            path: String::new(),
            bytes: Vec::new(),
            requests: 0,
        }
    }

    /// Adds a request, which its answer will name by `custom_id`; says whether there was room for it. All requests of
    /// a batch go to the same place.
    pub fn push(&mut self, custom_id: &str, request: &WireRequest) -> bool {
        // What stands before and after the requests.
        const AROUND: usize = 32;
        if self.requests > 0 && self.path != request.path {
            return false;
        }
        let custom_id = json!(custom_id).to_string();
        let mut entry = match self.dialect {
            Dialect::Anthropic => format!(r#"{{"custom_id":{custom_id},"params":"#).into_bytes(),
            Dialect::Openai | Dialect::Gemini => {
                let url = json!(format!("/v1{}", request.path));
                format!(r#"{{"custom_id":{custom_id},"method":"POST","url":{url},"body":"#)
                    .into_bytes()
            }
        };
        entry.extend_from_slice(&request.body);
        entry.extend_from_slice(match self.dialect {
            Dialect::Anthropic => b"},",
            Dialect::Openai | Dialect::Gemini => b"}\n",
        });
        let bytes = self.bytes.len() + entry.len() + AROUND;
        if self.requests == self.limits.requests || bytes > self.limits.bytes {
            return false;
        }
        self.path.clone_from(&request.path);
        self.bytes.append(&mut entry);
        self.requests += 1;
        true
    }

    /// How many requests it holds.
    pub fn len(&self) -> usize {
        self.requests
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }
}

/// The calls that a batch takes, for one service.
#[derive(Debug, Clone, Copy)]
pub struct BatchCalls<'a> {
    preset: &'a Preset,
}

impl<'a> BatchCalls<'a> {
    /// The calls to the service `preset`.
    pub fn new(preset: &'a Preset) -> Self {
        Self { preset }
    }

    /// Puts the requests where the service finds them, where that is a step of its own; the answer names a file.
    pub fn upload(self, body: &BatchBody, marker: &str) -> Option<WireRequest> {
        if self.preset.dialect != Dialect::Openai {
            return None;
        }
        // No line of JSON begins with it.
        let boundary = format!("----limbeck-{marker}");
        let mut bytes = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"limbeck-{marker}.jsonl\"\r\n\
             content-type: application/jsonl\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(&body.bytes);
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let mut request = self.call(Method::POST, "/files".to_owned(), bytes);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        if let Ok(content_type) = HeaderValue::try_from(content_type) {
            request.headers.insert(CONTENT_TYPE, content_type);
        }
        Some(request)
    }

    /// Asks whether the service has read the file that it took.
    pub fn file(self, id: &str) -> WireRequest {
        self.get(format!("/files/{id}"))
    }

    /// Hands the batch over. `file`: what [`upload`](Self::upload) was answered.
    pub fn create(self, body: &BatchBody, file: Option<&str>, marker: &str) -> WireRequest {
        let bytes = match (self.preset.dialect, file) {
            (Dialect::Anthropic, _) => {
                let mut bytes = br#"{"requests":["#.to_vec();
                let entries = body.bytes.strip_suffix(b",").unwrap_or(&body.bytes);
                bytes.extend_from_slice(entries);
                bytes.extend_from_slice(b"]}");
                bytes
            }
            (_, file) => json!({
                "input_file_id": file,
                "endpoint": format!("{}{}", self.preset.batches.root, body.path),
                "completion_window": "24h",
                "metadata": {MARKER: marker},
            })
            .to_string()
            .into_bytes(),
        };
        self.call(Method::POST, self.batches().to_owned(), bytes)
    }

    /// Asks how far a batch is.
    pub fn poll(self, id: &str) -> WireRequest {
        self.get(format!("{}/{id}", self.batches()))
    }

    /// Asks for batches, the newest first; those after `after`, if there were some.
    pub fn list(self, after: Option<&str>) -> WireRequest {
        let mut request = self.get(self.batches().to_owned());
        request.query.push(("limit".to_owned(), "100".to_owned()));
        if let Some(after) = after {
            let name = match (&self.preset.batches.cursor, self.preset.dialect) {
                (Some(name), _) => name,
                (None, Dialect::Anthropic) => "after_id",
                (None, Dialect::Openai | Dialect::Gemini) => "after",
            };
            request.query.push((name.to_owned(), after.to_owned()));
        }
        request
    }

    /// Asks for results: those in the file `source`, or those of the batch `source`.
    ///
    /// The address is the documented one, whatever a batch says it is, so that no answer can lead the key elsewhere.
    pub fn results(self, source: &str) -> WireRequest {
        let path = match self.preset.dialect {
            Dialect::Anthropic => format!("{}/{source}/results", self.batches()),
            Dialect::Openai | Dialect::Gemini => format!("/files/{source}/content"),
        };
        let mut request = self.get(path);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("*/*"));
        request
    }

    /// Asks to stop a batch.
    pub fn cancel(self, id: &str) -> WireRequest {
        let path = format!("{}/{id}/cancel", self.batches());
        self.call(Method::POST, path, b"{}".to_vec())
    }

    /// Below the service's base.
    pub fn batches(self) -> &'static str {
        match self.preset.dialect {
            Dialect::Anthropic => "/messages/batches",
            Dialect::Openai | Dialect::Gemini => "/batches",
        }
    }

    fn get(self, path: String) -> WireRequest {
        let mut request = self.call(Method::GET, path, Vec::new());
        request.headers.remove(CONTENT_TYPE);
        request
    }

    fn call(self, method: Method, path: String, body: Vec<u8>) -> WireRequest {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.preset.dialect == Dialect::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        WireRequest {
            method,
            path,
            query: Vec::new(),
            headers,
            body,
            max_output_tokens: 0,
        }
    }
}
