//! `[redact]`: what is replaced before anything is asked or learned.

use std::collections::BTreeMap;

use limbeck_store::redact::{RedactError, Redactor};
use serde::{Deserialize, Serialize};

/// `[redact]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactSection {
    /// The detectors whose finds are replaced: `handle`, `link`, `email`, `number`, ….
    pub replace: Vec<String>,
    /// By the name of the detector: what stands in place of its finds instead of a word in brackets such as
    /// `[handle]`; nothing for an empty text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub placeholders: BTreeMap<String, String>,
}

impl RedactSection {
    /// The detectors, ready. A recipe is checked when it is loaded, so that this fails only for one that was not.
    pub fn redactor(&self) -> Result<Redactor, RedactError> {
        Redactor::new(&self.replace)?.with_placeholders(&self.placeholders)
    }
}
