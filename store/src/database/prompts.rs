//! Prompts in the database.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};

use super::{IDS_PER_STATEMENT, Store, bulk, id_list};
use crate::StoreError;
use crate::record::Prompt;

impl Store {
    /// Adds prompts and says how many were new.
    ///
    /// Of one that is already there, what describes it (phrasing, source, row, licence, tags) is brought up
    /// to date; what identifies it cannot differ.
    pub async fn add_prompts(&self, prompts: &[Prompt]) -> Result<usize, StoreError> {
        let mut transaction = self.begin().await?;
        let mut known = self.known_prompts(&mut transaction, prompts).await?;
        // The second of two that are the same in `prompts` finds the first.
        let (new, met): (Vec<_>, Vec<_>) = prompts
            .iter()
            .partition(|prompt| known.insert(prompt.id.clone()));
        for piece in bulk::pieces(&new) {
            let mut statement = self.insert_prompts(piece)?;
            let inserted = statement.build().execute(&mut *transaction).await;
            inserted.map_err(self.explain())?;
        }
        let mut written: Vec<String> = new.iter().map(|prompt| prompt.id.clone()).collect();
        for piece in bulk::pieces(&met) {
            let mut statement = self.insert_prompts(piece)?;
            statement.push(
                " ON CONFLICT (id) DO UPDATE SET phrasing = excluded.phrasing, source = excluded.source,
                      row = excluded.row, license = excluded.license, tags = excluded.tags
                  WHERE (prompts.phrasing, prompts.source, prompts.row, prompts.license, prompts.tags)
                      IS NOT (excluded.phrasing, excluded.source, excluded.row, excluded.license, excluded.tags)
                  RETURNING id",
            );
            let changed = statement.build_query_scalar().fetch_all(&mut *transaction);
            written.extend(changed.await.map_err(self.explain())?);
        }
        let mut seen = HashSet::new();
        written.retain(|id| seen.insert(id.clone()));
        let entries = self
            .prompt_entries(&mut transaction, &written, false)
            .await?;
        self.append(&mut transaction, entries).await?;
        transaction.commit().await.map_err(self.explain())?;
        Ok(new.len())
    }

    /// The ids of those of `prompts` that are in the store.
    async fn known_prompts(
        &self,
        connection: &mut SqliteConnection,
        prompts: &[Prompt],
    ) -> Result<HashSet<String>, StoreError> {
        let ids: Vec<&str> = prompts.iter().map(|prompt| prompt.id.as_str()).collect();
        let wanted = id_list(&ids);
        let known = sqlx::query_scalar!(
            r#"SELECT prompts.id AS "id!" FROM json_each(?1) AS wanted
               JOIN prompts ON prompts.id = wanted.value"#,
            wanted,
        )
        .fetch_all(connection)
        .await
        .map_err(self.explain())?;
        Ok(known.into_iter().collect())
    }

    /// The statement that writes these prompts.
    fn insert_prompts(&self, prompts: &[&Prompt]) -> Result<QueryBuilder<Sqlite>, StoreError> {
        let mut rows = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            rows.push((prompt, self.json(&prompt.body)?, self.json(&prompt.tags)?));
        }
        let mut statement = QueryBuilder::new(
            "INSERT INTO prompts (id, body, input, phrasing, source, row, license, tags) ",
        );
        statement.push_values(rows, |mut row, (prompt, body, tags)| {
            row.push_bind(prompt.id.clone())
                .push_bind(body)
                .push_bind(prompt.input.clone())
                .push_bind(prompt.phrasing.clone())
                .push_bind(prompt.source.clone())
                .push_bind(prompt.row as i64)
                .push_bind(prompt.license.clone())
                .push_bind(tags);
        });
        Ok(statement)
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
