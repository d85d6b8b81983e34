//! Declarations: what a person answers for where a machine cannot decide.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Registry;
use crate::review::{Signable, Signature};

/// What a declaration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statement {
    /// What is made does not compete with the provider.
    NotCompeting,
    /// The provider, or the licensor, has permitted it in writing.
    Authorised,
    /// It is research in the sense of the terms.
    Research,
    /// The text was read by the reviewer and permits what is meant to be done.
    Reviewed,
}

impl Statement {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotCompeting => "not-competing",
            Self::Authorised => "authorised",
            Self::Research => "research",
            Self::Reviewed => "reviewed",
        }
    }
}

/// What a person answers for, about one record of terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The record's id.
    pub terms: String,
    /// What is declared.
    pub says: Vec<Statement>,
    /// Who answers for it, by name.
    #[serde(default)]
    pub reviewer: String,
    /// Why it is so.
    #[serde(default)]
    pub reason: String,
    /// The last day on which it holds.
    pub expires: Date,
    /// The digest of the record that was in front of the reviewer.
    pub terms_sha256: String,
    /// The reviewer's signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl Signable for Declaration {
    const KIND: &'static str = "declaration";

    fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    fn reviewer(&self) -> Option<&str> {
        Some(&self.reviewer)
    }
}

/// Whether a declaration holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Valid,
    /// Nobody answers for it.
    Unsigned,
    /// It gives no reason.
    WithoutReason,
    /// Its last day is over.
    Expired,
    /// The record is another one by now.
    Stale,
    /// There is no such record.
    UnknownTerms,
}

impl Declaration {
    /// Whether it holds on the day `today`. That it is signed is seen to before.
    pub fn standing(&self, registry: &Registry, today: Date) -> Standing {
        let Some(record) = registry.record(&self.terms) else {
            return Standing::UnknownTerms;
        };
        if self.reviewer.trim().is_empty() {
            Standing::Unsigned
        } else if self.reason.trim().is_empty() {
            Standing::WithoutReason
        } else if self.expires < today {
            Standing::Expired
        } else if self.terms_sha256 != record.digest() {
            Standing::Stale
        } else {
            Standing::Valid
        }
    }
}
