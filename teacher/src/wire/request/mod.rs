//! A question as it is put to a service.
//!
//! - [`openai`], [`anthropic`], [`gemini`]: each dialect's words
//! - [`checks`], [`schema`]: what no service takes, or this model does not
//!
//! What a recipe asks for is sent or is an error; nothing is left out in silence, since the answers are kept under
//! what was asked. Two exceptions change no answer's meaning: a temperature or a nucleus of 1, which is what every
//! service does anyway, and a seed where none is taken, since each sample is asked anew.

mod anthropic;
mod checks;
mod gemini;
mod openai;
#[cfg(test)]
mod reasoning_tests;
mod schema;
#[cfg(test)]
mod tests;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use limbeck_store::{Message, PromptBody, Reasoning};
use serde_json::{Map, Value, json};

use self::checks::Checked;
use super::{Dialect, Preset};
use crate::Ask;

/// One request, all of it but the key: the client adds that, in the header that
/// [`Preset::key_header`](super::Preset) names.
#[derive(Debug, Clone, PartialEq)]
pub struct WireRequest {
    /// The method.
    pub method: Method,
    /// What comes after the endpoint's base, beginning with `/`.
    pub path: String,
    /// Parameters of the address.
    pub query: Vec<(String, String)>,
    /// Headers, the type of the content among them.
    pub headers: HeaderMap,
    /// The JSON.
    pub body: Vec<u8>,
    /// The most tokens that the answer may take, reasoning included, for reserving what it may cost.
    pub max_output_tokens: u32,
}

/// A question that cannot be put to this service. Every question of a harvest shares it, except for
/// [`Empty`](Self::Empty) and [`Role`](Self::Role).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The service or the model does not take what the recipe asks for.
    #[error("{what} cannot be asked of the model `{model}` at `{provider}`")]
    Unsupported {
        /// The setting, as a recipe names it.
        what: String,
        /// The preset's name.
        provider: String,
        /// The model.
        model: String,
        /// What to do about it.
        hint: String,
    },
    /// A setting that no service takes.
    #[error("`{what}` is {value}, expected {expected}")]
    Invalid {
        /// The setting, as a recipe names it.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// A turn of somebody unknown.
    #[error("the role of turn {turn} is `{role}`, expected `system`, `user` or `assistant`")]
    Role {
        /// Which turn, counted from 1.
        turn: usize,
        /// Whose it is.
        role: String,
    },
    /// There is nothing to answer.
    #[error("the prompt is empty")]
    Empty,
}

impl RequestError {
    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unsupported { hint, .. } => Some(hint),
            Self::Invalid { .. } => None,
            Self::Role { .. } => Some("rename the role in the rows"),
            Self::Empty => Some("leave rows without text out with `where`"),
        }
    }
}

impl WireRequest {
    /// Writes `ask` down for `model` of a service. With `stream`, the answer is to come in pieces.
    ///
    /// The same question is always the same bytes.
    ///
    /// # Errors
    /// [`RequestError`], before anything is sent.
    pub fn build(
        preset: &Preset,
        model: &str,
        ask: &Ask,
        stream: bool,
    ) -> Result<Self, RequestError> {
        let checked = Checked::new(preset, model, ask)?;
        let (path, query, body) = match preset.dialect {
            Dialect::Openai => openai::write(&checked, stream),
            Dialect::Anthropic => anthropic::write(&checked, stream),
            Dialect::Gemini => gemini::write(&checked, stream),
        }?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if preset.dialect == Dialect::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        Ok(Self {
            method: Method::POST,
            path,
            query,
            headers,
            body: Value::Object(body).to_string().into_bytes(),
            max_output_tokens: checked.max_tokens,
        })
    }
}

/// Where a request goes, its parameters, and its body.
type Written = Result<(String, Vec<(String, String)>, Map<String, Value>), RequestError>;

/// A decimal as it was written: `0.7` rather than the `0.699999988079071` that the nearest `f32` is.
fn number(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, |exact| json!(exact))
}

/// The instructions of a chat, joined, and its other turns.
fn split_system(messages: &[Message]) -> (Option<String>, Vec<&Message>) {
    let system: Vec<&str> = messages
        .iter()
        .filter(|message| message.role == "system")
        .map(|message| message.content.as_str())
        .collect();
    let turns = messages
        .iter()
        .filter(|message| message.role != "system")
        .collect();
    ((!system.is_empty()).then(|| system.join("\n\n")), turns)
}

/// Turns of a chat, as the dialects without completions need them.
fn chat_only<'a>(checked: &Checked<'a>) -> Result<&'a [Message], RequestError> {
    match &checked.ask.prompt.body {
        PromptBody::Chat { messages } => Ok(messages),
        PromptBody::Completion { .. } => Err(checked.no_completions()),
    }
}

/// Whether thinking is asked for in any amount.
fn thinks(reasoning: Option<Reasoning>) -> bool {
    reasoning.is_some_and(|reasoning| !matches!(reasoning, Reasoning::Off | Reasoning::Budget(0)))
}
