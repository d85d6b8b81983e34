//! The audit of integrity over a whole store: one walk along the ledger, a page of records at a time.
//!
//! All reads are of one transaction, so a run that goes on meanwhile is no finding.

mod added;
mod clock;
mod schema;
mod subjects;
mod tree;

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{Sqlite, Transaction};

use super::Store;
use crate::StoreError;
use crate::audit::integrity::{Findings, IntegrityOptions, KeptOutside, LastCheckpoint};
use crate::audit::{Area, Finding, Level};
use crate::ledger::PublicKey;
use tree::TreeCheck;

/// How many records are looked at together.
const PAGE: i64 = 4096;

/// A record as it lies in the ledger.
struct Leaf {
    index: i64,
    kind: String,
    subject: String,
    /// What is hashed.
    text: String,
    hash: Vec<u8>,
    salt: Option<Vec<u8>>,
    /// The text read; null where it is no JSON.
    record: Value,
}

impl Leaf {
    /// How a person finds it.
    fn name(&self) -> String {
        format!("record {} ({} `{}`)", self.index, self.kind, self.subject)
    }

    fn text_of(&self, field: &str) -> &str {
        self.record[field].as_str().unwrap_or_default()
    }
}

/// An audit on its way.
struct Check<'a> {
    store: &'a Store,
    transaction: Transaction<'static, Sqlite>,
    findings: Findings,
    keys: &'a [PublicKey],
    origin: Option<String>,
    /// Traces and prompts that were erased.
    erased: BTreeSet<String>,
    /// Numbers of attempts that records speak of, from a first to a last.
    attempts: Vec<(i64, i64)>,
    adopted: u64,
    newest_time: Option<jiff::Timestamp>,
}

impl Store {
    /// Whether anything was changed, taken out, put in or moved, by whomever.
    ///
    /// Without findings of [`Level::Deny`] the store holds what was recorded, as far as can be told with the key and the
    /// checkpoint that were given. An error means that it could not be looked at.
    pub async fn audit_integrity(
        &self,
        options: &IntegrityOptions,
    ) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Findings::default();
        let outside = KeptOutside::parse(options.checkpoint.as_deref(), &mut findings);
        let mut transaction = self.pool().begin().await.map_err(self.explain())?;
        let origin = sqlx::query_scalar!("SELECT origin FROM ledger")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.explain())?;
        let mut check = Check {
            store: self,
            transaction,
            findings,
            keys: &options.keys,
            origin,
            erased: BTreeSet::new(),
            attempts: Vec::new(),
            adopted: 0,
            newest_time: None,
        };
        check.file().await?;
        check.schema().await?;
        check.read_erasures().await?;
        check.walk(outside.as_ref()).await?;
        check.added().await?;
        Ok(check.findings.finish())
    }
}

impl Check<'_> {
    /// Along all records, and then what only their end tells.
    async fn walk(&mut self, outside: Option<&KeptOutside>) -> Result<(), StoreError> {
        let mut tree = TreeCheck::new(outside.map(KeptOutside::size));
        let mut next = i64::MIN;
        loop {
            let page = self.page(next).await?;
            let Some(last) = page.last() else { break };
            next = last.index.saturating_add(1);
            self.records(&page);
            self.tree_page(&mut tree, &page).await?;
            self.subjects(&page).await?;
            if last.index == i64::MAX {
                break;
            }
        }
        self.tree_end(&mut tree).await?;
        let records = tree.size();
        if records == 0 || self.origin.is_none() {
            self.without_ledger(records).await?;
        }
        let newest = self.newest_checkpoint().await?;
        let last = LastCheckpoint {
            newest: newest.as_ref(),
            records,
        };
        last.judge(self.keys, &mut self.findings);
        if let Some(outside) = outside {
            let computed = tree.watched();
            let origin = self.origin.as_deref();
            outside.judge(origin, computed, records, self.keys, &mut self.findings);
        }
        if self.adopted > 0 {
            let adopted = self.adopted;
            self.findings.add(Finding::new(
                Area::Integrity,
                "adopted",
                Level::Note,
                format!(
                    "{adopted} records were made of rows that were there before the ledger: nothing is proven of them \
                     before that"
                ),
            ));
        }
        Ok(())
    }

    /// The next records from index `from` on.
    async fn page(&mut self, from: i64) -> Result<Vec<Leaf>, StoreError> {
        let rows = sqlx::query!(
            "SELECT idx, kind, subject, record, leaf_hash, salt FROM ledger_leaves
             WHERE idx >= ?1 ORDER BY idx LIMIT ?2",
            from,
            PAGE,
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.store.explain())?;
        let leaves = rows.into_iter().map(|row| Leaf {
            index: row.idx,
            kind: row.kind,
            subject: row.subject,
            record: serde_json::from_str(&row.record).unwrap_or_default(),
            text: row.record,
            hash: row.leaf_hash,
            salt: row.salt,
        });
        Ok(leaves.collect())
    }

    /// What each record says of itself.
    fn records(&mut self, page: &[Leaf]) {
        for leaf in page {
            let computed = crate::ledger::leaf_hash(leaf.text.as_bytes());
            if leaf.hash != computed {
                self.findings.deny(
                    "record-changed",
                    format!("{} is not what was hashed", leaf.name()),
                );
            }
            if leaf.text_of("kind") != leaf.kind || leaf.text_of("subject") != leaf.subject {
                self.findings.deny(
                    "record-changed",
                    format!("{} stands under another kind or subject", leaf.name()),
                );
            }
            self.adopted += u64::from(leaf.record["adopted"] == true);
            let time: Option<jiff::Timestamp> = leaf.text_of("at").parse().ok();
            if let (Some(newest), Some(time)) = (self.newest_time, time)
                && let Some(finding) = clock::went_back(&leaf.name(), time, newest)
            {
                self.findings.add(finding);
            }
            self.newest_time = self.newest_time.max(time);
        }
    }

    /// A store that has rows and no ledger is none that anything can be proven of.
    async fn without_ledger(&mut self, records: u64) -> Result<(), StoreError> {
        let traces = self.store.count_in(&mut self.transaction).await?;
        if records > 0 {
            self.findings
                .deny("no-ledger", "the ledger has records and no name");
        } else if traces > 0 {
            self.findings.deny(
                "no-ledger",
                format!(
                    "the store has {traces} traces and no ledger, so nothing is proven of them"
                ),
            );
        }
        Ok(())
    }

    /// What was erased, and why the ledger says so.
    async fn read_erasures(&mut self) -> Result<(), StoreError> {
        let records =
            sqlx::query_scalar!("SELECT record FROM ledger_leaves WHERE kind = 'erasure'")
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(self.store.explain())?;
        for record in records {
            let record: Value = serde_json::from_str(&record).unwrap_or_default();
            let named = [&record["traces"], &record["prompts"], &record["datasets"]];
            for id in named.into_iter().filter_map(Value::as_array).flatten() {
                self.erased.extend(id.as_str().map(str::to_owned));
            }
        }
        Ok(())
    }
}

impl Store {
    async fn count_in(
        &self,
        connection: &mut sqlx::sqlite::SqliteConnection,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar!("SELECT count(*) FROM traces")
            .fetch_one(connection)
            .await
            .map_err(self.explain())
    }
}
