//! How text is cut into words before merges apply.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::PreTokenizerWrapper;

use crate::ModelError;

/// llama.cpp's pattern for `qwen2`.
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// llama.cpp's pattern for `llama-bpe`.
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same as Hugging Face write them in `tokenizer.json`.
const QWEN2_UPSTREAM: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3_UPSTREAM: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A known way to cut text into words. llama.cpp knows them by name only, so an export must use one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreTokenizer {
    /// GPT-2's pattern.
    #[serde(rename = "gpt-2")]
    Gpt2,
    /// Every digit alone, then GPT-2's pattern.
    #[serde(rename = "smollm")]
    Smollm,
    /// Qwen 2's pattern: every digit alone, punctuation may lead a word.
    #[serde(rename = "qwen2")]
    Qwen2,
    /// Llama 3's pattern: digits in threes. Words that are tokens are taken whole, whatever the merges say.
    #[serde(rename = "llama-bpe")]
    Llama3,
}

impl PreTokenizer {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Gpt2, Self::Smollm, Self::Qwen2, Self::Llama3];

    /// llama.cpp's name, the value of `tokenizer.ggml.pre`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt-2",
            Self::Smollm => "smollm",
            Self::Qwen2 => "qwen2",
            Self::Llama3 => "llama-bpe",
        }
    }

    /// Whether a word that is a token is taken whole before merges are looked at.
    pub fn ignores_merges(self) -> bool {
        self == Self::Llama3
    }

    /// The `pre_tokenizer` of a `tokenizer.json`.
    pub fn hugging_face_json(self) -> Value {
        let byte_level = |use_regex: bool| {
            json!({
                "type": "ByteLevel",
                "add_prefix_space": false,
                "trim_offsets": true,
                "use_regex": use_regex,
            })
        };
        let sequence = |first: Value, use_regex: bool| json!({"type": "Sequence", "pretokenizers": [first, byte_level(use_regex)]});
        match self {
            Self::Gpt2 => byte_level(true),
            Self::Smollm => sequence(json!({"type": "Digits", "individual_digits": true}), true),
            Self::Qwen2 => sequence(split(QWEN2), false),
            Self::Llama3 => sequence(split(LLAMA3), false),
        }
    }

    /// Recognises the `pre_tokenizer` of a `tokenizer.json`, or gives `None` for one that is not known.
    pub fn from_hugging_face_json(json: &Value) -> Option<Self> {
        let mut json = json.clone();
        normalise(&mut json);
        Self::ALL.into_iter().find(|known| {
            let mut ours = known.hugging_face_json();
            normalise(&mut ours);
            ours == json
        })
    }

    /// The working pre-tokenizer.
    pub(super) fn build(self) -> Result<PreTokenizerWrapper, ModelError> {
        serde_json::from_value(self.hugging_face_json())
            .map_err(|error| ModelError::tokenizer(error.to_string()))
    }
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// Makes JSON that means the same equal: offsets do not matter here, defaults may be left out, and some patterns are
/// written in two ways.
fn normalise(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.remove("trim_offsets");
            if fields.get("type").and_then(Value::as_str) == Some("ByteLevel") {
                fields.entry("use_regex").or_insert(Value::Bool(true));
            }
            fields.values_mut().for_each(normalise);
        }
        Value::Array(elements) => elements.iter_mut().for_each(normalise),
        Value::String(text) if text == QWEN2_UPSTREAM => QWEN2.clone_into(text),
        Value::String(text) if text == LLAMA3_UPSTREAM => LLAMA3.clone_into(text),
        _ => {}
    }
}

impl FromStr for PreTokenizer {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        // llama.cpp's converter has used three names for Llama 3.
        let canonical = match name {
            "llama3" | "llama-v3" => "llama-bpe",
            other => other,
        };
        Self::ALL
            .into_iter()
            .find(|known| known.name() == canonical)
            .ok_or_else(|| ModelError::PreTokenizer {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_json_are_recognised() {
        for known in PreTokenizer::ALL {
            assert_eq!(known.name().parse::<PreTokenizer>().ok(), Some(known));
            let json = known.hugging_face_json();
            assert_eq!(PreTokenizer::from_hugging_face_json(&json), Some(known));
            assert!(known.build().is_ok());
        }
        assert!("tekken".parse::<PreTokenizer>().is_err());
    }

    #[test]
    fn json_of_the_published_tokenizers_is_recognised() {
        let smollm = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]});
        let qwen2 = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2_UPSTREAM}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]});
        let gpt2 = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
        let prefixed = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true});
        let find = PreTokenizer::from_hugging_face_json;
        assert_eq!(find(&smollm), Some(PreTokenizer::Smollm));
        assert_eq!(find(&qwen2), Some(PreTokenizer::Qwen2));
        assert_eq!(find(&gpt2), Some(PreTokenizer::Gpt2));
        assert_eq!(find(&prefixed), None);
    }
}
