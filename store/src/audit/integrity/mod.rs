//! Integrity: whether anything in a store was changed, taken out, put in or moved since it was recorded.
//!
//! [`Store::audit_integrity`](crate::Store::audit_integrity) makes every record of the ledger anew from the rows, the
//! tree anew from the records, and compares: rows with records, records with the tree, the tree with its checkpoints,
//! checkpoints with the key and with one that was kept outside. What it cannot tell it says.

mod checkpoints;

use std::collections::BTreeMap;

use super::{Area, Finding, Level};
use crate::ledger::PublicKey;

pub(crate) use checkpoints::{KeptOutside, LastCheckpoint, StoredCheckpoint};

/// So many findings of one code are told one by one; the others are counted.
const MOST_OF_A_CODE: u64 = 200;

/// What a store is held to.
#[derive(Debug, Clone, Default)]
pub struct IntegrityOptions {
    /// The keys that checkpoints may be signed by, one of which each must be; given by a person, never read from the
    /// store. Without any, signatures are not looked at.
    pub keys: Vec<PublicKey>,
    /// A checkpoint that was kept outside of the store, as text: a signed note, or the bare checkpoint.
    pub checkpoint: Option<String>,
}

/// Findings as they are made.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    counts: BTreeMap<String, u64>,
}

impl Findings {
    /// Something that must not be.
    pub(crate) fn deny(&mut self, name: &str, message: impl Into<String>) {
        self.add(Finding::new(Area::Integrity, name, Level::Deny, message));
    }

    /// Keeps a finding, or counts it where there are many of its code.
    pub(crate) fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.code.clone()).or_default();
        *count += 1;
        if *count <= MOST_OF_A_CODE {
            self.found.push(finding);
        }
    }

    /// All of them, the gravest first.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        for (code, count) in &self.counts {
            let Some(last) = self.found.iter().rfind(|finding| finding.code == *code) else {
                continue;
            };
            if *count > MOST_OF_A_CODE {
                let mut rest = last.clone();
                rest.message = format!("and {} more of these", count - MOST_OF_A_CODE);
                rest.path.clear();
                self.found.push(rest);
            }
        }
        self.found
            .sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.code.cmp(&b.code)));
        self.found
    }
}
