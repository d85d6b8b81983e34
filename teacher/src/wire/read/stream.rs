//! From the bytes of a response to an answer, as they come.

use http::HeaderMap;

use super::draft::Draft;
use super::sse::{Event, Events};
use super::{anthropic, gemini, json, openai};
use crate::wire::failure::{from_error, request_id};
use crate::wire::{Dialect, Failure, FailureKind, Preset, WireAnswer};

/// Reads the body of a response with a good status, in pieces of any size.
///
/// Whether it is a stream of events or one JSON value is told by its first bytes and not by its headers, which
/// services get wrong.
#[derive(Debug)]
pub struct AnswerStream {
    dialect: Dialect,
    think_tag_in_prompt: bool,
    request_id: Option<String>,
    shape: Shape,
    draft: Draft,
}

#[derive(Debug)]
enum Shape {
    /// Nothing but whitespace has come, such as the blank lines that keep a connection alive.
    Unknown,
    /// Not a stream: one JSON value, or whatever else it turns out to be.
    Whole(Vec<u8>),
    Stream(Events),
}

impl AnswerStream {
    /// Begins to read a response with these headers.
    pub fn new(preset: &Preset, headers: &HeaderMap) -> Self {
        Self {
            dialect: preset.dialect,
            think_tag_in_prompt: preset.think_tag_in_prompt,
            request_id: request_id(headers),
            shape: Shape::Unknown,
            draft: Draft::default(),
        }
    }

    /// Takes the next bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if matches!(self.shape, Shape::Unknown) {
            // A byte order mark may come in pieces; it is passed over like whitespace, byte by byte.
            let skip = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf);
            let Some(start) = bytes.iter().position(|byte| !skip(byte)) else {
                return;
            };
            bytes = &bytes[start..];
            self.shape = match bytes[0] {
                b'd' | b'e' | b'i' | b'r' | b':' => Shape::Stream(Events::default()),
                _ => Shape::Whole(Vec::new()),
            };
        }
        match &mut self.shape {
            Shape::Unknown => {}
            Shape::Whole(body) => body.extend_from_slice(bytes),
            Shape::Stream(events) => {
                let mut complete = Vec::new();
                events.push(bytes, &mut complete);
                for event in complete {
                    self.take(&event);
                }
            }
        }
    }

    /// Whether the service has said all; what comes after it can be left unread.
    pub fn is_done(&self) -> bool {
        self.draft.done || self.draft.failure.is_some()
    }

    /// Whether anything of the answer has come.
    pub fn has_begun(&self) -> bool {
        self.draft.has_begun()
    }

    /// The response has ended: what it came to.
    ///
    /// # Errors
    /// The [`Failure`] that the response tells of; of kind [`Connection`](FailureKind::Connection) where a stream ends
    /// before it says that it does, of kind [`Malformed`](FailureKind::Malformed) where it is no answer.
    pub fn finish(mut self) -> Result<WireAnswer, Failure> {
        match std::mem::replace(&mut self.shape, Shape::Unknown) {
            Shape::Unknown => self.fail(FailureKind::Malformed, "the response is empty"),
            Shape::Whole(body) => self.take_whole(&body),
            Shape::Stream(events) => {
                if let Some(event) = events.finish() {
                    self.take_last(&event);
                }
                if !self.is_done() && self.draft.finish.is_none() {
                    let said =
                        self.draft.text.chars().count() + self.draft.reasoning.chars().count();
                    let message = format!("the stream was cut after {said} characters");
                    self.fail(FailureKind::Connection, &message);
                }
            }
        }
        self.draft.finish(self.think_tag_in_prompt, self.request_id)
    }

    fn fail(&mut self, kind: FailureKind, message: &str) {
        if self.draft.failure.is_none() {
            self.draft.failure = Some(Failure::transport(kind, message));
        }
    }

    fn take_whole(&mut self, body: &[u8]) {
        match json::parse(body, &mut self.draft.oddities) {
            // Google's service gives a stream out as a list if it was not asked for events.
            Ok(serde_json::Value::Array(values)) => {
                for value in &values {
                    self.feed(value, "");
                }
            }
            Ok(value) => self.feed(&value, ""),
            Err(error) => {
                let message = json::describe(body, &error);
                self.fail(FailureKind::Malformed, &message);
            }
        }
    }

    fn take(&mut self, event: &Event) {
        if self.is_done() {
            return;
        }
        if event.data.trim_ascii() == b"[DONE]" {
            self.draft.done = true;
            return;
        }
        if event.data.trim_ascii().is_empty() {
            return;
        }
        match json::parse(&event.data, &mut self.draft.oddities) {
            Ok(value) => self.feed(&value, &event.name),
            Err(error) => {
                let what = json::describe(&event.data, &error);
                let message = format!("an event of the stream cannot be read: {what}");
                self.fail(FailureKind::Malformed, &message);
            }
        }
    }

    /// An event that the end of the stream may have cut short: if it cannot be read, the cut is what is wrong.
    fn take_last(&mut self, event: &Event) {
        let whole = event.data.trim_ascii() == b"[DONE]"
            || json::parse(&event.data, &mut Vec::new()).is_ok();
        if whole {
            self.take(event);
        }
    }

    fn feed(&mut self, value: &serde_json::Value, event: &str) {
        if let Some(failure) = from_error(None, value, event == "error") {
            self.draft.failure = Some(failure);
            return;
        }
        match self.dialect {
            Dialect::Openai => openai::feed(&mut self.draft, value),
            Dialect::Anthropic => anthropic::feed(&mut self.draft, value),
            Dialect::Gemini => gemini::feed(&mut self.draft, value),
        }
    }
}
