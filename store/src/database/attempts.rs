//! Attempts in the database.

use sqlx::SqliteConnection;

use super::Store;
use crate::StoreError;
use crate::record::{Attempt, AttemptStatus};

impl Store {
    /// Keeps tries that gave no answer. Each call keeps what it is given: a failed try has no identity.
    pub async fn record_failures(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let explain = self.explain();
        let mut transaction = self.begin().await?;
        for attempt in attempts {
            insert(&mut transaction, attempt).await.map_err(explain)?;
        }
        transaction.commit().await.map_err(explain)
    }

    /// The tries at one trace, in the order in which they were recorded, whether it was answered or not.
    pub async fn attempts(&self, trace_id: &str) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query!(
            "SELECT prompt_id, trace_id, started_at, waited_ms, latency_ms, failure_kind, failure_message
             FROM attempts WHERE trace_id = ?1 ORDER BY number",
            trace_id,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| {
                let status = match (row.failure_kind, row.failure_message) {
                    (Some(kind), Some(message)) => AttemptStatus::Failed { kind, message },
                    _ => AttemptStatus::Answered,
                };
                Ok(Attempt {
                    prompt_id: row.prompt_id,
                    trace_id: row.trace_id,
                    started_at: row.started_at,
                    waited_ms: self.unsigned("waited_ms", row.waited_ms)?,
                    latency_ms: self.unsigned("latency_ms", row.latency_ms)?,
                    status,
                })
            })
            .collect()
    }
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    attempt: &Attempt,
) -> Result<(), sqlx::Error> {
    let (kind, message) = match &attempt.status {
        AttemptStatus::Answered => (None, None),
        AttemptStatus::Failed { kind, message } => (Some(kind), Some(message)),
    };
    let waited = attempt.waited_ms as i64;
    let latency = attempt.latency_ms as i64;
    sqlx::query!(
        "INSERT INTO attempts
             (prompt_id, trace_id, started_at, waited_ms, latency_ms, failure_kind, failure_message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        attempt.prompt_id,
        attempt.trace_id,
        attempt.started_at,
        waited,
        latency,
        kind,
        message,
    )
    .execute(connection)
    .await?;
    Ok(())
}
