//! What can go wrong with model files, tokenizers, templates and shapes.

use std::path::{Path, PathBuf};

/// An error from this crate; each variant carries what a person needs to act.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error("cannot access `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The path is neither a `.gguf` file nor a folder with a `config.json`.
    #[error(
        "`{path}` is no model: expected a GGUF file, or a folder with `config.json` and `model.safetensors`"
    )]
    NotAModel {
        /// The path that was given.
        path: PathBuf,
    },
    /// What the file holds makes no model.
    #[error("`{path}` cannot be used")]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// Which part, and why.
        #[source]
        source: Box<ModelError>,
    },
    /// The file does not start with `GGUF`.
    #[error("`{path}` is not a GGUF file: it starts with the bytes {found:02x?}, expected `GGUF`")]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first bytes, four at most.
        found: Vec<u8>,
    },
    /// A GGUF version that this reader does not know.
    #[error("`{path}` is GGUF version {version}, expected 2 or 3, little-endian")]
    GgufVersion {
        /// The file.
        path: PathBuf,
        /// The version it declares.
        version: u32,
    },
    /// The file ends before something that it announces.
    #[error("`{path}` is cut off or damaged: {what} needs {needed} bytes and {left} are left")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The thing that was being read.
        what: String,
        /// Bytes that it needs; saturated where the announced size overflows.
        needed: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// A model file breaks a rule of its format.
    #[error("`{path}` is damaged: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A metadata key that the model needs is absent.
    #[error("`{path}` lacks the key `{key}`")]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A metadata key has a value of another type, or one that does not fit.
    #[error("`{path}`: `{key}` is {found}, expected {expected}")]
    WrongValue {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What kind of value was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The file holds a model of a family that this decoder does not run.
    #[error(
        "`{path}` holds a model of architecture `{architecture}`, which is not supported (only `llama` is)"
    )]
    Architecture {
        /// The file.
        path: PathBuf,
        /// The family that it names.
        architecture: String,
    },
    /// The model uses a feature that this decoder lacks.
    #[error("`{path}` needs {feature}, which is not supported")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature.
        feature: String,
    },
    /// A tensor that the shape calls for is absent.
    #[error("`{path}` lacks the tensor `{name}`")]
    MissingTensor {
        /// The file, or a word for where the weights live.
        path: PathBuf,
        /// The Hugging Face name of the tensor.
        name: String,
    },
    /// A tensor has other dimensions than the configuration calls for.
    #[error("`{path}`: tensor `{name}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The file, or a word for where the weights live.
        path: PathBuf,
        /// The Hugging Face name of the tensor.
        name: String,
        /// The shape that the configuration calls for.
        expected: Vec<usize>,
        /// The shape that was found.
        found: Vec<usize>,
    },
    /// A tensor could not be decoded or encoded.
    #[error("tensor `{name}` cannot be converted")]
    Tensor {
        /// The tensor.
        name: String,
        /// The reason.
        #[source]
        source: candle_core::Error,
    },
    /// A shape that cannot be a decoder, or is beyond any sane size.
    #[error("model shape: `{field}` is {value}, expected {expected}")]
    Config {
        /// The field of [`crate::ModelConfig`] or of `config.json`.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A JSON file of a model folder does not parse.
    #[error("`{path}` is not the JSON that was expected")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A safetensors file is damaged or could not be written.
    #[error("`{path}` is not a usable safetensors file")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Tokens, merges and special ids that do not make a tokenizer.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// What does not fit.
        reason: String,
    },
    /// A pre-tokenizer that this crate does not know; guessing one would change every id.
    #[error(
        "unknown pre-tokenizer `{name}`, expected one of `gpt-2`, `smollm`, `qwen2`, `llama-bpe`"
    )]
    PreTokenizer {
        /// The name in the file.
        name: String,
    },
    /// A chat template does not compile or does not render.
    #[error("chat template: {reason}")]
    ChatTemplate {
        /// The engine's account, with the line.
        reason: String,
    },
    /// A role that could smuggle control tokens into a chat.
    #[error("chat role `{role}` is not a plain word of letters, digits, `_` and `-`")]
    ChatRole {
        /// The role.
        role: String,
    },
    /// A word that names no GGUF kind.
    #[error("unknown GGUF kind `{name}`, expected one of `f32`, `f16`, `q8_0`, `q4_0`")]
    GgufKind {
        /// The word.
        name: String,
    },
    /// The decoder refused a request, or weights that it cannot use.
    #[error(transparent)]
    Decode(#[from] crate::DecodeError),
}

impl ModelError {
    /// An [`ModelError::Io`] at `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Names the file in errors about what it holds, which do not know where that came from.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Config { .. }
            | Self::Tensor { .. }
            | Self::Tokenizer { .. }
            | Self::PreTokenizer { .. }
            | Self::ChatTemplate { .. } => Self::Unusable {
                path: path.to_owned(),
                source: Box::new(self),
            },
            named => named,
        }
    }

    /// A [`ModelError::Malformed`] at `path`.
    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// A [`ModelError::Tokenizer`].
    pub(crate) fn tokenizer(reason: impl Into<String>) -> Self {
        Self::Tokenizer {
            reason: reason.into(),
        }
    }
}
