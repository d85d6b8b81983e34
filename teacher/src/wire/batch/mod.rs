//! Batches on the wire: many requests handed over in one piece, and their answers in another, a line each.
//!
//! - [`request`]: what a service is told
//! - [`remote`]: what it says of a batch
//! - [`line`]: what it says of one request
//!
//! The references: platform.openai.com/docs/api-reference/batch, docs.claude.com/en/api/creating-message-batches,
//! console.groq.com/docs/batch, and for Azure learn.microsoft.com/azure/foundry/openai/how-to/batch (as read on
//! 2026-11-26 in the public repository of its pages, `articles/foundry/openai/includes/batch/batch-rest.md`).

mod line;
mod remote;
mod request;
#[cfg(test)]
mod tests;

pub use line::{LineResult, ResultLine};
pub use remote::{FileState, RemoteBatch, RemoteEnd, RemoteList, RemotePhase, UploadedFile};
pub use request::{BatchBody, BatchCalls};

use super::{Dialect, Failure, FailureKind};

/// The most that a service takes in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Requests.
    pub requests: usize,
    /// Bytes of all of them together.
    pub bytes: usize,
}

impl Dialect {
    /// The most that its inventor takes in one batch; `None` where there are no batches.
    pub fn batch_limits(self) -> Option<BatchLimits> {
        match self {
            Self::Openai => Some(BatchLimits {
                requests: 50_000,
                bytes: 200 << 20,
            }),
            Self::Anthropic => Some(BatchLimits {
                requests: 100_000,
                bytes: 256 << 20,
            }),
            Self::Gemini => None,
        }
    }
}

/// The name of a batch or a file, which becomes part of an address: one that could lead elsewhere is none.
fn name(value: &serde_json::Value, field: &str) -> Option<String> {
    let name = value.get(field)?.as_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let good = !name.is_empty() && name.len() <= 128 && name.bytes().all(plain);
    good.then(|| name.to_owned())
}

fn malformed(message: &str) -> Failure {
    Failure::transport(FailureKind::Malformed, message)
}
