//! Byte-level BPE tokenizers: read from GGUF files and `tokenizer.json`, built from parts, written back.
//!
//! Merging is done by Hugging Face's `tokenizers`. Control tokens are kept out of it and recognised here, only where
//! the caller asks for it: text from outside can spell `<|im_end|>` and it stays text.

pub mod byte_level;
mod from_gguf;
mod hugging_face;
mod parts;
mod pre_tokenizer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::models::bpe::BPE;
use tokenizers::{
    Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _,
    PreTokenizerWrapper,
};

use crate::ModelError;

pub use parts::TokenizerParts;
pub use pre_tokenizer::PreTokenizer;

/// Text to token ids and back. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    parts: TokenizerParts,
    ids: HashMap<String, u32>,
    /// What each token stands for; empty for control tokens.
    bytes: Vec<Vec<u8>>,
    pre_tokenizer: PreTokenizerWrapper,
    /// Holds no control token, so that it can never produce one.
    bpe: BPE,
    /// Finds control tokens in text; `None` where there are none. Pattern `i` is `control_ids[i]`.
    control: Option<AhoCorasick>,
    control_ids: Vec<u32>,
}

/// A stretch of text, cut at control tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'text> {
    /// A control token.
    Control(u32),
    /// Anything else.
    Text(&'text str),
}

impl Tokenizer {
    /// Builds a tokenizer and checks that its parts fit together: no token twice, every id inside the vocabulary,
    /// every merge of and into tokens that are not control tokens.
    pub fn from_parts(parts: TokenizerParts) -> Result<Self, ModelError> {
        parts.check()?;
        let ids: HashMap<String, u32> = (0..)
            .zip(&parts.tokens)
            .map(|(id, t)| (t.clone(), id))
            .collect();
        if ids.len() != parts.tokens.len() {
            return Err(ModelError::tokenizer(format!(
                "{} of {} tokens are there twice",
                parts.tokens.len() - ids.len(),
                parts.tokens.len()
            )));
        }
        check_merges(&parts, &ids)?;
        let is_control = |id: u32| parts.control.contains(&id);
        let bytes = (0..)
            .zip(&parts.tokens)
            .map(|(id, token)| {
                if is_control(id) {
                    Vec::new()
                } else {
                    byte_level::to_bytes(token)
                }
            })
            .collect();
        let control_ids: Vec<u32> = parts.control.iter().copied().collect();
        let control = control_matcher(&parts, &control_ids)?;
        let bpe = BPE::builder()
            .vocab_and_merges(
                ids.iter()
                    .filter(|&(_, &id)| !is_control(id))
                    .map(|(token, &id)| (token.clone(), id))
                    .collect::<tokenizers::models::bpe::Vocab>(),
                parts.merges.clone(),
            )
            .ignore_merges(parts.pre.ignores_merges())
            .build()
            .map_err(|error| ModelError::tokenizer(error.to_string()))?;
        let pre_tokenizer = parts.pre.build()?;
        Ok(Self {
            inner: Arc::new(Inner {
                parts,
                ids,
                bytes,
                pre_tokenizer,
                bpe,
                control,
                control_ids,
            }),
        })
    }

    /// What this tokenizer is made of.
    pub fn parts(&self) -> &TokenizerParts {
        &self.inner.parts
    }

    /// Token ids of `text`. With `parse_special`, control tokens spelt out in the text become their ids; without it
    /// they are ordinary text and no control id can come out. Nothing is added at the beginning or the end. Bytes
    /// that the vocabulary lacks are dropped, as in `tokenizers` and llama.cpp.
    pub fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        if parse_special {
            for segment in self.segments(text) {
                match segment {
                    Segment::Control(id) => ids.push(id),
                    Segment::Text(text) => self.encode_plain(text, &mut ids),
                }
            }
        } else {
            self.encode_plain(text, &mut ids);
        }
        ids
    }

    /// Text of `ids`: control tokens and ids outside the vocabulary are skipped, bytes that are not UTF-8 become the
    /// replacement character.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids
            .iter()
            .filter_map(|&id| self.inner.bytes.get(id as usize))
            .flatten()
            .copied()
            .collect();
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// The bytes that a token stands for; empty for control tokens and for ids outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.inner
            .bytes
            .get(id as usize)
            .cloned()
            .unwrap_or_default()
    }

    /// Tokens, control tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.parts.tokens.len()
    }

    /// The token that ends an answer.
    pub fn eos(&self) -> u32 {
        self.inner.parts.eos
    }

    /// The token that starts a sequence, where the model knows one. Nothing here adds it; the template may.
    pub fn bos(&self) -> Option<u32> {
        self.inner.parts.bos
    }

    /// The id of a token as it is written in the vocabulary (a space is `Ġ`), control tokens included.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.ids.get(token).copied()
    }

    /// A token as it is written in the vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.inner.parts.tokens.get(id as usize).map(String::as_str)
    }

    /// Whether `id` is a control token.
    pub fn is_control(&self, id: u32) -> bool {
        self.inner.parts.control.contains(&id)
    }

    /// Cuts `text` at control tokens, the longest first where two begin at one place.
    pub(crate) fn segments<'text>(&self, text: &'text str) -> Vec<Segment<'text>> {
        let mut segments = Vec::new();
        let mut done = 0;
        let matches = self
            .inner
            .control
            .iter()
            .flat_map(|matcher| matcher.find_iter(text));
        for found in matches {
            if found.start() > done {
                segments.push(Segment::Text(&text[done..found.start()]));
            }
            segments.push(Segment::Control(
                self.inner.control_ids[found.pattern().as_usize()],
            ));
            done = found.end();
        }
        if done < text.len() {
            segments.push(Segment::Text(&text[done..]));
        }
        segments
    }

    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) {
        let mut words = PreTokenizedString::from(text);
        let start = ids.len();
        if self.inner.pre_tokenizer.pre_tokenize(&mut words).is_ok() {
            for (word, _, _) in words.get_splits(OffsetReferential::Original, OffsetType::None) {
                match self.inner.bpe.tokenize(word) {
                    Ok(tokens) => ids.extend(tokens.iter().map(|token| token.id)),
                    Err(_) => return self.encode_bytes(text, start, ids),
                }
            }
        } else {
            self.encode_bytes(text, start, ids);
        }
    }

    /// The answer to an error of the library, which has none to give for a vocabulary without an unknown token: one
    /// token a byte, which decodes to the same text.
    fn encode_bytes(&self, text: &str, start: usize, ids: &mut Vec<u32>) {
        ids.truncate(start);
        let mut buffer = [0; 4];
        ids.extend(text.bytes().filter_map(|byte| {
            let id = self.id_of(byte_level::character_of(byte).encode_utf8(&mut buffer))?;
            (!self.is_control(id)).then_some(id)
        }));
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("pre", &self.inner.parts.pre)
            .finish_non_exhaustive()
    }
}

/// Checks that every merge joins two ordinary tokens into a third. The library checks this too, but panics where the
/// joined text is longer than every token.
fn check_merges(parts: &TokenizerParts, ids: &HashMap<String, u32>) -> Result<(), ModelError> {
    let is_ordinary = |token: &str| ids.get(token).is_some_and(|id| !parts.control.contains(id));
    let mut joined = String::new();
    for (left, right) in &parts.merges {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        for token in [left, right, &joined] {
            if !is_ordinary(token) {
                return Err(ModelError::tokenizer(format!(
                    "the merge of {left:?} and {right:?} needs the ordinary token {token:?}, which is not there"
                )));
            }
        }
    }
    Ok(())
}

fn control_matcher(
    parts: &TokenizerParts,
    control_ids: &[u32],
) -> Result<Option<AhoCorasick>, ModelError> {
    if control_ids.is_empty() {
        return Ok(None);
    }
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(control_ids.iter().map(|&id| &parts.tokens[id as usize]))
        .map(Some)
        .map_err(|error| ModelError::tokenizer(error.to_string()))
}
