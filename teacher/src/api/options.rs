//! What is to be known of a service before it is asked.

use std::sync::Arc;
use std::time::Duration;

use super::key::{ApiKey, KeyError};
use crate::error::LimitError;
use crate::pace::{Limits, Price};
use crate::retry::RetryPolicy;
use crate::wire::{EndpointError, Preset};

/// Everything that an API teacher is made of.
#[derive(Clone)]
pub struct ApiOptions {
    /// The recipe's name for it.
    pub name: String,
    /// The service.
    pub preset: &'static Preset,
    /// The model as the service names it.
    pub model: String,
    /// The way to it, part of every answer's identity; host and path of the first endpoint if it is not given.
    pub route: Option<String>,
    /// The plan that the user has, for receipts.
    pub plan: Option<String>,
    /// The region that the user has chosen, for receipts.
    pub region: Option<String>,
    /// How long the provider keeps what it is sent, for receipts.
    pub retention: Option<String>,
    /// With whom the user has the contract, for receipts.
    pub contracting_entity: Option<String>,
    /// The licence of the answers, where the recipe declares one.
    pub license: Option<String>,
    /// Where it is asked; at least one. The load is spread over them.
    pub endpoints: Vec<ApiEndpoint>,
    /// The limits of each key.
    pub limits: Limits,
    /// When a question is put again.
    pub retry: RetryPolicy,
    /// What it takes for its tokens.
    pub price: Option<Price>,
    /// The same for what is asked in batches.
    pub batch_price: Option<Price>,
    /// Whether answers come in pieces, so that one that is taken back is seen.
    pub stream: bool,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Who is told of pauses and the like.
    pub watcher: Arc<dyn ApiWatcher>,
}

/// One address of a service.
#[derive(Debug, Clone)]
pub struct ApiEndpoint {
    /// Its base; the preset's own if it is not given.
    pub base_url: Option<String>,
    /// The key to it. Endpoints with the same key share its limits.
    pub key: Option<ApiKey>,
    /// Its own limits, where they are not the teacher's.
    pub limits: Option<Limits>,
}

/// How long to wait for a service, in all its ways of being slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the first byte of a response.
    pub first_byte: Duration,
    /// Between two pieces of it.
    pub idle: Duration,
    /// For the whole of it.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_mins(5),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(30),
        }
    }
}

/// Something that a person should know while a service is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiNotice {
    /// An endpoint failed so often that it is left alone for a while.
    EndpointPaused {
        /// Host and path.
        endpoint: String,
        /// For how long.
        pause: Duration,
        /// The last failure.
        why: String,
    },
    /// It answers again.
    EndpointBack {
        /// Host and path.
        endpoint: String,
    },
    /// The service asked to be left alone for a while.
    AskedToWait {
        /// Host and path.
        endpoint: String,
        /// For how long.
        wait: Duration,
    },
}

/// Is told of what happens beside answers and failures. Called between requests, so it should return quickly.
pub trait ApiWatcher: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: &ApiNotice);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentWatcher;

impl ApiWatcher for SilentWatcher {
    fn notice(&self, _notice: &ApiNotice) {}
}

/// An API teacher cannot be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// An address that cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A limit that would let nothing through.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Nowhere to ask.
    #[error("the teacher `{teacher}` has no endpoint")]
    NoEndpoint {
        /// The recipe's name for it.
        teacher: String,
    },
    /// A key over a connection that anybody on the way can read.
    #[error("the key `{alias}` would go to `{endpoint}` over plain HTTP")]
    PlainHttp {
        /// What the user calls the key.
        alias: String,
        /// Host and path.
        endpoint: String,
    },
    /// A cap without prices would cap nothing.
    #[error("the teacher `{teacher}` has a cap `spend_usd`, but no price is known for `{model}`")]
    NoPrice {
        /// The recipe's name for it.
        teacher: String,
        /// The model.
        model: String,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl ApiError {
    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Endpoint(error) => Some(error.hint()),
            Self::Key(_) => Some("look at the variable that `api_key_env` names"),
            Self::Limit(error) => Some(error.hint()),
            Self::NoEndpoint { .. } => Some("name one with `base_url`"),
            Self::PlainHttp { .. } => Some("use https://, or a server on this machine"),
            Self::NoPrice { .. } => {
                Some("add `price = { input = …, output = … }`, in USD for a million tokens")
            }
            Self::Client(_) => None,
        }
    }
}
