//! Opening a store: whose file it is, which version it has, and how `SQLite` is to treat it.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::lock::StoreLock;
use super::{Shared, Store};
use crate::StoreError;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// "LIMB", as in `migrations/0001_records.sql`.
const APPLICATION_ID: i64 = 0x4c49_4d42;

/// Another program that reads the file may hold it for a moment; a checkpoint of ours may, too.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of the log after which they are copied into the file, 64 MiB. Ids are digests, so each answer changes a page of
/// its own in every index by ids; the fewer copies, the more changes each of them carries.
const PAGES_BETWEEN_CHECKPOINTS: u32 = 16_384;
/// Memory for pages, in KiB (a negative size, as `SQLite` wants it): the inner pages of the indices and the last rows.
const CACHE_KIB: i32 = 16_384;

/// Rows that a statement may be ahead of who reads them: a whole group of answers, so that the database's thread need not
/// wait for each to be taken.
const ROWS_AHEAD: usize = 1024;

/// With one connection for all tasks, waiting for it is normal and no sign of trouble.
const LONGEST_WAIT_FOR_THE_CONNECTION: Duration = Duration::from_hours(1);

impl Store {
    /// Opens the store for writing, and creates it or brings it up to date where needed.
    ///
    /// The folder must exist. Fails with [`StoreError::Locked`] while another process (or another call in
    /// this one) has it open for writing. Runs that a killed process left behind become interrupted ones.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = StoreLock::acquire(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .row_buffer_size(ROWS_AHEAD)
            .busy_timeout(BUSY_TIMEOUT);
        // Asked before the journal mode is set, since that already writes to the file.
        version(path, &options).await?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", PAGES_BETWEEN_CHECKPOINTS.to_string())
            .pragma("cache_size", (-CACHE_KIB).to_string())
            // What a statement of many rows changes is noted down until it ends; not in a file of its own.
            .pragma("temp_store", "MEMORY");
        let store = Self::connect(path, options, Some(lock)).await?;
        MIGRATIONS
            .run(store.pool())
            .await
            .map_err(|error| migration_error(path, error))?;
        store.begin_ledger().await?;
        store.interrupt_leftover_runs().await?;
        Ok(store)
    }

    /// Opens the store for reading only, also while another process writes to it.
    ///
    /// Every call that would write fails with [`StoreError::ReadOnly`].
    pub async fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::NotFound {
                path: path.to_owned(),
            });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT);
        let found = version(path, &options).await?;
        let known = latest_known();
        if found < known {
            return Err(StoreError::OlderVersion {
                path: path.to_owned(),
                found,
                known,
            });
        }
        Self::connect(path, options, None).await
    }

    async fn connect(
        path: &Path,
        options: SqliteConnectOptions,
        lock: Option<StoreLock>,
    ) -> Result<Self, StoreError> {
        let one = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(is_at_rest(connection)))
            .acquire_timeout(LONGEST_WAIT_FOR_THE_CONNECTION);
        let beside = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .row_buffer_size(ROWS_AHEAD)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = one
            .clone()
            .connect_with(options)
            .await
            .map_err(|error| StoreError::from_sqlx(path, error))?;
        Ok(Self {
            shared: Arc::new(Shared {
                pool,
                beside: one.connect_lazy_with(beside),
                path: path.to_owned(),
                signer: OnceLock::new(),
                terms: OnceLock::new(),
                _lock: lock,
            }),
        })
    }
}

fn latest_known() -> i64 {
    MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0)
}

/// Whether the connection is fit for use; the pool replaces one that is not.
///
/// After a full disk or a failed write `SQLite` itself rolls the transaction back. sqlx then fails to do so when
/// the transaction is dropped, takes it for still open, and would refuse every later one. The ping waits for
/// that rollback, which a drop can only begin.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// The version of a store that this Limbeck can handle, 0 for an empty file. Changes nothing.
async fn version(path: &Path, options: &SqliteConnectOptions) -> Result<i64, StoreError> {
    let explain = |error| StoreError::from_sqlx(path, error);
    let mut connection = options.connect().await.map_err(explain)?;
    let found = identify(&mut connection).await.map_err(explain);
    // Only tidiness: whether the file is ours is known by now.
    let _ = connection.close().await;
    match found? {
        None => Err(StoreError::ForeignDatabase {
            path: path.to_owned(),
        }),
        Some(found) if found > latest_known() => Err(StoreError::NewerVersion {
            path: path.to_owned(),
            found,
            known: latest_known(),
        }),
        Some(found) => Ok(found),
    }
}

/// The latest migration in the file; `None` where the file belongs to another program.
async fn identify(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await?;
    let has_migrations = tables.iter().any(|name| name == "_sqlx_migrations");
    if application == APPLICATION_ID && has_migrations {
        let latest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(connection)
            .await?;
        return Ok(Some(latest.unwrap_or(0)));
    }
    // A process that was killed while it created the store leaves at most the table of migrations.
    let empty = tables.iter().all(|name| name == "_sqlx_migrations");
    Ok((application == 0 && empty).then_some(0))
}

fn migration_error(path: &Path, error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            StoreError::from_sqlx(path, error)
        }
        source => StoreError::Migration {
            path: path.to_owned(),
            source,
        },
    }
}
