//! Tokenising a chat without letting messages speak for the template.
//!
//! Rendering mixes the template's control tokens with whatever the messages spell. To tell them apart afterwards, the
//! first and the last character of every control token is replaced in each message by a private character that occurs
//! nowhere else; no control token can then begin or end inside a message. The template sees messages of the same
//! length and shape, so that trimming and tests on them work as ever. After the text is cut at control tokens, the
//! private characters are turned back.

use std::collections::{BTreeSet, HashMap};

use super::{ChatMessage, ChatTemplate};
use crate::tokenizer::Segment;
use crate::{ModelError, Tokenizer};

/// Plane 15 and 16 are for private use, so that clashes are rare; they are looked for all the same.
const PRIVATE: std::ops::RangeInclusive<char> = '\u{F0000}'..='\u{10FFFD}';

pub(super) fn encode(
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
    messages: &[ChatMessage],
    add_generation_prompt: bool,
) -> Result<Vec<u32>, ModelError> {
    for message in messages {
        check_role(&message.role)?;
    }
    let disguise = Disguise::new(tokenizer, messages, template.source())?;
    let hidden: Vec<ChatMessage> = messages
        .iter()
        .map(|message| ChatMessage::new(message.role.clone(), disguise.put_on(&message.content)))
        .collect();
    let spelling = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
    let text = template.render(
        &hidden,
        add_generation_prompt,
        spelling(tokenizer.bos()),
        spelling(Some(tokenizer.eos())),
    )?;
    let mut ids = Vec::new();
    for segment in tokenizer.segments(&text) {
        match segment {
            Segment::Control(id) => ids.push(id),
            Segment::Text(text) => ids.extend(tokenizer.encode(&disguise.take_off(text), false)),
        }
    }
    Ok(ids)
}

/// Some templates build control tokens from roles (`<|user|>`), so a role stays as it is and must be a plain word.
fn check_role(role: &str) -> Result<(), ModelError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !role.is_empty() && role.chars().all(plain) {
        Ok(())
    } else {
        Err(ModelError::ChatRole {
            role: role.to_owned(),
        })
    }
}

/// Which characters stand for which.
struct Disguise {
    hide: HashMap<char, char>,
    show: HashMap<char, char>,
}

impl Disguise {
    fn new(
        tokenizer: &Tokenizer,
        messages: &[ChatMessage],
        template: &str,
    ) -> Result<Self, ModelError> {
        let tokens = || {
            tokenizer
                .parts()
                .control
                .iter()
                .filter_map(|&id| tokenizer.token(id))
        };
        let ends: BTreeSet<char> = tokens()
            .flat_map(|token| [token.chars().next(), token.chars().next_back()])
            .flatten()
            .collect();
        let taken: BTreeSet<char> = messages
            .iter()
            .map(|message| message.content.as_str())
            .chain(tokens())
            .chain([template])
            .flat_map(str::chars)
            .filter(|character| PRIVATE.contains(character))
            .collect();
        let free = PRIVATE.filter(|character| !taken.contains(character));
        let hide: HashMap<char, char> = ends.iter().copied().zip(free).collect();
        if hide.len() < ends.len() {
            return Err(ModelError::ChatTemplate {
                reason: "the messages use every private character of Unicode".to_owned(),
            });
        }
        let show = hide
            .iter()
            .map(|(&shown, &hidden)| (hidden, shown))
            .collect();
        Ok(Self { hide, show })
    }

    fn put_on(&self, text: &str) -> String {
        replace(text, &self.hide)
    }

    fn take_off(&self, text: &str) -> String {
        replace(text, &self.show)
    }
}

fn replace(text: &str, table: &HashMap<char, char>) -> String {
    text.chars()
        .map(|c| table.get(&c).copied().unwrap_or(c))
        .collect()
}
