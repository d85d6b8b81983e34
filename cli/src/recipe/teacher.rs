//! `[[teacher]]`: who is asked.

use limbeck_teacher::Limits;
use serde::{Deserialize, Serialize};

/// The one provider of this version.
pub(super) const LOCAL: &str = "local";

/// `[[teacher]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// `limits` of a teacher; what is not given is not limited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Questions in flight at once; for a local teacher, sequences decoded together.
    #[serde(default = "default_concurrent")]
    pub concurrent: u32,
    /// Requests in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens read in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens written in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Tokens read and written in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests in any 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Tokens read and written in any 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
}

impl LimitsSection {
    /// As a harvest keeps them.
    pub fn limits(&self) -> Limits {
        Limits {
            concurrent: self.concurrent as usize,
            requests_per_minute: self.requests_per_minute,
            input_tokens_per_minute: self.input_tokens_per_minute,
            output_tokens_per_minute: self.output_tokens_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            requests_per_day: self.requests_per_day,
            tokens_per_day: self.tokens_per_day,
            spend_usd: None,
        }
    }

    /// Each limit that is given, with its key; `concurrent` apart.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let given = [
            ("requests_per_minute", self.requests_per_minute),
            ("input_tokens_per_minute", self.input_tokens_per_minute),
            ("output_tokens_per_minute", self.output_tokens_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("requests_per_day", self.requests_per_day),
            ("tokens_per_day", self.tokens_per_day),
        ];
        given
            .into_iter()
            .filter_map(|(key, limit)| Some((key, limit?)))
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            concurrent: default_concurrent(),
            requests_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            tokens_per_minute: None,
            requests_per_day: None,
            tokens_per_day: None,
        }
    }
}

fn default_concurrent() -> u32 {
    32
}
