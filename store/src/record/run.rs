//! What was done in a work folder, and when.

use serde::{Deserialize, Serialize};

/// How a run of a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It was begun and has not said how it ended.
    Running,
    /// It did all it had to.
    Finished,
    /// It ended with an error.
    Failed,
    /// It was stopped, or its process was killed.
    Interrupted,
}

impl RunStatus {
    /// The name as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Finished,
            Self::Failed,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.name() == name)
    }
}

/// One run of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number in this store.
    pub id: i64,
    /// The stage, such as `harvest`.
    pub stage: String,
    /// The stage's hash, as in the name of its folder.
    pub hash: String,
    /// The recipe's name.
    pub recipe: String,
    /// When it began, as RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How it stands.
    pub status: RunStatus,
    /// What the stage had to say of itself.
    pub summary: Option<serde_json::Value>,
}
