//! Prompts in the database.

use super::Store;
use crate::StoreError;
use crate::record::Prompt;

impl Store {
    /// Adds prompts and says how many were new.
    ///
    /// Of one that is already there, what describes it (phrasing, source, row, licence, tags) is brought up
    /// to date; what identifies it cannot differ.
    pub async fn add_prompts(&self, prompts: &[Prompt]) -> Result<usize, StoreError> {
        let explain = self.explain();
        let mut transaction = self.begin().await?;
        let mut added = 0;
        let mut written = Vec::new();
        for prompt in prompts {
            let body = self.json(&prompt.body)?;
            let tags = self.json(&prompt.tags)?;
            let row = prompt.row as i64;
            let inserted = sqlx::query!(
                "INSERT INTO prompts (id, body, input, phrasing, source, row, license, tags)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (id) DO NOTHING",
                prompt.id,
                body,
                prompt.input,
                prompt.phrasing,
                prompt.source,
                row,
                prompt.license,
                tags,
            )
            .execute(&mut *transaction)
            .await
            .map_err(explain)?
            .rows_affected();
            if inserted == 1 {
                added += 1;
                written.push(prompt.id.clone());
                continue;
            }
            let updated = sqlx::query!(
                "UPDATE prompts SET phrasing = ?2, source = ?3, row = ?4, license = ?5, tags = ?6
                 WHERE id = ?1
                   AND (phrasing, source, row, license, tags) IS NOT (?2, ?3, ?4, ?5, ?6)",
                prompt.id,
                prompt.phrasing,
                prompt.source,
                row,
                prompt.license,
                tags,
            )
            .execute(&mut *transaction)
            .await
            .map_err(explain)?
            .rows_affected();
            if updated == 1 {
                written.push(prompt.id.clone());
            }
        }
        let entries = self
            .prompt_entries(&mut transaction, &written, false)
            .await?;
        self.append(&mut transaction, entries).await?;
        transaction.commit().await.map_err(explain)?;
        Ok(added)
    }

    /// How many prompts the store holds.
    pub async fn count_prompts(&self) -> Result<usize, StoreError> {
        let count = sqlx::query_scalar!("SELECT count(*) FROM prompts")
            .fetch_one(self.pool())
            .await
            .map_err(self.explain())?;
        self.unsigned("count", count)
    }
}
