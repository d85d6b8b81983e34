//! Records of the ledger with what shows that they are in it, for who has nothing else of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EVIDENCE_FORM;
use crate::ledger::{
    Checkpoint, Hash, ProofError, leaf_hash, verify_consistency, verify_inclusion,
};

/// Why a text is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// It is no JSON, or has other fields.
    #[error("it is no evidence of a ledger: {0}")]
    Form(#[from] serde_json::Error),
    /// Another program wrote it, or a newer one.
    #[error("it is of the form `{0}`, and this version reads `{EVIDENCE_FORM}`")]
    Version(String),
    /// A hash is none.
    #[error("`{0}` is no hash")]
    Hash(String),
    /// A record is no object with a kind and a subject.
    #[error("the record at {0} is none")]
    Record(u64),
    /// A proof does not hold.
    #[error("the record at {index} is not proven to be in the ledger: {source}")]
    Proof {
        /// The record's place.
        index: u64,
        /// Why not.
        source: ProofError,
    },
}

/// Records and proofs, all of them for one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`EVIDENCE_FORM`].
    pub limbeck: String,
    /// The public key that is said to have signed the checkpoint; nobody vouches for it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The records.
    pub entries: Vec<EntryEvidence>,
    /// That the checkpoint goes on from older ones: those at the end of runs, which people keep.
    pub consistency: Vec<ConsistencyEvidence>,
}

/// A record, and the proof that it is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryEvidence {
    /// Its place, counted from 0.
    pub index: u64,
    /// The very text that is hashed, a canonical JSON text.
    pub record: String,
    /// The inclusion proof (RFC 6962, section 2.1.1), each hash in hex.
    pub proof: Vec<String>,
}

/// That the ledger goes on from an older state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyEvidence {
    /// How many records the older state had.
    pub size: u64,
    /// The consistency proof (RFC 6962, section 2.1.2), each hash in hex.
    pub proof: Vec<String>,
}

impl Evidence {
    /// Reads a file of evidence.
    pub fn parse(text: &[u8]) -> Result<Self, EvidenceError> {
        #[derive(Deserialize)]
        struct Form {
            limbeck: String,
        }
        // The form first, so that a newer one is not told as a mistake.
        let Form { limbeck } = serde_json::from_slice(text)?;
        if limbeck != EVIDENCE_FORM {
            return Err(EvidenceError::Version(limbeck));
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// How the ledger's state of `old` became that of `new`: `None` where no proof for that is here.
    pub fn goes_on_from(
        &self,
        old: &Checkpoint,
        new: &Checkpoint,
    ) -> Option<Result<(), EvidenceError>> {
        let check = |proof: &[Hash]| {
            let index = old.size;
            verify_consistency(old.size, new.size, proof, &old.root, &new.root)
                .map_err(|source| EvidenceError::Proof { index, source })
        };
        if old.size == new.size || old.size == 0 {
            return Some(check(&[]));
        }
        let found = self
            .consistency
            .iter()
            .find(|proof| proof.size == old.size)?;
        Some(hashes(&found.proof).and_then(|proof| check(&proof)))
    }
}

impl EntryEvidence {
    /// The record, proven to be in the ledger with this checkpoint.
    pub fn proven(&self, checkpoint: &Checkpoint) -> Result<Value, EvidenceError> {
        let index = self.index;
        let proof = hashes(&self.proof)?;
        let leaf = leaf_hash(self.record.as_bytes());
        verify_inclusion(&leaf, index, checkpoint.size, &proof, &checkpoint.root)
            .map_err(|source| EvidenceError::Proof { index, source })?;
        serde_json::from_str(&self.record)
            .ok()
            .filter(|record: &Value| record["kind"].is_string() && record["subject"].is_string())
            .ok_or(EvidenceError::Record(index))
    }
}

fn hashes(proof: &[String]) -> Result<Vec<Hash>, EvidenceError> {
    let read = |text: &String| {
        let bytes = hex::decode(text).ok()?;
        bytes.try_into().ok()
    };
    let hashes = proof
        .iter()
        .map(|text| read(text).ok_or_else(|| EvidenceError::Hash(text.chars().take(80).collect())));
    hashes.collect()
}
