//! Prompts in the database.

use std::collections::{BTreeMap, HashSet};

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{IDS_PER_STATEMENT, Store, bulk, id_list};
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
        let prompts: Vec<_> = prompts.iter().collect();
        let mut written = self
            .insert_prompts(
                &mut transaction,
                &prompts,
                "ON CONFLICT (id) DO NOTHING RETURNING *",
            )
            .await?;
        let count = written.len();
        let mut new = HashSet::with_capacity(count);
        for row in &written {
            new.insert(row.try_get::<String, _>("id").map_err(explain)?);
        }
        // The second of two that are the same finds the first, and of several the last has its way.
        let mut met: BTreeMap<&str, &Prompt> = BTreeMap::new();
        for prompt in prompts {
            if !new.remove(&prompt.id) {
                met.insert(&prompt.id, prompt);
            }
        }
        let met: Vec<&Prompt> = met.into_values().collect();
        let bring_up_to_date = "ON CONFLICT (id) DO UPDATE SET phrasing = excluded.phrasing, source = excluded.source,
              row = excluded.row, license = excluded.license, tags = excluded.tags
          WHERE (prompts.phrasing, prompts.source, prompts.row, prompts.license, prompts.tags)
              IS NOT (excluded.phrasing, excluded.source, excluded.row, excluded.license, excluded.tags)
          RETURNING *";
        let changed = self.insert_prompts(&mut transaction, &met, bring_up_to_date);
        written.extend(changed.await?);
        let entries = self.written_prompts(&written)?;
        self.append(&mut transaction, entries).await?;
        transaction.commit().await.map_err(explain)?;
        Ok(count)
    }

    /// Writes prompts, with `then` for what is to become of those that are there; returns the rows that this returns.
    pub(super) async fn insert_prompts(
        &self,
        connection: &mut SqliteConnection,
        prompts: &[&Prompt],
        then: &str,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let mut rows = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            rows.push((prompt, self.json(&prompt.body)?, self.json(&prompt.tags)?));
        }
        let into = "INSERT INTO prompts (id, body, input, phrasing, source, row, license, tags) ";
        let written = bulk::insert(connection, into, &rows, then, |mut columns, row| {
            let (prompt, body, tags) = row;
            columns
                .push_bind(&prompt.id)
                .push_bind(body)
                .push_bind(&prompt.input)
                .push_bind(&prompt.phrasing)
                .push_bind(&prompt.source)
                .push_bind(prompt.row as i64)
                .push_bind(&prompt.license)
                .push_bind(tags);
        });
        written.await.map_err(self.explain())
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
            .fetch_all(self.beside())
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
