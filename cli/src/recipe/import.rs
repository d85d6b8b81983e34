//! `[[import]]`: answers that were asked for elsewhere, from a file.

use serde::{Deserialize, Serialize};

use crate::import::{Declared, Format};

/// `[[import]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportSection {
    /// The file: a path, `hf:…`, `https://…` or `pypi:…`.
    pub source: String,
    /// Of its content, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How the file says what was asked and answered.
    pub format: Format,
    /// The batch's input, for `openai-batch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// Where the data come from, as receipts are to say it.
    pub from: String,
    /// The licence that they are under, as an SPDX identifier in lower case.
    pub license: String,
    /// The model that answered, where the file does not say it or says it wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Leave out answers to questions that are, or nearly are, in a suite of `[[evaluate]]`.
    #[serde(default = "yes")]
    pub exclude_near: bool,
}

impl ImportSection {
    /// What receipts say of the answers.
    pub fn declared(&self) -> Declared {
        Declared {
            source: self.from.clone(),
            license: self.license.clone(),
            model: self.model.clone(),
            provider: self.provider.clone(),
        }
    }

    /// The model that answered, as far as it is declared.
    pub fn answered_by(&self) -> String {
        match &self.model {
            Some(model) => model.clone(),
            None => format!("answers from {}", self.from),
        }
    }
}

fn yes() -> bool {
    true
}
