//! Attempts in the database.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::ledger::WrittenAttempts;
use super::{Store, bulk};
use crate::StoreError;
use crate::record::{Attempt, AttemptStatus, Call};

impl Store {
    /// Keeps tries that gave no answer. Each call keeps what it is given: a failed try has no identity.
    pub async fn record_failures(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        self.record_failures_in(&mut transaction, attempts).await?;
        transaction.commit().await.map_err(self.explain())
    }

    /// The same as a part of a transaction.
    pub(super) async fn record_failures_in(
        &self,
        connection: &mut SqliteConnection,
        attempts: &[Attempt],
    ) -> Result<(), StoreError> {
        let attempts: Vec<_> = attempts.iter().collect();
        let written = insert_all(connection, &attempts)
            .await
            .map_err(self.explain())?;
        let written = WrittenAttempts::of(&written).map_err(self.explain())?;
        let entries = written.iter().map(|run| run.entry(false)).collect();
        self.append(connection, entries).await
    }

    /// The tries at one trace, in the order in which they were recorded, whether it was answered or not.
    pub async fn attempts(&self, trace_id: &str) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query_as!(
            AttemptRow,
            "SELECT prompt_id, trace_id, teacher, started_at, waited_ms, latency_ms, failure_kind, failure_message,
                 endpoint, key_alias, http_status, headers, request_id, prompt_tokens, completion_tokens,
                 cost_nano_usd
             FROM attempts WHERE trace_id = ?1 ORDER BY number",
            trace_id,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter().map(|row| row.attempt(self)).collect()
    }
}

/// A row of `attempts` without its number.
pub(super) struct AttemptRow {
    pub(super) prompt_id: String,
    pub(super) trace_id: String,
    pub(super) teacher: Option<String>,
    pub(super) started_at: String,
    pub(super) waited_ms: i64,
    pub(super) latency_ms: i64,
    pub(super) failure_kind: Option<String>,
    pub(super) failure_message: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) key_alias: Option<String>,
    pub(super) http_status: Option<i64>,
    pub(super) headers: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) prompt_tokens: Option<i64>,
    pub(super) completion_tokens: Option<i64>,
    pub(super) cost_nano_usd: Option<i64>,
}

impl AttemptRow {
    pub(super) fn attempt(self, store: &Store) -> Result<Attempt, StoreError> {
        let status = match (self.failure_kind, self.failure_message) {
            (Some(kind), Some(message)) => AttemptStatus::Failed { kind, message },
            _ => AttemptStatus::Answered,
        };
        let number = |column, number: Option<i64>| {
            let number = number.map(|number| store.unsigned(column, number));
            number.transpose()
        };
        let call = match self.endpoint {
            None => None,
            Some(endpoint) => Some(Box::new(Call {
                endpoint,
                key_alias: self.key_alias,
                http_status: self
                    .http_status
                    .map(|status| store.unsigned("http_status", status))
                    .transpose()?,
                headers: match self.headers {
                    Some(headers) => store.parse("headers", &headers)?,
                    None => BTreeMap::new(),
                },
                request_id: self.request_id,
                prompt_tokens: number("prompt_tokens", self.prompt_tokens)?,
                completion_tokens: number("completion_tokens", self.completion_tokens)?,
                cost_nano_usd: number("cost_nano_usd", self.cost_nano_usd)?,
            })),
        };
        Ok(Attempt {
            prompt_id: self.prompt_id,
            trace_id: self.trace_id,
            teacher: self.teacher,
            started_at: self.started_at,
            waited_ms: store.unsigned("waited_ms", self.waited_ms)?,
            latency_ms: store.unsigned("latency_ms", self.latency_ms)?,
            status,
            call,
        })
    }
}

/// Keeps `attempts`; returns their rows in the same order, which are numbered on from the last one before them.
pub(super) async fn insert_all(
    connection: &mut SqliteConnection,
    attempts: &[&Attempt],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let into = "INSERT INTO attempts
         (prompt_id, trace_id, teacher, started_at, waited_ms, latency_ms, failure_kind, failure_message,
          endpoint, key_alias, http_status, headers, request_id, prompt_tokens, completion_tokens,
          cost_nano_usd) ";
    let rows = bulk::insert(
        connection,
        into,
        attempts,
        "RETURNING *",
        |mut columns, attempt| {
            let (kind, message) = match &attempt.status {
                AttemptStatus::Answered => (None, None),
                AttemptStatus::Failed { kind, message } => (Some(kind), Some(message)),
            };
            let call = attempt.call.as_deref();
            columns
                .push_bind(&attempt.prompt_id)
                .push_bind(&attempt.trace_id)
                .push_bind(&attempt.teacher)
                .push_bind(&attempt.started_at)
                .push_bind(integer(attempt.waited_ms))
                .push_bind(integer(attempt.latency_ms))
                .push_bind(kind)
                .push_bind(message)
                .push_bind(call.map(|call| &call.endpoint))
                .push_bind(call.and_then(|call| call.key_alias.as_ref()))
                .push_bind(call.and_then(|call| call.http_status))
                .push_bind(call.map(|call| json!(call.headers).to_string()))
                .push_bind(call.and_then(|call| call.request_id.as_ref()))
                .push_bind(call.and_then(|call| call.prompt_tokens).map(integer))
                .push_bind(call.and_then(|call| call.completion_tokens).map(integer))
                .push_bind(call.and_then(|call| call.cost_nano_usd).map(integer));
        },
    )
    .await?;
    let mut numbered = Vec::with_capacity(rows.len());
    for row in rows {
        numbered.push((row.try_get::<i64, _>("number")?, row));
    }
    // `SQLite` promises no order of what a statement returns.
    numbered.sort_unstable_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, row)| row).collect())
}

/// What `SQLite` can hold of a count; a service may tell any.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
