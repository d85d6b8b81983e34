//! Reading the ledger: its state, its records, and proofs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Store;
use crate::StoreError;
use crate::ledger::{
    Hash, ProofError, SecretKey, SignedNote, consistency_runs, fold, inclusion_runs, subtrees,
};

/// A record of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Its place, counted from 0.
    pub index: u64,
    /// What it is about: `prompt`, `trace`, `attempts`, `curation`, `dataset`, `run`, `model`, `export`,
    /// `recipe`, `erasure`.
    pub kind: String,
    /// Which one of that kind.
    pub subject: String,
    /// What it says.
    pub record: Value,
}

/// A checkpoint as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerCheckpoint {
    /// How many records it covers.
    pub size: u64,
    /// A signed note, or the bare checkpoint where there was no key.
    pub note: String,
}

/// What shows that a record is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The record's place.
    pub index: u64,
    /// The text that is hashed.
    pub record: String,
    /// How many records the ledger has.
    pub size: u64,
    /// The hash of the record.
    pub leaf: Hash,
    /// What [`verify_inclusion`](crate::ledger::verify_inclusion) takes.
    pub proof: Vec<Hash>,
    /// The ledger's root.
    pub root: Hash,
}

impl Store {
    /// From now on checkpoints are signed by this key, and the newest one is signed now if nobody did: records that were
    /// adopted when the store was opened came before the key. The first key that is given stays.
    pub async fn sign_checkpoints_with(&self, key: SecretKey) -> Result<(), StoreError> {
        // A second key would be one that nobody expects.
        let _ = self.shared.signer.set(key);
        let newest = self.latest_checkpoint().await?;
        if newest.is_none_or(|newest| SignedNote::parse(&newest.note).is_ok()) {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        let mut frontier = self.frontier(&mut transaction).await?;
        self.append_checkpoint(&mut transaction, &mut frontier)
            .await?;
        transaction.commit().await.map_err(self.explain())
    }

    /// What the ledger is called in its checkpoints.
    pub async fn ledger_origin(&self) -> Result<String, StoreError> {
        let mut connection = self.pool().acquire().await.map_err(self.explain())?;
        self.ledger_name(&mut connection).await
    }

    /// How many records the ledger has.
    pub async fn ledger_size(&self) -> Result<u64, StoreError> {
        let size = sqlx::query_scalar!(
            r#"SELECT coalesce(max(idx) + 1, 0) AS "size!: i64" FROM ledger_leaves"#
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.unsigned("idx", size)
    }

    /// The newest checkpoint: what is to be kept outside.
    pub async fn latest_checkpoint(&self) -> Result<Option<LedgerCheckpoint>, StoreError> {
        let found =
            sqlx::query!("SELECT size, note FROM ledger_checkpoints ORDER BY number DESC LIMIT 1")
                .fetch_optional(self.pool())
                .await
                .map_err(self.explain())?;
        let checkpoint = found.map(|row| {
            Ok(LedgerCheckpoint {
                size: self.unsigned("size", row.size)?,
                note: row.note,
            })
        });
        checkpoint.transpose()
    }

    /// All records of a kind, in their order.
    pub async fn ledger_entries(&self, kind: &str) -> Result<Vec<LedgerEntry>, StoreError> {
        let rows = sqlx::query!(
            "SELECT idx, kind, subject, record FROM ledger_leaves WHERE kind = ?1 ORDER BY idx",
            kind,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let entries = rows.into_iter().map(|row| {
            Ok(LedgerEntry {
                index: self.unsigned("idx", row.idx)?,
                record: self.parse("record", &row.record)?,
                kind: row.kind,
                subject: row.subject,
            })
        });
        entries.collect()
    }

    /// Shows that the newest record of a subject is in the ledger; `None` where there is none.
    pub async fn prove_inclusion(
        &self,
        kind: &str,
        subject: &str,
    ) -> Result<Option<Inclusion>, StoreError> {
        let explain = self.explain();
        // One transaction, so that nothing is appended between the reads.
        let mut transaction = self.pool().begin().await.map_err(explain)?;
        let found = sqlx::query!(
            "SELECT idx, record, leaf_hash FROM ledger_leaves WHERE kind = ?1 AND subject = ?2
             ORDER BY idx DESC LIMIT 1",
            kind,
            subject,
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(explain)?;
        let Some(found) = found else {
            return Ok(None);
        };
        let index = self.unsigned("idx", found.idx)?;
        let frontier = self.frontier(&mut transaction).await?;
        let runs = inclusion_runs(index, frontier.size()).map_err(|error| self.damaged(error))?;
        let leaf = found.leaf_hash.try_into();
        Ok(Some(Inclusion {
            index,
            record: found.record,
            size: frontier.size(),
            leaf: leaf.map_err(|_| self.damaged("`leaf_hash` is no hash"))?,
            proof: self.run_hashes(&mut transaction, runs).await?,
            root: frontier.root(),
        }))
    }

    /// Shows that the ledger's first `old` records are those that its first `new` begin with.
    pub async fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, StoreError> {
        let explain = self.explain();
        let mut transaction = self.pool().begin().await.map_err(explain)?;
        let size = self.frontier(&mut transaction).await?.size();
        let runs = if new > size {
            Err(ProofError::Larger {
                old: new,
                new: size,
            })
        } else {
            consistency_runs(old, new)
        };
        let runs = runs.map_err(|error| self.damaged(error))?;
        self.run_hashes(&mut transaction, runs).await
    }

    async fn run_hashes(
        &self,
        connection: &mut sqlx::sqlite::SqliteConnection,
        runs: Vec<std::ops::Range<u64>>,
    ) -> Result<Vec<Hash>, StoreError> {
        let nodes: Vec<_> = runs.into_iter().map(subtrees).collect();
        let hashes = self.node_hashes(connection, &nodes.concat()).await?;
        let mut rest = hashes.as_slice();
        let folded = nodes.iter().map(|nodes| {
            let (run, after) = rest.split_at(nodes.len());
            rest = after;
            fold(run)
        });
        Ok(folded.collect())
    }
}
