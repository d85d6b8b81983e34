//! Chat templates: the Jinja programs that models carry to turn messages into text.
//!
//! They come from files that we did not write, so they run with a fuel limit and without access to anything but the
//! messages. The environment is the one that transformers gives them: `trim_blocks`, `lstrip_blocks`, Python's string
//! methods, `raise_exception`, `strftime_now`, and `tojson` as Python prints it.

mod environment;
mod safe_encode;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use minijinja::{Environment, Value, context};
use serde::{Deserialize, Serialize};

use crate::{ModelError, Tokenizer};

/// One turn of a chat.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who speaks: `system`, `user`, `assistant` or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl ChatMessage {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }

    fn to_value(&self) -> Value {
        Value::from_pairs([("role", &*self.role), ("content", &*self.content)])
    }
}

/// A compiled chat template. Cheap to clone.
#[derive(Clone)]
pub struct ChatTemplate {
    source: Arc<str>,
    environment: Arc<Environment<'static>>,
}

impl ChatTemplate {
    /// Compiles `source`.
    pub fn new(source: &str) -> Result<Self, ModelError> {
        let environment = environment::with_template(source)?;
        Ok(Self {
            source: source.into(),
            environment: Arc::new(environment),
        })
    }

    /// The template as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for `messages`, with the opening of an answer where `add_generation_prompt` says so. `bos` and `eos`
    /// are the spellings of those tokens, empty where there is none.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
        bos: &str,
        eos: &str,
    ) -> Result<String, ModelError> {
        // transformers passes these two even where there are none, and templates ask whether they are `none`.
        let context = context! {
            messages => messages.iter().map(ChatMessage::to_value).collect::<Value>(),
            add_generation_prompt,
            bos_token => bos,
            eos_token => eos,
            tools => (),
            documents => (),
        };
        self.environment
            .get_template(environment::NAME)
            .and_then(|template| template.render(context))
            .map_err(|error| environment::failure(&error))
    }

    /// Token ids of the rendered chat. Control tokens are recognised in the template's own text only: a message that
    /// spells `<|im_end|>` says those characters and ends nothing. Roles must be plain words.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<Vec<u32>, ModelError> {
        safe_encode::encode(self, tokenizer, messages, add_generation_prompt)
    }
}

/// Templates are equal when their sources are.
impl PartialEq for ChatTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChatTemplate").field(&self.source).finish()
    }
}
