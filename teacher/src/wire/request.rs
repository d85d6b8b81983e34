//! A question as it is put to a service.

use http::{HeaderMap, Method};

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
    /// The most tokens that the answer may take, for reserving what it may cost.
    pub max_output_tokens: u32,
}

/// A question that cannot be put to this service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The service or the model does not take what the recipe asks for.
    #[error("`{what}` cannot be asked of `{model}` at `{provider}`")]
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
