//! Rows that no record speaks of.

use super::Check;
use crate::StoreError;

impl Check<'_> {
    /// Looks for rows that came in without the ledger, and for records that speak of a trace twice.
    pub(super) async fn added(&mut self) -> Result<(), StoreError> {
        let explain = self.store.explain();
        let traces = sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM traces WHERE NOT EXISTS (
                   SELECT 1 FROM ledger_leaves WHERE kind = 'trace' AND subject = traces.id)
               ORDER BY number"#
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(explain)?;
        for id in traces {
            self.findings.deny(
                "trace-added",
                format!("trace {id} was put in without the ledger"),
            );
        }
        let twice = sqlx::query_scalar!(
            "SELECT subject FROM ledger_leaves WHERE kind = 'trace' GROUP BY subject HAVING count(*) > 1"
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(explain)?;
        for id in twice {
            self.findings.deny(
                "trace-changed",
                format!("trace {id} was recorded twice: another one stands where it was"),
            );
        }
        let others = sqlx::query!(
            r#"SELECT 'prompt' AS "kind!: String", id AS "id!: String" FROM prompts WHERE NOT EXISTS (
                   SELECT 1 FROM ledger_leaves WHERE kind = 'prompt' AND subject = prompts.id)
               UNION ALL SELECT 'curation', id FROM curations WHERE NOT EXISTS (
                   SELECT 1 FROM ledger_leaves WHERE kind = 'curation' AND subject = curations.id)
               UNION ALL SELECT 'dataset', id FROM datasets WHERE NOT EXISTS (
                   SELECT 1 FROM ledger_leaves WHERE kind = 'dataset' AND subject = datasets.id)
               UNION ALL SELECT 'run', CAST(id AS TEXT) FROM runs WHERE status <> 'running' AND NOT EXISTS (
                   SELECT 1 FROM ledger_leaves WHERE kind = 'run' AND subject = CAST(runs.id AS TEXT))"#
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(explain)?;
        for other in others {
            let name = format!("{}-added", other.kind);
            self.findings.deny(
                &name,
                format!("{} {} was put in without the ledger", other.kind, other.id),
            );
        }
        self.added_attempts().await
    }

    /// Attempts outside of the runs of numbers that records speak of.
    async fn added_attempts(&mut self) -> Result<(), StoreError> {
        self.attempts.sort_unstable();
        let mut gaps = Vec::new();
        let mut covered = i64::MIN;
        for (first, last) in &self.attempts {
            // Nothing lies between runs that follow each other, and there may be a million of them.
            if *first > covered.saturating_add(1) {
                gaps.push((covered, *first));
            }
            covered = covered.max(*last);
        }
        gaps.push((covered, i64::MAX));
        for (after, before) in gaps {
            let numbers = sqlx::query!(
                "SELECT number, trace_id FROM attempts WHERE number > ?1 AND number < ?2 ORDER BY number",
                after,
                before,
            )
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(self.store.explain())?;
            for row in numbers {
                self.findings.deny(
                    "attempt-added",
                    format!(
                        "attempt {} at trace {} was put in without the ledger",
                        row.number, row.trace_id
                    ),
                );
            }
        }
        Ok(())
    }
}
