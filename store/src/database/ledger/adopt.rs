//! A store from before the ledger: its rows get records when it is first opened, marked as adopted.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::{Store, WrittenAttempts, rows};
use crate::StoreError;
use crate::database::id_list;

/// How many rows are adopted at once.
const PAGE: i64 = 2000;

impl Store {
    /// Gives the ledger its name, and what was there before it records in the order in which it came.
    ///
    /// All of it or none. A ledger that has records but no name is left for an audit to find.
    pub(in crate::database) async fn begin_ledger(&self) -> Result<(), StoreError> {
        let explain = self.explain();
        let begun = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM ledger) OR EXISTS (SELECT 1 FROM ledger_leaves)
                   OR EXISTS (SELECT 1 FROM ledger_checkpoints) AS "begun!: bool""#
        )
        .fetch_one(self.pool())
        .await
        .map_err(explain)?;
        if begun {
            return Ok(());
        }
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| explain(sqlx::Error::Io(error.into())))?;
        let name = format!("limbeck/{}", hex::encode(name));
        let mut transaction = self.begin().await?;
        sqlx::query!("INSERT INTO ledger (id, origin) VALUES (1, ?1)", name)
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        self.adopt_all(&mut transaction).await?;
        let mut frontier = self.frontier(&mut transaction).await?;
        if frontier.size() > 0 {
            self.append_checkpoint(&mut transaction, &mut frontier)
                .await?;
        }
        transaction.commit().await.map_err(explain)
    }

    async fn adopt_all(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        self.adopt_prompts(connection).await?;
        self.adopt_attempts(connection).await?;
        self.adopt_traces(connection).await?;
        let explain = self.explain();
        let curations = sqlx::query_scalar!("SELECT id FROM curations ORDER BY number")
            .fetch_all(&mut *connection)
            .await
            .map_err(explain)?;
        let mut entries = Vec::new();
        for id in curations {
            entries.extend(self.curation_entry(connection, &id, true).await?);
        }
        let datasets = sqlx::query_scalar!("SELECT id FROM datasets ORDER BY number")
            .fetch_all(&mut *connection)
            .await
            .map_err(explain)?;
        for id in datasets {
            entries.extend(self.dataset_entry(connection, &id, true).await?);
        }
        let runs = sqlx::query_scalar!("SELECT id FROM runs WHERE status <> 'running' ORDER BY id")
            .fetch_all(&mut *connection)
            .await
            .map_err(explain)?;
        for id in runs {
            entries.extend(self.run_entry(connection, id, true).await?);
        }
        self.append_records(connection, entries).await?;
        Ok(())
    }

    async fn adopt_prompts(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let explain = self.explain();
        let mut after = String::new();
        loop {
            let rows = sqlx::query("SELECT * FROM prompts WHERE id > ?1 ORDER BY id LIMIT ?2")
                .bind(&after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await
                .map_err(explain)?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.try_get("id").map_err(explain)?;
            let entries = self.prompt_entries(&rows, true)?;
            self.append_records(connection, entries).await?;
        }
    }

    async fn adopt_attempts(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let explain = self.explain();
        let mut after = i64::MIN;
        let mut entries = Vec::new();
        loop {
            let rows =
                sqlx::query("SELECT * FROM attempts WHERE number > ?1 ORDER BY number LIMIT ?2")
                    .bind(after)
                    .bind(PAGE)
                    .fetch_all(&mut *connection)
                    .await
                    .map_err(explain)?;
            let Some(page) = WrittenAttempts::of(&rows).map_err(explain)? else {
                self.append_records(connection, entries).await?;
                return Ok(());
            };
            after = page.last();
            entries.push(page.entry(true));
        }
    }

    async fn adopt_traces(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        loop {
            let rows = sqlx::query!(
                "SELECT number, id FROM traces WHERE number > ?1 ORDER BY number LIMIT ?2",
                after,
                PAGE,
            )
            .fetch_all(&mut *connection)
            .await
            .map_err(self.explain())?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.number;
            let ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
            let parts = rows::traces(connection, &id_list(&ids))
                .await
                .map_err(self.explain())?;
            let entries = ids
                .iter()
                .map(|id| self.trace_entry(id, parts.get(id), None, true));
            let entries = entries.collect::<Result<_, _>>()?;
            self.append_records(connection, entries).await?;
        }
    }
}
