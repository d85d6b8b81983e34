//! Attempts in the database.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::Store;
use super::ledger::AttemptRun;
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
        let before = self.last_attempt(connection).await?;
        insert_all(connection, attempts.iter())
            .await
            .map_err(self.explain())?;
        if let Some(run) = AttemptRun::after(before, attempts.len()) {
            let entry = self.attempt_entry(connection, run, false).await?;
            self.append(connection, vec![entry]).await?;
        }
        Ok(())
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

/// Keeps `attempts` in their order, all with one statement: each statement is a walk to the database's own thread and
/// back, which at thousands of answers a second costs more than what it does there.
pub(super) async fn insert_all(
    connection: &mut SqliteConnection,
    attempts: impl Iterator<Item = &Attempt>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<Value> = attempts.map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows = Value::Array(rows).to_string();
    sqlx::query!(
        "INSERT INTO attempts
             (prompt_id, trace_id, teacher, started_at, waited_ms, latency_ms, failure_kind, failure_message,
              endpoint, key_alias, http_status, headers, request_id, prompt_tokens, completion_tokens,
              cost_nano_usd)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
             value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13,
             value ->> 14, value ->> 15
         FROM json_each(?1) ORDER BY key",
        rows,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of [`insert_all`].
fn row(attempt: &Attempt) -> Value {
    let (kind, message) = match &attempt.status {
        AttemptStatus::Answered => (None, None),
        AttemptStatus::Failed { kind, message } => (Some(kind), Some(message)),
    };
    let call = attempt.call.as_deref();
    json!([
        attempt.prompt_id,
        attempt.trace_id,
        attempt.teacher,
        attempt.started_at,
        attempt.waited_ms,
        attempt.latency_ms,
        kind,
        message,
        call.map(|call| &call.endpoint),
        call.and_then(|call| call.key_alias.as_ref()),
        call.and_then(|call| call.http_status),
        call.map(|call| json!(call.headers).to_string()),
        call.and_then(|call| call.request_id.as_ref()),
        call.and_then(|call| call.prompt_tokens),
        call.and_then(|call| call.completion_tokens),
        call.and_then(|call| call.cost_nano_usd),
    ])
}
