//! Provenance: whether everything can be followed back, from a file to the requests.
//!
//! The chain is: a file of an export, the model it was written from, the dataset that the model learned from, the
//! traces of each row, their receipts and requests. Each link is a record of the ledger or a row of the store; what
//! lies on the disk is held to them. Whether the records themselves are genuine is the audit of integrity's to say.

mod folders;
mod held;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Area, Finding, Level, Lineage};
use crate::record::{Dataset, Run};

/// A file by its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its path in the folder, with slashes.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Hex SHA-256.
    pub sha256: String,
}

/// The folder of a stage that says it is done, as it lies on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct StageFolder {
    /// The stage, such as `train`.
    pub stage: String,
    /// Its hash, as the folder's name has it.
    pub hash: String,
    /// What its `outcome.json` says; null where that is no JSON.
    pub outcome: Value,
    /// What it made for others: the student of `train`, the files of `export`.
    pub files: Vec<FileDigest>,
    /// Of `curate`: the rows that a student learns from, with the digest of their file; `None` where it cannot be read.
    pub dataset: Option<(Dataset, String)>,
}

impl StageFolder {
    fn name(&self) -> String {
        format!("stage `{}-{}`", self.stage, self.hash)
    }
}

/// Files of a model that lie somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFolder {
    /// How a person calls it.
    pub name: String,
    /// All files in it.
    pub files: Vec<FileDigest>,
}

/// What is on the disk beside the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OnDisk {
    /// The stages that are done.
    pub stages: Vec<StageFolder>,
    /// Models that are looked at by themselves.
    pub models: Vec<ModelFolder>,
    /// Hex SHA-256 of the copy of the recipe, where there is one.
    pub recipe: Option<String>,
}

/// How many there are of something, and one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Several {
    /// How many.
    pub(crate) count: u64,
    /// One of them, if there is any.
    pub(crate) example: Option<String>,
}

/// A dataset as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldDataset {
    pub(crate) dataset: Dataset,
    /// Whether the ledger tells of it.
    pub(crate) is_recorded: bool,
    /// Traces that its rows name and the store does not hold.
    pub(crate) missing: Vec<String>,
    /// Rows whose traces were asked about something else, by their positions.
    pub(crate) foreign: Vec<usize>,
}

/// Something that a stage made, as the newest record about it says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Noted {
    pub(crate) hash: String,
    pub(crate) record: Value,
}

impl Noted {
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.record[field].as_str()
    }

    pub(crate) fn files(&self) -> Vec<FileDigest> {
        serde_json::from_value(self.record["files"].clone()).unwrap_or_default()
    }
}

/// What the store knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Held {
    pub(crate) traces: u64,
    /// Traces that the ledger does not tell of.
    pub(crate) unrecorded: Several,
    /// Traces without a receipt.
    pub(crate) unreceipted: Several,
    /// Traces that were asked for here, without a request that was answered.
    pub(crate) unasked: Several,
    pub(crate) datasets: BTreeMap<String, HeldDataset>,
    /// Datasets and traces of which something was erased.
    pub(crate) erased: BTreeSet<String>,
    /// Curations that the ledger tells of.
    pub(crate) curations: BTreeSet<String>,
    /// Traces that a curation dropped and a dataset has all the same, by curation and dataset.
    pub(crate) dropped: BTreeMap<(String, String), Several>,
    pub(crate) models: BTreeMap<String, Noted>,
    pub(crate) exports: BTreeMap<String, Noted>,
    /// The digest of the recipe that was noted last.
    pub(crate) recipe: Option<String>,
    pub(crate) runs: Vec<Run>,
}

impl Held {
    /// Leaves what is part of one model's way. Traces were counted by who read them.
    fn only(&mut self, lineage: &Lineage) {
        self.datasets.retain(|id, _| *id == lineage.dataset);
        self.models
            .retain(|hash, _| lineage.holds_stage("train", hash));
        self.exports
            .retain(|hash, _| lineage.holds_stage("export", hash));
    }
}

/// Everything in which the chain is broken, of the whole store or of one model.
pub(crate) fn provenance(mut held: Held, disk: &OnDisk, lineage: Option<&Lineage>) -> Vec<Finding> {
    if let Some(lineage) = lineage {
        held.only(lineage);
    }
    let mut findings = held::findings(&held);
    findings.extend(folders::findings(&held, disk, lineage));
    super::gravest_first(findings)
}

fn found(name: &str, level: Level, message: impl Into<String>) -> Finding {
    Finding::new(Area::Provenance, name, level, message)
}

fn deny(name: &str, message: impl Into<String>) -> Finding {
    found(name, Level::Deny, message)
}
