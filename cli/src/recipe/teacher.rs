//! `[[teacher]]`: who is asked.

use serde::{Deserialize, Serialize};

/// The one provider of this version.
pub(super) const LOCAL: &str = "local";

/// `[[teacher]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherSection {
    /// What the other sections call it.
    pub name: String,
    /// `local`: a model that this process runs itself.
    pub provider: String,
    /// The source of a GGUF file or of a Hugging Face folder.
    pub model: String,
    /// Of the model file, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The model's licence, where its file does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The pace at which it is asked.
    #[serde(default)]
    pub limits: LimitsSection,
}

/// `limits` of a teacher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Questions in flight at once; for a local teacher, sequences decoded together.
    #[serde(default = "default_concurrent")]
    pub concurrent: u32,
    /// Questions a minute at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            concurrent: default_concurrent(),
            requests_per_minute: None,
        }
    }
}

fn default_concurrent() -> u32 {
    32
}
