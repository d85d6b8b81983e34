//! A store from before the ledger: its rows get records when it is first opened, marked as adopted.

use sqlx::sqlite::SqliteConnection;

use super::{AttemptRun, Store, TraceEntry};
use crate::StoreError;

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
        let mut after = String::new();
        loop {
            let ids = sqlx::query_scalar!(
                "SELECT id FROM prompts WHERE id > ?1 ORDER BY id LIMIT ?2",
                after,
                PAGE,
            )
            .fetch_all(&mut *connection)
            .await
            .map_err(self.explain())?;
            let Some(last) = ids.last() else {
                return Ok(());
            };
            after.clone_from(last);
            let entries = self.prompt_entries(connection, &ids, true).await?;
            self.append_records(connection, entries).await?;
        }
    }

    async fn adopt_attempts(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let last = self.last_attempt(connection).await?;
        let mut before = 0;
        let mut entries = Vec::new();
        while before < last {
            let count = (last - before).min(PAGE);
            if let Some(run) = AttemptRun::after(before, count as usize) {
                entries.push(self.attempt_entry(connection, run, true).await?);
            }
            before += count;
        }
        self.append_records(connection, entries).await?;
        Ok(())
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
            let traces: Vec<_> = rows
                .into_iter()
                .map(|row| TraceEntry {
                    id: row.id,
                    attempts: None,
                })
                .collect();
            let entries = self.trace_entries(connection, &traces, true).await?;
            self.append_records(connection, entries).await?;
        }
    }
}
