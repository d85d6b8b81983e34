//! What a tokenizer is made of, in a form that can be stored and cut down.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::PreTokenizer;
use crate::ModelError;

/// Everything that determines a byte-level BPE tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerParts {
    /// Tokens in the order of their ids, in the byte-level alphabet (see [`super::byte_level`]); control tokens as
    /// they are spelt.
    pub tokens: Vec<String>,
    /// Pairs of tokens that join into a third, the strongest first.
    pub merges: Vec<(String, String)>,
    /// Ids of control tokens: they stand for no text, and only a template may write them.
    pub control: BTreeSet<u32>,
    /// How text is cut into words.
    pub pre: PreTokenizer,
    /// The token that starts a sequence.
    pub bos: Option<u32>,
    /// The token that ends an answer.
    pub eos: u32,
    /// The token that fills up a batch.
    pub pad: Option<u32>,
}

impl TokenizerParts {
    /// Checks ids and token texts; merges are checked when the tokenizer is built.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let size = self.tokens.len();
        if size > u32::MAX as usize {
            return Err(ModelError::tokenizer(format!("{size} tokens are too many")));
        }
        let special = [
            ("eos", Some(self.eos)),
            ("bos", self.bos),
            ("pad", self.pad),
        ];
        let named = special
            .into_iter()
            .filter_map(|(name, id)| Some((name, id?)));
        let control = self.control.last().map(|&id| ("control", id));
        for (name, id) in named.chain(control) {
            if id as usize >= size {
                return Err(ModelError::tokenizer(format!(
                    "the {name} token is {id}, but there are {size} tokens"
                )));
            }
        }
        if let Some(id) = self.tokens.iter().position(String::is_empty) {
            return Err(ModelError::tokenizer(format!("token {id} is empty")));
        }
        Ok(())
    }
}
