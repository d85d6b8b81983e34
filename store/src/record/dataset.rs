//! What a student learns from.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::curate::DatasetRow;
use crate::identity::content_id;
use crate::redact::Replaced;

/// An ordered set of traces, by hash, with what was made of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Hex SHA-256 over the trace ids of every row, in order.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// The rows, in the order of the prompts.
    pub rows: Vec<DatasetRow>,
    /// What was replaced in the rows, detector by detector; empty where nothing was asked to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redaction: Vec<Replaced>,
}

impl Dataset {
    /// A dataset with its id.
    ///
    /// The id covers which traces make up which row and not the numbers computed from them, because those
    /// may differ in the last digit between machines.
    pub fn new(name: impl Into<String>, rows: Vec<DatasetRow>) -> Self {
        let traces: Vec<_> = rows.iter().map(|row| &row.trace_ids).collect();
        let id = content_id(&json!({"limbeck": "dataset/1", "rows": traces}));
        Self {
            id,
            name: name.into(),
            rows,
            redaction: Vec::new(),
        }
    }

    /// The same with what was replaced in its rows. Rows of the same traces that are redacted otherwise are another
    /// dataset, so the id covers the detectors and placeholders of the recipe's too.
    #[must_use]
    pub fn redacted(mut self, replaced: Vec<Replaced>) -> Self {
        if !replaced.is_empty() {
            let detectors: Vec<_> = replaced.iter().map(Replaced::identity).collect();
            self.id = content_id(
                &json!({"limbeck": "redacted-dataset/1", "dataset": self.id, "detectors": detectors}),
            );
        }
        self.redaction = replaced;
        self
    }
}
