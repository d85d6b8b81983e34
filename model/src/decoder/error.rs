//! What can go wrong between a request and its answer.

/// An error of the decoder or of generation; each variant carries what a person needs to act.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// bfloat16 was asked for on a processor without dot products for it.
    #[error(
        "no bfloat16 dot products (AVX512-BF16) are in use: the processor lacks them, or lesser instructions were asked for\nhint: ask for precision `auto` or `f32`"
    )]
    NoBf16,
    /// Training was asked to compute in integers.
    #[error("training computes in f32 or bf16, not in integers")]
    IntegerTraining,
    /// A weight does not have the shape that the configuration calls for.
    #[error("weight `{name}` has shape {found:?} and {values} values, expected {expected:?}")]
    WeightShape {
        /// Hugging Face name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// How many values came with it.
        values: usize,
        /// What the configuration calls for.
        expected: Vec<usize>,
    },
    /// There is nothing to read.
    #[error("no tokens: a prompt, or what follows a prefix, needs at least one")]
    NoTokens,
    /// A token id beyond the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Rows of the embedding table.
        vocab_size: usize,
    },
    /// A sequence does not fit the model's context.
    #[error("{tokens} tokens do not fit the model's context of {context_length}")]
    TooLong {
        /// Tokens that would have to fit: the prompt, and the least that must follow it.
        tokens: usize,
        /// Positions that the model has.
        context_length: usize,
    },
    /// A prefix was computed by a model of another shape.
    #[error("the prefix was computed by a model of another shape")]
    ForeignPrefix,
    /// All places in the batch are taken.
    #[error("the batch holds {capacity} requests already\nhint: wait until `has_room`")]
    Full {
        /// Requests that it may hold.
        capacity: usize,
    },
    /// A sampling parameter out of its range.
    #[error("sampling: `{field}` is {value}, expected {expected}")]
    Sampling {
        /// The parameter.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Stop strings can only be recognised with a tokenizer.
    #[error("stop strings need a tokenizer, and this batch has none")]
    NoTokenizer,
    /// A stop string or a list of choices with nothing in it.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
}
