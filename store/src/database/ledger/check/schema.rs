//! The file itself, and its tables, indexes and triggers.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::Check;
use crate::StoreError;
use crate::database::open::MIGRATIONS;

/// How many complaints about a file are listed.
const MOST_COMPLAINTS: usize = 20;

impl Check<'_> {
    /// Whether the file agrees with itself: an index that leaves a row out would hide it from everything else.
    pub(super) async fn file(&mut self) -> Result<(), StoreError> {
        let explain = self.store.explain();
        let complaints: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)")
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(explain)?;
        let complaints = complaints.iter().filter(|complaint| *complaint != "ok");
        for complaint in complaints.take(MOST_COMPLAINTS) {
            self.findings
                .deny("file", format!("the database file: {complaint}"));
        }
        let orphans: Vec<(String, Option<i64>, String)> =
            sqlx::query_as("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check")
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(explain)?;
        for (table, row, parent) in orphans {
            let row = row.map_or_else(String::new, |row| format!(" {row}"));
            self.findings.deny(
                "orphan",
                format!("row{row} of `{table}` belongs to one of `{parent}` that is not there"),
            );
        }
        Ok(())
    }

    /// Tables, indexes and triggers must be those that Limbeck makes: a trigger that is gone lets things be changed, and
    /// one that was added can change them.
    pub(super) async fn schema(&mut self) -> Result<(), StoreError> {
        let explain = self.store.explain();
        let found = objects(&mut self.transaction).await.map_err(explain)?;
        let made = async {
            let options = SqliteConnectOptions::new().in_memory(true);
            let mut connection = options.connect().await?;
            MIGRATIONS.run(&mut connection).await?;
            let made = objects(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(made)
        };
        let made = made.await.map_err(explain)?;
        for (name, sql) in &made {
            match found.get(name) {
                None => self
                    .findings
                    .deny("schema", format!("the {name} is missing")),
                Some(found) if found != sql => self
                    .findings
                    .deny("schema", format!("the {name} was changed")),
                Some(_) => {}
            }
        }
        for name in found.keys().filter(|name| !made.contains_key(*name)) {
            self.findings
                .deny("schema", format!("the {name} is none of limbeck's"));
        }
        Ok(())
    }
}

/// What a database consists of, by kind and name, with the statements that made it.
async fn objects(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<String, Option<String>>, sqlx::Error> {
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '_sqlx_migrations'",
    )
    .fetch_all(connection)
    .await?;
    let objects = rows.into_iter();
    Ok(objects
        .map(|(kind, name, sql)| (format!("{kind} `{name}`"), sql))
        .collect())
}
