//! Records and proofs for who has nothing else of the ledger.

use super::Store;
use crate::StoreError;
use crate::attestation::{ConsistencyEvidence, EVIDENCE_FORM, EntryEvidence, Evidence};
use crate::ledger::{Frontier, Hash, PublicKey, subtrees};

/// From at most so many of the newest runs' ends it is proven that the ledger goes on: some hundred kilobytes.
const MOST_RUNS: usize = 64;

impl Store {
    /// The newest checkpoint as a note, and the newest records of these kinds and subjects with proofs that they are in
    /// it. That it goes on from the checkpoints at the end of earlier runs is proven as well.
    ///
    /// `None` where a subject has no record. `key` is named as the one that signs.
    pub async fn ledger_evidence(
        &self,
        subjects: &[(&str, &str)],
        key: Option<&PublicKey>,
    ) -> Result<Option<(String, Evidence)>, StoreError> {
        let Some(checkpoint) = self.latest_checkpoint().await? else {
            return Ok(None);
        };
        let mut entries = Vec::with_capacity(subjects.len());
        for (kind, subject) in subjects {
            let Some(inclusion) = self.prove_inclusion(kind, subject).await? else {
                return Ok(None);
            };
            if inclusion.size != checkpoint.size {
                return Err(self.damaged("the ledger has records after its newest checkpoint"));
            }
            entries.push(EntryEvidence {
                index: inclusion.index,
                record: inclusion.record,
                proof: in_hex(&inclusion.proof),
            });
        }
        let mut consistency = Vec::new();
        let runs = self.ledger_entries("run").await?;
        for run in runs.iter().rev().take(MOST_RUNS) {
            // The checkpoint that a run leaves is the one after its own record.
            let size = run.index + 1;
            if size < checkpoint.size {
                let proof = in_hex(&self.prove_consistency(size, checkpoint.size).await?);
                consistency.push(ConsistencyEvidence { size, proof });
            }
        }
        let origin = self.ledger_origin().await?;
        let key = key.and_then(|key| key.named(&origin).ok());
        let evidence = Evidence {
            limbeck: EVIDENCE_FORM.to_owned(),
            key: key.map(|key| key.to_string()),
            entries,
            consistency,
        };
        Ok(Some((checkpoint.note, evidence)))
    }

    /// Place and root of the state of the ledger that ends with the newest record of a subject: how many records it
    /// has, and its root. `None` where there is no such record.
    pub async fn ledger_state_after(
        &self,
        kind: &str,
        subject: &str,
    ) -> Result<Option<(u64, Hash)>, StoreError> {
        let Some(inclusion) = self.prove_inclusion(kind, subject).await? else {
            return Ok(None);
        };
        let size = inclusion.index + 1;
        let mut connection = self.pool().acquire().await.map_err(self.explain())?;
        let hashes = self
            .node_hashes(&mut connection, &subtrees(0..size))
            .await?;
        let edge = Frontier::new(size, hashes);
        let edge = edge.ok_or_else(|| self.damaged("the ledger has no edge"))?;
        Ok(Some((size, edge.root())))
    }
}

fn in_hex(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(hex::encode).collect()
}
