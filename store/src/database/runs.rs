//! Runs in the database.

use super::Store;
use crate::StoreError;
use crate::record::{Run, RunStatus, now};

impl Store {
    /// Notes that a stage begins and returns the run's number.
    pub async fn start_run(
        &self,
        stage: &str,
        hash: &str,
        recipe: &str,
    ) -> Result<i64, StoreError> {
        let started_at = now();
        sqlx::query_scalar!(
            r#"INSERT INTO runs (stage, hash, recipe, started_at, status)
               VALUES (?1, ?2, ?3, ?4, 'running') RETURNING id AS "id!""#,
            stage,
            hash,
            recipe,
            started_at,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())
    }

    /// Notes how a run ended.
    pub async fn finish_run(
        &self,
        id: i64,
        status: RunStatus,
        summary: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let finished_at = now();
        let status = status.name();
        let summary = self.json(summary)?;
        let mut transaction = self.begin().await?;
        sqlx::query!(
            "UPDATE runs SET finished_at = ?2, status = ?3, summary = ?4 WHERE id = ?1",
            id,
            finished_at,
            status,
            summary,
        )
        .execute(&mut *transaction)
        .await
        .map_err(self.explain())?;
        let entry = self.run_entry(&mut transaction, id, false).await?;
        self.append(&mut transaction, Vec::from_iter(entry)).await?;
        transaction.commit().await.map_err(self.explain())
    }

    /// All runs, the oldest first.
    pub async fn runs(&self) -> Result<Vec<Run>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, stage, hash, recipe, started_at, finished_at, status, summary
             FROM runs ORDER BY id"
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| {
                let summary = row.summary.map(|json| self.parse("summary", &json));
                Ok(Run {
                    status: self.named("status", &row.status, RunStatus::from_name(&row.status))?,
                    summary: summary.transpose()?,
                    id: row.id,
                    stage: row.stage,
                    hash: row.hash,
                    recipe: row.recipe,
                    started_at: row.started_at,
                    finished_at: row.finished_at,
                })
            })
            .collect()
    }

    /// What still runs when the store is opened for writing was killed: only one process writes at a time.
    pub(super) async fn interrupt_leftover_runs(&self) -> Result<(), StoreError> {
        let explain = self.explain();
        let mut transaction = self.begin().await?;
        let left = sqlx::query_scalar!(
            "UPDATE runs SET status = 'interrupted' WHERE status = 'running' RETURNING id"
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(explain)?;
        let mut entries = Vec::new();
        for id in left {
            entries.extend(self.run_entry(&mut transaction, id, false).await?);
        }
        self.append(&mut transaction, entries).await?;
        transaction.commit().await.map_err(explain)
    }
}
