//! What a teacher is asked.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::identity::content_id;

/// One turn of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the turn.
    pub content: String,
}

impl Message {
    /// A turn of `role` that says `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// What is put before the teacher: instructions, worked examples and the item itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PromptBody {
    /// Plain text that the teacher continues.
    Completion {
        /// The text, up to where the answer begins.
        text: String,
    },
    /// Turns of a chat; the teacher writes the next one.
    Chat {
        /// The turns in order, the system turn first where there is one.
        messages: Vec<Message>,
    },
}

impl PromptBody {
    /// How many bytes of text there are.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Completion { text } => text.len(),
            Self::Chat { messages } => messages.iter().map(|turn| turn.content.len()).sum(),
        }
    }
}

/// A content-addressed question.
///
/// The id covers what is asked (`body`) and what it is about (`input`) and nothing else, so that the same
/// question from another file, row or phrasing name is the same prompt and is not paid for twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Hex SHA-256 over `body` and `input`.
    pub id: String,
    /// What the teacher is asked.
    pub body: PromptBody,
    /// The bare text that the student sees for this item.
    pub input: String,
    /// The name of the way of asking; `main` is the recipe's own.
    pub phrasing: String,
    /// Where the row came from, as the recipe names it.
    pub source: String,
    /// The row in that source, counted from 1.
    pub row: u64,
    /// The licence that the recipe or the row declares for the text.
    pub license: Option<String>,
    /// Free tags of the row.
    pub tags: Vec<String>,
}

impl Prompt {
    /// A prompt with its id, no licence and no tags.
    pub fn new(
        body: PromptBody,
        input: impl Into<String>,
        phrasing: impl Into<String>,
        source: impl Into<String>,
        row: u64,
    ) -> Self {
        let input = input.into();
        Self {
            id: prompt_id(&body, &input),
            body,
            input,
            phrasing: phrasing.into(),
            source: source.into(),
            row,
            license: None,
            tags: Vec::new(),
        }
    }

    /// Whether body and input are those that the id was made of; not so once they were erased.
    pub fn is_whole(&self) -> bool {
        self.id == prompt_id(&self.body, &self.input)
    }
}

fn prompt_id(body: &PromptBody, input: &str) -> String {
    // Spelled out rather than taken from serde, so that a renamed field does not change every id.
    let body = match body {
        PromptBody::Completion { text } => json!({"completion": text}),
        PromptBody::Chat { messages } => {
            let turns: Vec<_> = messages
                .iter()
                .map(|m| json!([m.role, m.content]))
                .collect();
            json!({"chat": turns})
        }
    };
    content_id(&json!({"limbeck": "prompt/1", "body": body, "input": input}))
}
