//! Whose file it is, who may write to it, and what happens when it cannot be written or read.

use std::fs;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::*;

#[tokio::test]
async fn a_store_that_was_dropped_goes_on_where_it_was() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 40).await;
    // Neither closed nor committed: as after a kill in the middle of a batch.
    let mut transaction = store.begin().await.unwrap();
    sqlx::query("DELETE FROM receipts")
        .execute(&mut *transaction)
        .await
        .unwrap();
    drop(transaction);
    let run = store.start_run("harvest", "abc", "recipe").await.unwrap();
    drop(store);
    let store = Store::open(&folder.path).await.unwrap();
    let ids = ids(&answers);
    assert_eq!(store.answered(&ids).await.unwrap().len(), 40);
    assert!(store.receipt(&ids[0]).await.unwrap().is_some());
    let runs = store.runs().await.unwrap();
    assert_eq!(runs[0].id, run);
    assert_eq!(runs[0].status, RunStatus::Interrupted);
    assert_eq!(runs[0].finished_at, None);
}

#[tokio::test]
async fn one_writer_at_a_time_and_readers_beside_it() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 2).await;
    let error = Store::open(&folder.path).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("limbeck.db"), "{error}");
    assert!(error.hint().is_some());

    let reader = Store::open_read_only(&folder.path).await.unwrap();
    assert_eq!(reader.count_traces().await.unwrap(), 2);
    let late = answer(&prompt(1), 1);
    store.record(std::slice::from_ref(&late)).await.unwrap();
    assert_eq!(reader.count_traces().await.unwrap(), 3);
    assert!(reader.trace(&answers[0].key.id()).await.is_ok());
    let error = reader.add_prompts(&[prompt(7)]).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");

    drop(store);
    Store::open(&folder.path).await.unwrap().close().await;
    let reader = Store::open_read_only(&folder.path).await.unwrap();
    assert_eq!(reader.count_traces().await.unwrap(), 3);
}

#[tokio::test]
async fn a_store_is_durable_and_guarded_by_its_settings() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    let pragma = async |name: &str| -> String {
        let sql = format!("SELECT CAST(\"{name}\" AS TEXT) FROM pragma_{name}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(store.pool())
            .await
            .unwrap()
    };
    assert_eq!(pragma("journal_mode").await, "wal");
    assert_eq!(pragma("synchronous").await, "2");
    assert_eq!(pragma("foreign_keys").await, "1");
    let strict: i64 = sqlx::query_scalar(
        "SELECT min(strict) FROM pragma_table_list WHERE type = 'table' AND schema = 'main'
         AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    assert_eq!(strict, 1);
}

/// Writes to a database file behind the store's back.
async fn tamper(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn both_errors(path: &Path) -> [StoreError; 2] {
    [
        Store::open(path).await.unwrap_err(),
        Store::open_read_only(path).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let folder = folder();
    filled(&folder.path, 1).await.0.close().await;
    tamper(
        &folder.path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'from the future', 1, x'00', 0)",
    )
    .await;
    let before = fs::read(&folder.path).unwrap();
    for error in both_errors(&folder.path).await {
        assert!(
            matches!(
                error,
                StoreError::NewerVersion {
                    found: 999,
                    known: 8,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("update limbeck"));
    }
    assert_eq!(fs::read(&folder.path).unwrap(), before);
}

#[tokio::test]
async fn an_older_store_cannot_be_read_without_writing() {
    let folder = folder();
    fs::write(&folder.path, "").unwrap();
    let error = Store::open_read_only(&folder.path).await.unwrap_err();
    assert!(
        matches!(error, StoreError::OlderVersion { found: 0, .. }),
        "{error:?}"
    );
    let missing = folder.path.with_file_name("none.db");
    let error = Store::open_read_only(&missing).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn what_is_no_store_is_left_alone() {
    let folder = folder();
    for content in ["short", &"This is a letter, not a database.\n".repeat(500)] {
        fs::write(&folder.path, content).unwrap();
        for error in both_errors(&folder.path).await {
            assert!(
                matches!(error, StoreError::NotADatabase { .. }),
                "{error:?}"
            );
        }
        assert_eq!(fs::read_to_string(&folder.path).unwrap(), content);
    }
    fs::remove_file(&folder.path).unwrap();
    tamper(&folder.path, "CREATE TABLE notes (text TEXT)").await;
    let before = fs::read(&folder.path).unwrap();
    for error in both_errors(&folder.path).await {
        assert!(
            matches!(error, StoreError::ForeignDatabase { .. }),
            "{error:?}"
        );
    }
    assert_eq!(fs::read(&folder.path).unwrap(), before);
}

#[tokio::test]
async fn a_store_whose_creation_was_cut_off_is_created_again() {
    let folder = folder();
    tamper(
        &folder.path,
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
         installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
         checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .await;
    let (store, _) = filled(&folder.path, 1).await;
    assert_eq!(store.count_traces().await.unwrap(), 1);
}

#[tokio::test]
async fn a_damaged_store_is_an_error() {
    let folder = folder();
    filled(&folder.path, 200).await.0.close().await;
    // Pages in the middle of the file are overwritten; the header stays good.
    let mut bytes = fs::read(&folder.path).unwrap();
    let length = bytes.len();
    bytes[8192..length].fill(0xa5);
    fs::write(&folder.path, &bytes).unwrap();
    let result = async {
        let store = Store::open(&folder.path).await?;
        store.add_prompts(&[prompt(1000)]).await?;
        store.list_traces(&TraceFilter::default()).await
    };
    let error = result.await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn unreadable_columns_are_named() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 1).await;
    let id = answers[0].key.id();
    store.close().await;
    for (statement, expected) in [
        (
            "UPDATE token_log_probabilities SET encoded = x'02'",
            "of format 2",
        ),
        (
            "UPDATE prompts SET tags = 'no list'",
            "`tags` is not readable",
        ),
        ("UPDATE traces SET sample = -1", "`sample` is -1"),
        (
            "UPDATE traces SET choice_log_probabilities = x'0000'",
            "another number",
        ),
    ] {
        tamper(&folder.path, statement).await;
        let store = Store::open(&folder.path).await.unwrap();
        let error = match store.token_log_probabilities(&id).await {
            Err(error) if expected.contains("format") => error,
            _ => store.trace(&id).await.unwrap_err(),
        };
        assert!(error.to_string().contains(expected), "{error}");
        store.close().await;
        tamper(&folder.path, "UPDATE prompts SET tags = '[]'").await;
        tamper(&folder.path, "UPDATE traces SET sample = 0").await;
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_loses_nothing() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 2).await;
    // SQLite reports its own limit on the file's size as it reports a disk without room.
    sqlx::query("PRAGMA max_page_count = 1")
        .execute(store.pool())
        .await
        .unwrap();
    let prompts: Vec<_> = (3..=500).map(prompt).collect();
    let error = store.add_prompts(&prompts).await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("free some space"));
    assert_eq!(store.count_prompts().await.unwrap(), 2);
    assert_eq!(store.traces(&ids(&answers)).await.unwrap().len(), 2);
    // A statement of one row takes SQLite's whole transaction with it, and the pool a connection that it can use.
    let large = "x".repeat(1 << 20);
    let noted = store.note_in_ledger(NotedKind::Recipe, &large, serde_json::json!({}));
    let error = noted.await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert_eq!(store.count_prompts().await.unwrap(), 2);
    // With room again (the limit was the old connection's own), the same store goes on.
    assert_eq!(store.add_prompts(&prompts).await.unwrap(), 498);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = folder();
    let path = folder.path.with_file_name("none").join("limbeck.db");
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::CannotOpen { .. }), "{error:?}");
    assert!(error.to_string().contains("limbeck.db"));
}
