//! The records of each kind, made from the rows that they commit to.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::rows::TraceParts;
use super::{Entry, Store, rows};
use crate::StoreError;

/// Attempts that were recorded together.
#[derive(Debug, Clone)]
pub(in crate::database) struct WrittenAttempts {
    first: i64,
    last: i64,
    digest: String,
}

impl WrittenAttempts {
    /// `rows` of attempts, whole and in the order of their numbers; `None` for none.
    pub(in crate::database) fn of(rows: &[SqliteRow]) -> Result<Option<Self>, sqlx::Error> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            first: first.try_get("number")?,
            last: last.try_get("number")?,
            digest: rows::digest_of_rows(rows)?,
        }))
    }

    /// The number of the last of them.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    fn fields(&self) -> Value {
        json!({"first": self.first, "last": self.last, "digest": self.digest})
    }

    /// A record of attempts that gave no answer, or that were there before the ledger.
    pub(in crate::database) fn entry(&self, adopted: bool) -> Entry {
        let subject = format!("{}-{}", self.first, self.last);
        Entry::new("attempts", subject, marked(self.fields(), adopted))
    }
}

impl Store {
    /// A record of a trace that was just written, with a commitment to its attempts. `parts` are what its rows say.
    pub(in crate::database) fn trace_entry(
        &self,
        id: &str,
        parts: Option<&TraceParts>,
        attempts: Option<&WrittenAttempts>,
        adopted: bool,
    ) -> Result<Entry, StoreError> {
        let parts = parts
            .ok_or_else(|| self.damaged(format_args!("trace {id} is not where it was put")))?;
        let mut fields = json!({
            "number": parts.number,
            "origin": rows::digest(parts.origin.as_bytes()),
        });
        if let Some(attempts) = attempts {
            fields["attempts"] = attempts.fields();
        }
        let entry = Entry::new("trace", id, marked(fields, adopted));
        entry.commit_to(&parts.content).map_err(self.explain())
    }

    /// Records of prompts that were just written, whose rows these are.
    pub(in crate::database) fn written_prompts(
        &self,
        rows: &[SqliteRow],
    ) -> Result<Vec<Entry>, StoreError> {
        self.prompt_entries(rows, false)
    }

    /// Records of prompts by their rows.
    pub(super) fn prompt_entries(
        &self,
        rows: &[SqliteRow],
        adopted: bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(rows.len());
        for (id, content) in rows::prompt_contents(rows).map_err(self.explain())? {
            let entry = Entry::new("prompt", id, marked(json!({}), adopted));
            entries.push(entry.commit_to(&content).map_err(self.explain())?);
        }
        Ok(entries)
    }

    /// A record of a curation; none where it is gone.
    pub(in crate::database) async fn curation_entry(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
        adopted: bool,
    ) -> Result<Option<Entry>, StoreError> {
        let found = rows::curation(connection, id)
            .await
            .map_err(self.explain())?;
        Ok(found.map(|(verdicts, digest)| {
            let fields = json!({"verdicts": verdicts, "digest": digest});
            Entry::new("curation", id, marked(fields, adopted))
        }))
    }

    /// A record of a dataset; none where it is gone.
    pub(in crate::database) async fn dataset_entry(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
        adopted: bool,
    ) -> Result<Option<Entry>, StoreError> {
        let explain = self.explain();
        let found = rows::dataset(connection, id).await.map_err(explain)?;
        let entry = found.map(|parts| {
            let fields = json!({"rows": parts.rows, "traces": parts.traces});
            let entry = Entry::new("dataset", id, marked(fields, adopted));
            entry.commit_to(&parts.content).map_err(explain)
        });
        entry.transpose()
    }

    /// A record of how a run stands; none where it is gone.
    pub(in crate::database) async fn run_entry(
        &self,
        connection: &mut SqliteConnection,
        id: i64,
        adopted: bool,
    ) -> Result<Option<Entry>, StoreError> {
        let found = rows::run(connection, id).await.map_err(self.explain())?;
        Ok(found.map(|digest| {
            let fields = json!({"digest": digest});
            Entry::new("run", id.to_string(), marked(fields, adopted))
        }))
    }

    /// Notes in the ledger what a stage made: a trained `model` or an `export`.
    ///
    /// `subject` says which, such as the stage's folder, and `fields`, an object, what is to be proven of it, such as
    /// the SHA-256 of its files and the id of what it was made from.
    pub async fn note_in_ledger(
        &self,
        kind: NotedKind,
        subject: &str,
        fields: Value,
    ) -> Result<(), StoreError> {
        let noted = vec![(subject.to_owned(), fields)];
        self.note_all_in_ledger(kind, noted).await
    }

    /// Notes several of a kind in one transaction, each by its subject and fields; see [`Store::note_in_ledger`].
    pub async fn note_all_in_ledger(
        &self,
        kind: NotedKind,
        noted: Vec<(String, Value)>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let entries = noted.into_iter();
        let entries = entries.map(|(subject, fields)| Entry::new(kind.name(), subject, fields));
        self.append(&mut transaction, entries.collect()).await?;
        transaction.commit().await.map_err(self.explain())
    }
}

/// What is noted in the ledger that is no row of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotedKind {
    /// A student that was trained.
    Model,
    /// Files for devices.
    Export,
    /// What a run was told to do, by the SHA-256 of the recipe.
    Recipe,
}

impl NotedKind {
    /// The name as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Export => "export",
            Self::Recipe => "recipe",
        }
    }
}

fn marked(mut fields: Value, adopted: bool) -> Value {
    if adopted {
        fields["adopted"] = true.into();
    }
    fields
}
