//! Answers that go elsewhere.

use serde::{Deserialize, Serialize};

use super::{Receipt, TraceRecord};
use crate::curate::Verdict;

/// A trace with all that an export tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedTrace {
    /// The trace and its prompt.
    pub record: TraceRecord,
    /// Where it came from.
    pub receipt: Receipt,
    /// Whether every check of the newest curation keeps it; `None` where none judged it.
    pub kept: Option<bool>,
    /// What the newest curation found, in the order of its checks.
    pub verdicts: Vec<Verdict>,
}
