//! Holding an exported folder against everything that goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::Value;

use super::dsse::Envelope;
use super::evidence::EvidenceError;
use super::inspect_ledger;
use super::inspect_reviews::reviews;
use super::model_key::ModelPublicKey;
use super::model_signature::{IGNORED, SignedModel};
use super::statement::Statement;
use super::{
    AFTERWARDS, FileDigest, LEDGER, SIGNATURE, SIGNING_KEY, Subject, TRAINING, VERDICT, is_inside,
};
use crate::ledger::{NoteError, PublicKey};
use crate::review::Reviewers;

/// A folder as it was found.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// Every file in it and in its folders.
    pub files: Vec<FileDigest>,
    /// What is neither file nor folder, such as links.
    pub others: Vec<String>,
    /// The content of the files that are read, by their paths: [`Folder::DOCUMENTS`], each that is there and not larger
    /// than [`Folder::MOST_BYTES`].
    pub documents: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// The files that are read.
    pub const DOCUMENTS: [&str; 6] = [
        super::CHECKPOINT,
        LEDGER,
        SIGNATURE,
        SIGNING_KEY,
        TRAINING,
        VERDICT,
    ];
    /// None of them is nearly as large.
    pub const MOST_BYTES: u64 = 16 << 20;

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// The content of a document, or why it is not to be had.
    pub(super) fn document(&self, path: &str) -> Result<&[u8], &'static str> {
        match self.documents.get(path) {
            Some(bytes) => Ok(bytes),
            None if self.has(path) => Err("it is too large to be what it should be"),
            None => Err("it is missing"),
        }
    }
}

/// What is trusted from outside.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Public keys of ledgers.
    pub keys: Vec<PublicKey>,
    /// A checkpoint that was kept elsewhere.
    pub checkpoint: Option<String>,
    /// Persons whose signatures under declarations and waivers count.
    pub reviewers: Reviewers,
}

/// Why there is nothing to hold a folder against.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file that everything else hangs on is not there.
    #[error("there is no `{LEDGER}` in it, so nothing says what it should hold")]
    NoEvidence,
    /// Another program wrote it, or a newer one.
    #[error("`{LEDGER}`: {0}")]
    Version(EvidenceError),
    /// What is trusted is no checkpoint.
    #[error("the checkpoint that was kept is none: {0}")]
    Checkpoint(#[from] NoteError),
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What holds, a sentence each.
    pub checked: Vec<String>,
    /// What does not.
    pub wrong: Vec<Wrong>,
    /// What nobody asked about and so stays open.
    pub open: Vec<String>,
    /// What was asked and cannot be answered from the folder.
    pub unanswered: Vec<String>,
}

impl Inspection {
    pub(super) fn wrong(&mut self, file: &str, what: impl Display) {
        self.wrong.push(Wrong {
            file: file.to_owned(),
            what: what.to_string(),
        });
    }
}

/// Checks digests, signatures, statements and proofs of a folder.
pub fn inspect(folder: &Folder, trust: &Trust) -> Result<Inspection, InspectError> {
    let mut found = Inspection::default();
    for other in &folder.others {
        found.wrong(other, "it is neither a file nor a folder");
    }
    let proven = inspect_ledger::ledger(folder, trust, &mut found)?;
    let named = proven.export.as_ref().and_then(|export| {
        let files = named_files(export);
        if let Err(what) = &files {
            found.wrong(LEDGER, what);
        }
        files.ok()
    });
    if let Some(named) = &named {
        files(folder, named, &mut found);
        model_signature(folder, named, &mut found);
    }
    let keys = if trust.keys.is_empty() {
        proven.key.as_slice()
    } else {
        &trust.keys
    };
    // Where the ledger could not be read, no key is known, and that was said.
    let is_unknown = keys.is_empty() && !found.wrong.is_empty();
    for path in [TRAINING, VERDICT] {
        if folder.has(path) && !is_unknown {
            let predicate = statement(folder, path, keys, &mut found);
            if let (VERDICT, Some(verdict)) = (path, predicate) {
                reviews(&verdict, &trust.reviewers, &mut found);
            }
        }
    }
    Ok(found)
}

/// The files that a record of an export names.
fn named_files(record: &Value) -> Result<BTreeMap<String, FileDigest>, String> {
    let files: Vec<FileDigest> = serde_json::from_value(record["files"].clone())
        .map_err(|error| format!("the record of the export names no files: {error}"))?;
    let mut named = BTreeMap::new();
    for file in files {
        if !is_inside(&file.path) || AFTERWARDS.contains(&file.path.as_str()) {
            return Err(format!(
                "the record of the export names `{}`, which no export holds",
                file.path
            ));
        }
        let path = file.path.clone();
        if named.insert(path.clone(), file).is_some() {
            return Err(format!("the record of the export names `{path}` twice"));
        }
    }
    Ok(named)
}

fn files(folder: &Folder, named: &BTreeMap<String, FileDigest>, found: &mut Inspection) {
    let before = found.wrong.len();
    for file in &folder.files {
        match named.get(&file.path) {
            Some(told) if told == file => {}
            Some(_) => found.wrong(&file.path, "it is not the file that was exported"),
            None if AFTERWARDS.contains(&file.path.as_str()) => {}
            None if is_ignored(&file.path) => {
                found.open.push(format!(
                    "`{}` belongs to git or a hub and was not looked at",
                    file.path
                ));
            }
            None => found.wrong(
                &file.path,
                "it was added: the record of the export does not name it",
            ),
        }
    }
    for path in named.keys().filter(|path| !folder.has(path)) {
        found.wrong(path, "it is missing");
    }
    if found.wrong.len() == before {
        let count = named.len();
        found.checked.push(format!(
            "{count} files are those that were exported, by their SHA-256"
        ));
    }
}

fn is_ignored(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    IGNORED.contains(&first)
}

fn model_signature(folder: &Folder, named: &BTreeMap<String, FileDigest>, found: &mut Inspection) {
    if !named.contains_key(SIGNING_KEY) {
        if folder.has(SIGNATURE) {
            found.wrong(
                SIGNATURE,
                "the record of the export knows no key that it could be by",
            );
        } else {
            found
                .open
                .push("the export carries no signature of the model".to_owned());
        }
        return;
    }
    // Without the key there is nothing to verify with; that it is missing was said.
    let Ok(key) = folder.document(SIGNING_KEY) else {
        return;
    };
    let key = match std::str::from_utf8(key).ok().map(ModelPublicKey::parse) {
        Some(Ok(key)) => key,
        Some(Err(error)) => return found.wrong(SIGNING_KEY, error),
        None => return found.wrong(SIGNING_KEY, "it is no text"),
    };
    let text = match folder.document(SIGNATURE) {
        Ok(text) => text,
        Err(what) => return found.wrong(SIGNATURE, what),
    };
    let signed = match SignedModel::verify(text, &key) {
        Ok(signed) => signed,
        Err(error) => return found.wrong(SIGNATURE, error),
    };
    let signed: BTreeSet<(&str, &str)> = signed
        .files
        .iter()
        .map(|(path, digest)| (path.as_str(), digest.as_str()))
        .collect();
    let there = folder
        .files
        .iter()
        .filter(|file| file.path != SIGNATURE && !is_ignored(&file.path))
        .map(|file| (file.path.as_str(), file.sha256.as_str()))
        .collect();
    // What is wrong with a file was said already where the record names it.
    let said: BTreeSet<String> = found.wrong.iter().map(|wrong| wrong.file.clone()).collect();
    let other: BTreeSet<&str> = signed
        .symmetric_difference(&there)
        .map(|(path, _)| *path)
        .collect();
    for path in other.into_iter().filter(|path| !said.contains(*path)) {
        found.wrong(
            path,
            format!("it is not as `{SIGNATURE}` says that it was signed"),
        );
    }
    found
        .checked
        .push(format!("`{SIGNATURE}` is by the key in `{SIGNING_KEY}`"));
}

/// What a statement says, if it is one about the files here, by one of the keys.
fn statement(
    folder: &Folder,
    path: &str,
    keys: &[PublicKey],
    found: &mut Inspection,
) -> Option<Value> {
    let text = match folder.document(path) {
        Ok(text) => text,
        Err(what) => {
            found.wrong(path, what);
            return None;
        }
    };
    let envelope = match Envelope::parse(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            found.wrong(path, error);
            return None;
        }
    };
    if !keys.iter().any(|key| envelope.is_signed_by(key)) {
        found.wrong(path, "it is not signed by the ledger's key");
        return None;
    }
    let statement = match Statement::of(&envelope) {
        Ok(statement) => statement,
        Err(error) => {
            found.wrong(path, error);
            return None;
        }
    };
    let is_there = |subject: &&Subject| {
        let digest = subject.sha256();
        let mut files = folder.files.iter();
        digest.is_some()
            && files.any(|file| file.path == subject.name && Some(&*file.sha256) == digest)
    };
    if let Some(other) = statement.subject.iter().find(|subject| !is_there(subject)) {
        // What is wrong with a file of the export was said already.
        if !found.wrong.iter().any(|wrong| wrong.file == other.name) {
            let what = format!("it is about another `{}` than the one here", other.name);
            found.wrong(path, what);
        }
        return None;
    }
    if statement.subject.is_empty() {
        found.wrong(path, "it is about no file");
        return None;
    }
    found.checked.push(format!(
        "`{path}` is signed by the ledger's key and about the files here"
    ));
    Some(statement.predicate)
}
