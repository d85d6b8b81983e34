//! Verdicts in the database.

use super::Store;
use crate::StoreError;
use crate::curate::Verdict;
use crate::record::now;

impl Store {
    /// Keeps the verdicts of one curation in place of those it had, and makes it the newest.
    pub async fn write_verdicts(
        &self,
        curation: &str,
        verdicts: &[Verdict],
    ) -> Result<(), StoreError> {
        let explain = self.explain();
        let written_at = now();
        let mut transaction = self.begin().await?;
        sqlx::query!("DELETE FROM curations WHERE id = ?1", curation)
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        let number = sqlx::query_scalar!(
            r#"INSERT INTO curations (id, written_at) VALUES (?1, ?2) RETURNING number AS "number!""#,
            curation,
            written_at,
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(explain)?;
        for (position, verdict) in verdicts.iter().enumerate() {
            let position = position as i64;
            let value = verdict.value.filter(|value| value.is_finite());
            sqlx::query!(
                r#"INSERT INTO verdicts (curation, position, trace_id, "check", keep, value, reason)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"#,
                number,
                position,
                verdict.trace_id,
                verdict.check,
                verdict.keep,
                value,
                verdict.reason,
            )
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        }
        let entry = self
            .curation_entry(&mut transaction, curation, false)
            .await?;
        self.append(&mut transaction, Vec::from_iter(entry)).await?;
        transaction.commit().await.map_err(explain)
    }

    /// The verdicts of one curation, in the order in which they were written; none for an unknown one.
    pub async fn verdicts(&self, curation: &str) -> Result<Vec<Verdict>, StoreError> {
        sqlx::query_as!(
            Verdict,
            r#"SELECT trace_id, "check", keep AS "keep: bool", value, reason
               FROM verdicts JOIN curations ON curations.number = curation
               WHERE curations.id = ?1 ORDER BY position"#,
            curation,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())
    }

    /// What the newest curation found about one trace.
    pub(super) async fn newest_verdicts(&self, trace_id: &str) -> Result<Vec<Verdict>, StoreError> {
        sqlx::query_as!(
            Verdict,
            r#"SELECT trace_id, "check", keep AS "keep: bool", value, reason FROM verdicts
               WHERE trace_id = ?1 AND curation = (SELECT max(number) FROM curations)
               ORDER BY position"#,
            trace_id,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())
    }
}
