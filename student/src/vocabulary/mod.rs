//! Vocabularies for students: the teacher's cut down to what is used, or one trained on the pool.

mod bpe;
mod trim;

pub use bpe::train_bpe;
pub use trim::{Trimmed, trim};

use limbeck_model::ModelError;

use crate::example::{END_OF_ANSWER, END_OF_INPUT, START_OF_INPUT};

/// Control tokens that the student's template writes; the first ends an answer.
pub(crate) const CONTROL_TOKENS: [&str; 3] = [END_OF_ANSWER, START_OF_INPUT, END_OF_INPUT];

/// A vocabulary could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// The teacher's tokenizer cannot write every text.
    #[error(
        "the teacher's tokenizer has no token for the byte {byte:#04x}, so it cannot be cut down"
    )]
    MissingByte {
        /// The byte.
        byte: u8,
    },
    /// The vocabulary asked for is too small for the bytes and control tokens.
    #[error("a vocabulary of {asked} tokens is too small: bytes and control tokens are {least}")]
    TooSmall {
        /// What was asked for.
        asked: usize,
        /// What is needed at least.
        least: usize,
    },
    /// The BPE trainer failed.
    #[error("the tokenizer could not be trained: {reason}")]
    Training {
        /// The trainer's reason.
        reason: String,
    },
    /// The tokens and merges do not make a tokenizer.
    #[error("the vocabulary does not make a tokenizer")]
    Tokenizer(#[from] ModelError),
}
