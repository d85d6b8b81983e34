//! Prompts in the database.

use super::{IDS_PER_STATEMENT, Store, id_list};
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

    /// Prompts by their ids, in the order of `ids`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if one of them is not there, beside those of the database.
    pub async fn prompts(&self, ids: &[String]) -> Result<Vec<Prompt>, StoreError> {
        let mut prompts = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_STATEMENT) {
            let wanted = id_list(chunk);
            let rows = sqlx::query!(
                r#"SELECT prompts.id AS "id!", body AS "body!", input AS "input!", phrasing AS "phrasing!",
                       source AS "source!", row AS "row!", license, tags AS "tags!"
                   FROM json_each(?1) AS wanted
                   JOIN prompts ON prompts.id = wanted.value
                   ORDER BY wanted.key"#,
                wanted,
            )
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())?;
            if rows.len() != chunk.len() {
                let missing = chunk.len() - rows.len();
                return Err(self.damaged(format_args!("{missing} prompts of a plan are not there")));
            }
            for row in rows {
                prompts.push(Prompt {
                    id: row.id,
                    body: self.parse("body", &row.body)?,
                    input: row.input,
                    phrasing: row.phrasing,
                    source: row.source,
                    row: self.unsigned("row", row.row)?,
                    license: row.license,
                    tags: self.parse("tags", &row.tags)?,
                });
            }
        }
        Ok(prompts)
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
