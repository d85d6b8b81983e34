//! The part of an inspection that is about the ledger: checkpoint, records, and what was kept elsewhere.

use std::collections::BTreeMap;

use serde_json::Value;

use super::evidence::{Evidence, EvidenceError};
use super::inspect::{Folder, InspectError, Inspection, Trust};
use super::{CHECKPOINT, LEDGER};
use crate::ledger::{Checkpoint, NoteError, PublicKey, SignedNote};

/// What the rest of the folder is held against.
#[derive(Debug, Default)]
pub(super) struct Proven {
    /// The record of the export, if it is proven to be in the ledger.
    pub(super) export: Option<Value>,
    /// The key that the folder says signed it.
    pub(super) key: Option<PublicKey>,
}

pub(super) fn ledger(
    folder: &Folder,
    trust: &Trust,
    found: &mut Inspection,
) -> Result<Proven, InspectError> {
    let outside = trust.checkpoint.as_deref().map(read).transpose()?;
    if !folder.has(LEDGER) {
        return Err(InspectError::NoEvidence);
    }
    let mut proven = Proven::default();
    let evidence = match folder.document(LEDGER).map(Evidence::parse) {
        Ok(Ok(evidence)) => evidence,
        Ok(Err(error @ EvidenceError::Version(_))) => return Err(InspectError::Version(error)),
        Ok(Err(error)) => {
            found.wrong(LEDGER, error);
            return Ok(proven);
        }
        Err(what) => {
            found.wrong(LEDGER, what);
            return Ok(proven);
        }
    };
    match evidence.key.as_deref().map(PublicKey::parse).transpose() {
        Ok(key) => proven.key = key,
        Err(error) => found.wrong(LEDGER, format!("`key`: {error}")),
    }
    let Some(note) = note(folder, found) else {
        return Ok(proven);
    };
    let checkpoint = match read(&note) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            found.wrong(CHECKPOINT, error);
            return Ok(proven);
        }
    };
    signature(&note, trust, proven.key.as_ref(), found);
    proven.export = records(&evidence, &checkpoint, found);
    kept(&evidence, outside.as_ref(), &checkpoint, found);
    Ok(proven)
}

fn note(folder: &Folder, found: &mut Inspection) -> Option<String> {
    let text = match folder.document(CHECKPOINT) {
        Ok(text) => text,
        Err(what) => {
            found.wrong(CHECKPOINT, what);
            return None;
        }
    };
    let text = String::from_utf8(text.to_vec());
    if text.is_err() {
        found.wrong(CHECKPOINT, "it is no text");
    }
    text.ok()
}

/// A checkpoint, signed or not.
fn read(note: &str) -> Result<Checkpoint, NoteError> {
    match SignedNote::parse(note) {
        Ok(signed) => Checkpoint::parse(&signed.text),
        Err(NoteError::Unsigned) => Checkpoint::parse(note),
        Err(error) => Err(error),
    }
}

/// Who signed the checkpoint: one of the keys that are trusted, or only the one that the folder names.
fn signature(note: &str, trust: &Trust, said: Option<&PublicKey>, found: &mut Inspection) {
    let signed = SignedNote::parse(note).ok();
    let is_by = |key: &&PublicKey| signed.as_ref().is_some_and(|note| note.is_signed_by(key));
    if !trust.keys.is_empty() {
        match trust.keys.iter().find(is_by) {
            Some(key) => found.checked.push(format!(
                "the checkpoint is signed by the key `{key}`, which is trusted"
            )),
            None if signed.is_none() => found.wrong(CHECKPOINT, "it is not signed"),
            None => found.wrong(CHECKPOINT, "it is signed by no key that is trusted"),
        }
        return;
    }
    match (said.filter(is_by), said, &signed) {
        (Some(key), ..) => {
            found
                .checked
                .push(format!("the checkpoint is signed by the key `{key}`"));
            found.open.push(
                "whose key that is: whoever made the folder anew would have put in another; give the one that you trust with `--key`"
                    .to_owned(),
            );
        }
        (None, None, None) => found
            .open
            .push("who made the folder: its checkpoint is not signed".to_owned()),
        (None, Some(_), None) => found.wrong(CHECKPOINT, "its signature was taken out"),
        (None, _, Some(_)) => {
            found.wrong(
                CHECKPOINT,
                format!("it is not signed by the key in `{LEDGER}`"),
            );
        }
    }
}

/// Proves the records, and follows them from the export to what the model learned from. Returns that of the export.
fn records(evidence: &Evidence, checkpoint: &Checkpoint, found: &mut Inspection) -> Option<Value> {
    let mut records: BTreeMap<String, Value> = BTreeMap::new();
    for entry in &evidence.entries {
        match entry.proven(checkpoint) {
            Ok(record) => {
                let kind = text(&record, "kind").to_owned();
                if records.insert(kind.clone(), record).is_some() {
                    found.wrong(LEDGER, format!("it has two records of kind `{kind}`"));
                }
            }
            Err(error) => found.wrong(LEDGER, error),
        }
    }
    for (from, field, to) in [
        ("export", "model", "model"),
        ("model", "dataset", "dataset"),
        ("model", "curation", "curation"),
    ] {
        match (records.get(from), records.get(to)) {
            (_, None) => found.wrong(
                LEDGER,
                format!("it has no record of kind `{to}` that is proven"),
            ),
            (Some(from_record), Some(to_record))
                if text(from_record, field) != text(to_record, "subject") =>
            {
                let what =
                    format!("the record of the {from} is about another {to} than the one here");
                found.wrong(LEDGER, what);
            }
            _ => {}
        }
    }
    let export = records.remove("export");
    if export.is_none() {
        found.wrong(LEDGER, "it has no record of kind `export` that is proven");
    } else if records.len() == 3 {
        found.checked.push(format!(
            "the records of export, model, dataset and curation are in the ledger `{}` of {} records",
            checkpoint.origin, checkpoint.size
        ));
    }
    export
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

/// Whether the ledger goes on from the checkpoint that was kept elsewhere.
fn kept(
    evidence: &Evidence,
    outside: Option<&Checkpoint>,
    checkpoint: &Checkpoint,
    found: &mut Inspection,
) {
    let Some(old) = outside else {
        found.open.push(
            "whether the ledger was made anew by who has its key: a checkpoint that was kept elsewhere, given with `--checkpoint`, would show it"
                .to_owned(),
        );
        return;
    };
    if old.origin != checkpoint.origin {
        let what = format!(
            "it is of the ledger `{}`, and the one kept elsewhere of `{}`",
            checkpoint.origin, old.origin
        );
        return found.wrong(CHECKPOINT, what);
    }
    let proof = if old.size > checkpoint.size {
        None
    } else {
        evidence.goes_on_from(old, checkpoint)
    };
    match proof {
        Some(Ok(())) => found.checked.push(format!(
            "the ledger goes on from the checkpoint of {} records that was kept elsewhere",
            old.size
        )),
        Some(Err(error)) => found.wrong(
            CHECKPOINT,
            format!("the ledger does not go on from the checkpoint that was kept elsewhere: {error}"),
        ),
        None => found.unanswered.push(format!(
            "whether the checkpoint of {} records that was kept elsewhere and the one of {} records here are of one history: the folder has no proof for that; `limbeck audit integrity --checkpoint` on the work folder can tell",
            old.size, checkpoint.size
        )),
    }
}
