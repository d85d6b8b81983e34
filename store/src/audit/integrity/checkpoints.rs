//! What checkpoints say, held to what the records give.

use super::{Area, Finding, Findings, Level, PublicKey};
use crate::ledger::{Checkpoint, Hash, SignedNote};

/// A checkpoint as the store keeps it.
#[derive(Debug)]
pub(crate) struct StoredCheckpoint {
    pub(crate) number: i64,
    pub(crate) size: i64,
    pub(crate) root: Vec<u8>,
    pub(crate) note: String,
}

impl StoredCheckpoint {
    /// Looks at one whose records give the root `computed`.
    pub(crate) fn judge(
        &self,
        origin: Option<&str>,
        computed: &Hash,
        keys: &[PublicKey],
        findings: &mut Findings,
    ) {
        let Self { number, size, .. } = self;
        if self.root != computed {
            findings.deny(
                "tree",
                format!("checkpoint {number} over {size} records has another root than they give"),
            );
        }
        let (checkpoint, signed) = match read(&self.note) {
            Ok(read) => read,
            Err(why) => {
                findings.deny(
                    "checkpoint",
                    format!("the note of checkpoint {number} is not readable: {why}"),
                );
                return;
            }
        };
        let is_same = checkpoint.root[..] == self.root
            && i64::try_from(checkpoint.size) == Ok(*size)
            && origin.is_none_or(|origin| origin == checkpoint.origin);
        if !is_same {
            findings.deny(
                "checkpoint",
                format!("the note of checkpoint {number} is of another log, size or root"),
            );
        }
        // An unsigned one may be from before there was a key; a later signature covers the same records.
        if let Some(signed) = signed
            && !keys.is_empty()
            && !is_signed_by_one(&signed, keys)
        {
            findings.deny(
                "checkpoint-signature",
                format!("checkpoint {number} over {size} records is not signed by a given key"),
            );
        }
    }
}

/// The newest checkpoint of a store with `records` records.
#[derive(Debug)]
pub(crate) struct LastCheckpoint<'a> {
    pub(crate) newest: Option<&'a StoredCheckpoint>,
    pub(crate) records: u64,
}

impl LastCheckpoint<'_> {
    /// Every record is covered by a checkpoint from the moment on in which it is kept.
    pub(crate) fn judge(&self, keys: &[PublicKey], findings: &mut Findings) {
        let records = self.records;
        let Some(newest) = self.newest else {
            if records > 0 {
                findings.deny(
                    "checkpoint",
                    format!("the ledger has {records} records and no checkpoint"),
                );
            }
            return;
        };
        let covered = u64::try_from(newest.size).unwrap_or(0);
        if covered < records {
            findings.deny(
                "checkpoint",
                format!(
                    "the newest checkpoint covers {covered} of {records} records; one is made whenever records are"
                ),
            );
        }
        match SignedNote::parse(&newest.note) {
            Err(_) if !keys.is_empty() => findings.deny(
                "checkpoint-signature",
                format!("the newest checkpoint, over {covered} records, is not signed"),
            ),
            _ if keys.is_empty() => findings.add(
                Finding::new(
                    Area::Integrity,
                    "cannot-tell",
                    Level::Note,
                    "no key was given, so it is not known who wrote the checkpoints",
                )
                .help("give the public key that `limbeck keys show` prints on the machine that harvests"),
            ),
            _ => {}
        }
    }
}

/// A checkpoint that was kept outside of the store.
#[derive(Debug)]
pub(crate) struct KeptOutside {
    checkpoint: Checkpoint,
    signed: Option<SignedNote>,
}

impl KeptOutside {
    /// Reads the text; what is wrong with it is a finding.
    pub(crate) fn parse(text: Option<&str>, findings: &mut Findings) -> Option<Self> {
        let Some(text) = text else {
            findings.add(
                Finding::new(
                    Area::Integrity,
                    "cannot-tell",
                    Level::Note,
                    "no checkpoint from outside was given, so it cannot be told whether the whole history was made \
                     anew by someone with the key, or the store put back to an earlier state",
                )
                .help("keep the newest checkpoint elsewhere (a commit, a job's artefact) and give it with `--checkpoint`"),
            );
            return None;
        };
        match read(text) {
            Ok((checkpoint, signed)) => Some(Self { checkpoint, signed }),
            Err(why) => {
                findings.deny(
                    "checkpoint",
                    format!("the given checkpoint is not readable: {why}"),
                );
                None
            }
        }
    }

    /// Over how many records it is.
    pub(crate) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Whether the store goes on from it. `computed` is the root of the store's first [`size`](Self::size) records;
    /// `None` where it has fewer than that, which are `records`.
    pub(crate) fn judge(
        &self,
        origin: Option<&str>,
        computed: Option<&Hash>,
        records: u64,
        keys: &[PublicKey],
        findings: &mut Findings,
    ) {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        let signed = self.signed.as_ref();
        if !keys.is_empty() && !signed.is_some_and(|signed| is_signed_by_one(signed, keys)) {
            findings.deny(
                "checkpoint-signature",
                "the given checkpoint is not signed by a given key",
            );
        }
        let why = match computed {
            _ if origin.is_some_and(|origin| origin != self.checkpoint.origin) => format!(
                "it is of the log `{}`, and the store's is `{}`",
                self.checkpoint.origin,
                origin.unwrap_or_default()
            ),
            None => format!(
                "it is over {size} records and the store has {records}: the last ones are gone, or the store was put \
                 back to an earlier state"
            ),
            Some(computed) if computed != root => format!(
                "the store's first {size} records give another root: the history was made anew"
            ),
            Some(_) => return,
        };
        findings.deny(
            "not-an-ancestor",
            format!("the given checkpoint is no ancestor of this store: {why}"),
        );
    }
}

fn is_signed_by_one(note: &SignedNote, keys: &[PublicKey]) -> bool {
    keys.iter().any(|key| note.is_signed_by(key))
}

/// A checkpoint, with its signatures where there are any.
fn read(text: &str) -> Result<(Checkpoint, Option<SignedNote>), String> {
    if let Ok(note) = SignedNote::parse(text) {
        let checkpoint = Checkpoint::parse(&note.text).map_err(|error| error.to_string())?;
        return Ok((checkpoint, Some(note)));
    }
    let checkpoint = Checkpoint::parse(text).map_err(|error| error.to_string())?;
    Ok((checkpoint, None))
}
