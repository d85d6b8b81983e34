//! The records of each kind, made from the rows that they commit to.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;

use super::{Entry, Store, rows};
use crate::StoreError;
use crate::database::id_list;

/// Attempts that were recorded together, by their numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct AttemptRun {
    first: i64,
    last: i64,
}

impl AttemptRun {
    /// The `count` attempts after number `before`; `None` for none.
    pub(in crate::database) fn after(before: i64, count: usize) -> Option<Self> {
        let count = count as i64;
        (count > 0).then_some(Self {
            first: before + 1,
            last: before + count,
        })
    }
}

/// A trace that was recorded, with the attempts recorded with it.
#[derive(Debug, Clone)]
pub(in crate::database) struct TraceEntry {
    pub(in crate::database) id: String,
    pub(in crate::database) attempts: Option<AttemptRun>,
}

impl Store {
    /// The number of the last attempt, after which the next ones are numbered.
    pub(in crate::database) async fn last_attempt(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar!(r#"SELECT coalesce(max(number), 0) AS "last!: i64" FROM attempts"#)
            .fetch_one(connection)
            .await
            .map_err(self.explain())
    }

    /// Records of traces that were just written, each with a commitment to its attempts.
    pub(in crate::database) async fn trace_entries(
        &self,
        connection: &mut SqliteConnection,
        traces: &[TraceEntry],
        adopted: bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let explain = self.explain();
        let ids: Vec<_> = traces.iter().map(|trace| &trace.id).collect();
        let mut parts = rows::traces(connection, &id_list(&ids))
            .await
            .map_err(explain)?;
        let runs = traces.iter().map(|trace| run_bounds(trace.attempts));
        let runs = Value::Array(runs.collect()).to_string();
        let attempts = rows::attempts(connection, &runs).await.map_err(explain)?;
        let mut entries = Vec::with_capacity(traces.len());
        for (place, trace) in traces.iter().enumerate() {
            let part = parts.remove(&trace.id).ok_or_else(|| {
                self.damaged(format_args!("trace {} is not where it was put", trace.id))
            })?;
            let mut fields = json!({
                "number": part.number,
                "origin": rows::digest(part.origin.as_bytes()),
            });
            let digest = attempts.get(&(place as i64));
            if let (Some(run), Some((_, digest))) = (trace.attempts, digest) {
                fields["attempts"] =
                    json!({"first": run.first, "last": run.last, "digest": digest});
            }
            if adopted {
                fields["adopted"] = true.into();
            }
            let entry = Entry::new("trace", &trace.id, fields);
            entries.push(entry.commit_to(&part.content).map_err(explain)?);
        }
        Ok(entries)
    }

    /// A record of attempts that gave no answer, or that were there before the ledger.
    pub(in crate::database) async fn attempt_entry(
        &self,
        connection: &mut SqliteConnection,
        run: AttemptRun,
        adopted: bool,
    ) -> Result<Entry, StoreError> {
        let runs = Value::Array(vec![run_bounds(Some(run))]).to_string();
        let found = rows::attempts(connection, &runs)
            .await
            .map_err(self.explain())?;
        let mut fields = json!({"first": run.first, "last": run.last});
        if let Some((_, digest)) = found.get(&0) {
            fields["digest"] = digest.as_str().into();
        }
        if adopted {
            fields["adopted"] = true.into();
        }
        let subject = format!("{}-{}", run.first, run.last);
        Ok(Entry::new("attempts", subject, fields))
    }

    /// Records of prompts that were just written.
    pub(in crate::database) async fn prompt_entries(
        &self,
        connection: &mut SqliteConnection,
        ids: &[String],
        adopted: bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let explain = self.explain();
        let contents = rows::prompts(connection, &id_list(ids))
            .await
            .map_err(explain)?;
        let entries = ids.iter().filter_map(|id| {
            let fields = if adopted {
                json!({"adopted": true})
            } else {
                json!({})
            };
            let entry = Entry::new("prompt", id, fields);
            Some(entry.commit_to(contents.get(id)?).map_err(explain))
        });
        entries.collect()
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

/// First and last number of a run; of none, two between which nothing lies.
fn run_bounds(run: Option<AttemptRun>) -> Value {
    run.map_or(json!([0, -1]), |run| json!([run.first, run.last]))
}
