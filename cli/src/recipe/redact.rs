//! `[redact]`: what is replaced before anything is asked or learned.

use limbeck_store::redact::Redactor;
use serde::{Deserialize, Serialize};

/// `[redact]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactSection {
    /// The detectors whose finds are replaced: `handle`, `link`, `email`, `number`, ….
    pub replace: Vec<String>,
}

impl RedactSection {
    /// The detectors, ready. A recipe is checked when it is loaded, so that this fails only for one that was not.
    pub fn redactor(&self) -> Result<Redactor, limbeck_store::redact::RedactError> {
        Redactor::new(&self.replace)
    }
}
