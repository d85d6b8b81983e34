//! The ledger in the database: what is recorded is appended to it in the same transaction, and a checkpoint ends it.
//!
//! A record commits to rows of other tables ([`rows`]). Of kinds whose rows are written again (prompts, curations,
//! datasets, runs) the last record of a subject is the one that must agree with them.

mod adopt;
mod check;
mod entries;
mod erase;
mod evidence;
mod reading;
mod rows;

use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteConnection;

use super::{Store, bulk};
use crate::StoreError;
use crate::identity::canonical_json;
use crate::ledger::{Checkpoint, Frontier, Hash, Subtree, leaf_hash, subtrees};
use crate::record::now;

pub use entries::NotedKind;
pub(super) use entries::WrittenAttempts;
pub use erase::Erasure;
pub use reading::{Inclusion, LedgerCheckpoint, LedgerEntry};
pub(super) use rows::{TraceParts, trace_parts};

/// Bytes of a salt: none can be guessed.
const SALT_BYTES: usize = 16;

/// A record that is to be appended.
#[derive(Debug)]
pub(super) struct Entry {
    kind: &'static str,
    subject: String,
    fields: Map<String, Value>,
    salt: Option<[u8; SALT_BYTES]>,
}

impl Entry {
    /// A record of `kind` about `subject` with these fields, which are an object.
    fn new(kind: &'static str, subject: impl Into<String>, fields: Value) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self {
            kind,
            subject: subject.into(),
            fields,
            salt: None,
        }
    }

    /// Adds a commitment to `content` with a salt of its own.
    fn commit_to(mut self, content: &str) -> Result<Self, sqlx::Error> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| sqlx::Error::Io(error.into()))?;
        let commitment = rows::commitment(&salt, content);
        self.fields.insert("content".to_owned(), commitment.into());
        self.salt = Some(salt);
        Ok(self)
    }

    /// The text that is hashed.
    fn record(&mut self, at: &str) -> String {
        let mut fields = std::mem::take(&mut self.fields);
        fields.insert("kind".to_owned(), self.kind.into());
        fields.insert("subject".to_owned(), self.subject.as_str().into());
        fields.insert("at".to_owned(), at.into());
        canonical_json(&Value::Object(fields))
    }
}

impl Store {
    /// Appends records and a checkpoint. Does nothing for none.
    pub(super) async fn append(
        &self,
        connection: &mut SqliteConnection,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut frontier = self.append_records(connection, entries).await?;
        self.append_checkpoint(connection, &mut frontier).await
    }

    /// Appends records and returns the tree's edge after them.
    async fn append_records(
        &self,
        connection: &mut SqliteConnection,
        entries: Vec<Entry>,
    ) -> Result<Frontier, StoreError> {
        let explain = self.explain();
        // Taken inside of the transaction, so that times follow each other as the records do.
        let at = now();
        let mut frontier = self.frontier(connection).await?;
        let (mut leaves, mut nodes) = (Vec::with_capacity(entries.len()), Vec::new());
        for mut entry in entries {
            let record = entry.record(&at);
            let (index, hash) = (frontier.size(), leaf_hash(record.as_bytes()));
            leaves.push((index as i64, entry, record, hash));
            nodes.extend(frontier.append(hash));
        }
        let into = "INSERT INTO ledger_leaves (idx, kind, subject, record, leaf_hash, salt) ";
        let written = bulk::insert(connection, into, &leaves, "", |mut columns, leaf| {
            let (index, entry, record, hash) = leaf;
            columns
                .push_bind(index)
                .push_bind(entry.kind)
                .push_bind(&entry.subject)
                .push_bind(record)
                .push_bind(hash.as_slice())
                .push_bind(entry.salt.as_ref().map(<[u8; SALT_BYTES]>::as_slice));
        });
        written.await.map_err(explain)?;
        let into = "INSERT INTO ledger_nodes (level, idx, hash) ";
        let written = bulk::insert(connection, into, &nodes, "", |mut columns, node| {
            let (Subtree { level, index }, hash) = node;
            columns
                .push_bind(i64::from(*level))
                .push_bind(*index as i64)
                .push_bind(hash.as_slice());
        });
        written.await.map_err(explain)?;
        Ok(frontier)
    }

    /// Writes down size and root, signed where there is a key.
    pub(super) async fn append_checkpoint(
        &self,
        connection: &mut SqliteConnection,
        frontier: &mut Frontier,
    ) -> Result<(), StoreError> {
        let checkpoint = Checkpoint {
            origin: self.ledger_name(connection).await?,
            size: frontier.size(),
            root: frontier.root(),
            extensions: Vec::new(),
        };
        let note = match self.shared.signer.get() {
            Some(key) => checkpoint
                .signed(key)
                .map_err(|error| self.damaged(error))?
                .to_string(),
            None => checkpoint.to_string(),
        };
        let (size, root) = (checkpoint.size as i64, checkpoint.root.as_slice());
        sqlx::query!(
            "INSERT INTO ledger_checkpoints (size, root, note) VALUES (?1, ?2, ?3)",
            size,
            root,
            note,
        )
        .execute(connection)
        .await
        .map_err(self.explain())?;
        Ok(())
    }

    /// The tree's right edge.
    pub(super) async fn frontier(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Frontier, StoreError> {
        let size = sqlx::query_scalar!(
            r#"SELECT coalesce(max(idx) + 1, 0) AS "size!: i64" FROM ledger_leaves"#
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(self.explain())?;
        let size = self.unsigned("idx", size)?;
        let hashes = self.node_hashes(connection, &subtrees(0..size)).await?;
        Frontier::new(size, hashes).ok_or_else(|| self.damaged("the ledger has no edge"))
    }

    /// The hashes of complete subtrees, in the order in which they are asked for.
    async fn node_hashes(
        &self,
        connection: &mut SqliteConnection,
        nodes: &[Subtree],
    ) -> Result<Vec<Hash>, StoreError> {
        let wanted = nodes.iter().map(|node| json!([node.level, node.index]));
        let wanted = Value::Array(wanted.collect()).to_string();
        let found = sqlx::query_scalar!(
            r#"SELECT CASE WHEN value ->> 0 = 0
                   THEN (SELECT leaf_hash FROM ledger_leaves WHERE idx = value ->> 1)
                   ELSE (SELECT hash FROM ledger_nodes WHERE level = value ->> 0 AND idx = value ->> 1)
                   END AS "hash: Vec<u8>"
               FROM json_each(?1) ORDER BY key"#,
            wanted,
        )
        .fetch_all(connection)
        .await
        .map_err(self.explain())?;
        let hashes = found.into_iter().zip(nodes).map(|(hash, node)| {
            let hash = hash.and_then(|hash| hash.try_into().ok());
            hash.ok_or_else(|| {
                let Subtree { level, index } = node;
                self.damaged(format_args!(
                    "the ledger has no hash of subtree {index} of level {level}; `limbeck audit integrity` shows more"
                ))
            })
        });
        hashes.collect()
    }

    /// What the log is called.
    async fn ledger_name(&self, connection: &mut SqliteConnection) -> Result<String, StoreError> {
        let name = sqlx::query_scalar!("SELECT origin FROM ledger")
            .fetch_optional(connection)
            .await
            .map_err(self.explain())?;
        name.ok_or_else(|| self.damaged("the ledger has no name"))
    }
}
