//! The database: one `SQLite` file, one writer.
//!
//! Every statement is checked against the migrations at compile time (`sqlx::query!`, with the metadata in
//! `.sqlx`; `store/prepare.sh` renews it), except those over `SQLite`'s own tables in [`open`], those that read whole
//! rows for the [`ledger`], whatever columns a table has, and those that write rows in [`bulk`].

mod accounts;
mod attempts;
mod auditing;
mod batches;
mod bulk;
mod datasets;
mod erased_imports;
mod exports;
mod imports;
mod ledger;
mod lock;
mod open;
mod prompts;
mod provenance;
mod reading;
mod rights;
mod runs;
mod telling;
#[cfg(test)]
mod tests;
mod traces;
mod verdicts;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::StoreError;
use crate::ledger::SecretKey;
use lock::StoreLock;

pub use accounts::{FailureFilter, Spent};
pub use ledger::{Erasure, Inclusion, LedgerCheckpoint, LedgerEntry, NotedKind};
pub use telling::ClarifiedAnswers;

/// How many ids go into one statement: enough to make the statement's cost small beside the rows', and few
/// enough to bound what is held at once.
const IDS_PER_STATEMENT: usize = 500;

/// An open store. Clones share one connection, and another that only reads; the last one to go gives the store up to
/// other processes.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Declared before the lock, so that the connections are let go first.
    pool: SqlitePool,
    /// Reads while the other connection writes.
    beside: SqlitePool,
    path: PathBuf,
    /// Signs checkpoints, where there is a key.
    signer: OnceLock<SecretKey>,
    /// What receipts are told of the terms in force, where somebody said which records there are.
    terms: OnceLock<telling::Told>,
    _lock: Option<StoreLock>,
}

impl Store {
    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Waits for what is in flight and closes the database; dropping the last clone does so in the background.
    pub async fn close(self) {
        self.shared.beside.close().await;
        self.shared.pool.close().await;
    }

    fn pool(&self) -> &SqlitePool {
        &self.shared.pool
    }

    /// A connection that reads what is committed, and need not wait for a commit.
    fn beside(&self) -> &SqlitePool {
        &self.shared.beside
    }

    /// A transaction that takes the right to write at once; rolled back unless committed.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let begun = self.pool().begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(self.explain())
    }

    /// Turns an error of the database into ours.
    fn explain(&self) -> impl Fn(sqlx::Error) -> StoreError + Copy + '_ {
        |error| StoreError::from_sqlx(self.path(), error)
    }

    fn damaged(&self, detail: impl Display) -> StoreError {
        StoreError::Damaged {
            path: self.path().to_owned(),
            detail: detail.to_string(),
        }
    }

    /// Writes a column that holds JSON.
    fn json(&self, value: &impl Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| self.damaged(error))
    }

    /// Reads a column that holds JSON.
    fn parse<T: DeserializeOwned>(&self, column: &str, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json)
            .map_err(|error| self.damaged(format_args!("`{column}` is not readable: {error}")))
    }

    /// Reads a column that holds a number without sign.
    fn unsigned<T: TryFrom<i64>>(&self, column: &str, number: i64) -> Result<T, StoreError> {
        T::try_from(number).map_err(|_| self.damaged(format_args!("`{column}` is {number}")))
    }

    /// Reads a column that holds one of a few names.
    fn named<T>(&self, column: &str, name: &str, found: Option<T>) -> Result<T, StoreError> {
        found.ok_or_else(|| self.damaged(format_args!("`{column}` is `{name}`")))
    }
}

/// The ids as JSON text, which `json_each` turns into a table: one statement text for any number of ids.
fn id_list(ids: &[impl AsRef<str>]) -> String {
    let ids = ids.iter().map(|id| id.as_ref().into()).collect();
    serde_json::Value::Array(ids).to_string()
}
