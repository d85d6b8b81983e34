//! The store against real files.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::*;
use crate::curate::{DatasetRow, RowAnswer, Verdict};
use crate::record::*;

struct Folder {
    _folder: TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limbeck.db");
    Folder {
        _folder: folder,
        path,
    }
}

fn prompt(number: u64) -> Prompt {
    let body = PromptBody::Completion {
        text: format!("Message: text {number}\nSentiment:"),
    };
    let mut prompt = Prompt::new(body, format!("text {number}"), "main", "rows.csv", number);
    prompt.tags = vec!["a".to_owned(), "b".to_owned()];
    prompt.license = Some("mit".to_owned());
    prompt
}

fn answer(prompt: &Prompt, sample: u32) -> Answered {
    let key = TraceKey {
        prompt_id: prompt.id.clone(),
        sample,
        teacher: "local|abc|in-process".to_owned(),
        parameters: SamplingParameters {
            choices: vec!["positive".to_owned(), "negative".to_owned()],
            temperature: 0.7,
            top_p: 0.95,
            max_tokens: 64,
            top_logprobs: 2,
            seed: 1,
        },
    };
    let token = |id, log_probability| TokenLogProbabilities {
        id,
        log_probability,
        top: vec![(id, log_probability), (id + 1, -3.25)],
    };
    let attempt = Attempt {
        prompt_id: prompt.id.clone(),
        trace_id: key.id(),
        started_at: now(),
        waited_ms: 3,
        latency_ms: 40,
        status: AttemptStatus::Answered,
    };
    Answered {
        key,
        trace: Trace {
            text: "positive".to_owned(),
            reasoning: Some("it says so".to_owned()),
            choice_log_probabilities: Some(vec![-0.125, f32::NEG_INFINITY]),
            finish_reason: FinishReason::Choice,
            prompt_tokens: 20,
            completion_tokens: 2,
            tokens: vec![token(7, -0.5), token(40_000, -1.5)],
        },
        attempts: vec![attempt],
        receipt: Receipt {
            provider: "local".to_owned(),
            model: "model.gguf".to_owned(),
            model_sha256: Some("abc".to_owned()),
            route: "in-process".to_owned(),
            license: Some("apache-2.0".to_owned()),
            limits: serde_json::json!({"concurrent": 32}),
            limbeck_version: "0.1.0".to_owned(),
            request_sha256: "r".to_owned(),
            response_sha256: "s".to_owned(),
        },
    }
}

/// A store with `count` prompts, each answered once, and the answers.
async fn filled(path: &Path, count: u64) -> (Store, Vec<Answered>) {
    let store = Store::open(path).await.unwrap();
    let prompts: Vec<_> = (1..=count).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let answers: Vec<_> = prompts.iter().map(|prompt| answer(prompt, 0)).collect();
    store.record(&answers).await.unwrap();
    (store, answers)
}

fn ids(answers: &[Answered]) -> Vec<String> {
    answers.iter().map(|answered| answered.key.id()).collect()
}

#[tokio::test]
async fn what_is_recorded_reads_back() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 3).await;
    let id = answers[1].key.id();
    let detail = store.trace(&id[..10]).await.unwrap();
    let record = &detail.record;
    assert_eq!(record.id, id);
    assert_eq!(record.key, answers[1].key);
    assert_eq!(record.key.id(), id);
    assert_eq!(record.prompt, prompt(2));
    assert_eq!(record.text, "positive");
    assert_eq!(record.reasoning.as_deref(), Some("it says so"));
    assert_eq!(
        record.choice_log_probabilities,
        Some(vec![-0.125, f32::NEG_INFINITY])
    );
    assert_eq!(record.finish_reason, FinishReason::Choice);
    assert_eq!((record.prompt_tokens, record.completion_tokens), (20, 2));
    assert_eq!(record.mean_log_probability, Some(-1.0));
    assert_eq!(detail.receipt, answers[1].receipt);
    assert_eq!(detail.attempts, answers[1].attempts);
    assert_eq!(detail.verdicts, []);
    // These log-probabilities are whole numbers of 1/4096, so nothing is lost.
    let tokens = store.token_log_probabilities(&id).await.unwrap();
    assert_eq!(tokens.as_ref(), Some(&answers[1].trace.tokens));
}

#[tokio::test]
async fn nothing_is_kept_twice() {
    let folder = folder();
    let (store, mut answers) = filled(&folder.path, 3).await;
    assert_eq!(store.add_prompts(&[prompt(3), prompt(4)]).await.unwrap(), 1);
    answers[0].trace.text = "negative".to_owned();
    answers.push(answer(&prompt(4), 0));
    store.record(&answers).await.unwrap();
    let records = store.traces(&ids(&answers)).await.unwrap();
    assert_eq!(records.len(), 4);
    assert_eq!(records[0].text, "positive", "the first answer stays");
    let attempts = store.attempts(&records[0].id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(store.count_prompts().await.unwrap(), 4);
    assert_eq!(store.count_traces().await.unwrap(), 4);
}

#[tokio::test]
async fn what_describes_a_prompt_is_brought_up_to_date() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 1).await;
    let mut renamed = prompt(1);
    renamed.phrasing = "plain".to_owned();
    renamed.row = 12;
    renamed.license = None;
    assert_eq!(
        store
            .add_prompts(std::slice::from_ref(&renamed))
            .await
            .unwrap(),
        0
    );
    let records = store.traces(&ids(&answers)).await.unwrap();
    assert_eq!(records[0].prompt, renamed);
}

#[tokio::test]
async fn traces_come_in_the_order_asked_in_any_number() {
    let folder = folder();
    let count = 2 * IDS_PER_STATEMENT as u64 + 7;
    let (store, answers) = filled(&folder.path, count).await;
    let mut wanted = ids(&answers);
    wanted.reverse();
    wanted.swap(3, 900);
    let records = store.traces(&wanted).await.unwrap();
    let found: Vec<_> = records.into_iter().map(|record| record.id).collect();
    assert_eq!(found, wanted);
    wanted.insert(1, "no such id".to_owned());
    assert_eq!(store.traces(&wanted).await.unwrap().len(), found.len());

    let mut keys: Vec<_> = answers.iter().map(|a| a.key.clone()).collect();
    keys.extend((1..=count).map(|n| answer(&prompt(n), 1).key));
    let answered = store.answered(&keys).await.unwrap();
    assert_eq!(answered, ids(&answers).into_iter().collect());
}

#[tokio::test]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    // The prompt of the second was never added.
    let batch = [answer(&prompt(1), 1), answer(&prompt(9), 0)];
    let error = store.record(&batch).await.unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownReference { .. }),
        "{error:?}"
    );
    assert_eq!(store.count_traces().await.unwrap(), 1);
    assert_eq!(store.attempts(&batch[0].key.id()).await.unwrap(), []);

    let mut lame = answer(&prompt(1), 1);
    lame.trace.choice_log_probabilities = Some(vec![0.0]);
    let error = store.record(&[lame]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 log-probabilities for 2 choices"),
        "{error}"
    );
    store.record(&batch[..1]).await.unwrap();
    assert_eq!(store.count_traces().await.unwrap(), 2);
}

#[tokio::test]
async fn failed_tries_are_kept_beside_the_one_that_succeeded() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    let mut answered = answer(&prompt(1), 1);
    let mut failed = answered.attempts[0].clone();
    failed.status = AttemptStatus::Failed {
        kind: "timeout".to_owned(),
        message: "no answer within 30 s".to_owned(),
    };
    store
        .record_failures(std::slice::from_ref(&failed))
        .await
        .unwrap();
    answered.attempts.insert(0, failed.clone());
    store.record(std::slice::from_ref(&answered)).await.unwrap();
    let attempts = store.attempts(&answered.key.id()).await.unwrap();
    assert_eq!(
        attempts,
        [failed.clone(), failed, answered.attempts[1].clone()]
    );
}

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
    let keys: Vec<_> = answers.iter().map(|a| a.key.clone()).collect();
    assert_eq!(store.answered(&keys).await.unwrap().len(), 40);
    assert!(store.receipt(&keys[0].id()).await.unwrap().is_some());
    let runs = store.runs().await.unwrap();
    assert_eq!(runs[0].id, run);
    assert_eq!(runs[0].status, RunStatus::Interrupted);
    assert_eq!(runs[0].finished_at, None);
}

#[tokio::test]
async fn verdicts_are_replaced_and_the_newest_curation_counts() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 3).await;
    let ids = ids(&answers);
    let verdict = |trace: usize, check: &str, keep| Verdict {
        trace_id: ids[trace].clone(),
        check: check.to_owned(),
        keep,
        value: Some(0.25),
        reason: "because".to_owned(),
    };
    let first = [verdict(0, "length", false), verdict(1, "length", true)];
    store.write_verdicts("one", &first).await.unwrap();
    let second = [
        verdict(0, "length", true),
        verdict(1, "length", true),
        verdict(1, "duplicates", false),
    ];
    store.write_verdicts("two", &second).await.unwrap();
    assert_eq!(store.verdicts("one").await.unwrap(), first);
    assert_eq!(store.verdicts("two").await.unwrap(), second);
    assert_eq!(store.verdicts("three").await.unwrap(), []);
    assert_eq!(store.trace(&ids[1]).await.unwrap().verdicts, second[1..]);

    let list = async |verdict| {
        let filter = TraceFilter {
            verdict,
            ..TraceFilter::default()
        };
        let rows = store.list_traces(&filter).await.unwrap();
        rows.into_iter()
            .map(|row| (row.id, row.verdict))
            .collect::<Vec<_>>()
    };
    let kept = (ids[0].clone(), VerdictFilter::Kept);
    let dropped = (ids[1].clone(), VerdictFilter::Dropped);
    let unjudged = (ids[2].clone(), VerdictFilter::Unjudged);
    assert_eq!(list(Some(VerdictFilter::Kept)).await, [kept.clone()]);
    assert_eq!(list(Some(VerdictFilter::Dropped)).await, [dropped.clone()]);
    assert_eq!(
        list(Some(VerdictFilter::Unjudged)).await,
        [unjudged.clone()]
    );
    assert_eq!(list(None).await, [kept, dropped, unjudged]);

    // Written again, the first one is the newest.
    store.write_verdicts("one", &first).await.unwrap();
    assert_eq!(list(Some(VerdictFilter::Kept)).await[0].0, ids[1]);
    assert_eq!(store.verdicts("one").await.unwrap(), first);
}

#[tokio::test]
async fn lists_are_paged_and_filtered_by_teacher() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 5).await;
    let mut other = answer(&prompt(1), 0);
    other.key.teacher = "other".to_owned();
    store.record(std::slice::from_ref(&other)).await.unwrap();
    let list = async |limit, offset, teacher: Option<&str>| {
        let filter = TraceFilter {
            limit,
            offset,
            teacher: teacher.map(str::to_owned),
            verdict: None,
        };
        let rows = store.list_traces(&filter).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list(Some(2), 1, None).await, ids(&answers)[1..3]);
    assert_eq!(list(None, 3, None).await.len(), 3);
    assert_eq!(list(None, 0, Some("other")).await, [other.key.id()]);
    assert_eq!(list(Some(9), 0, Some("nobody")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_trace_is_found_by_the_beginning_of_its_id() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 40).await;
    let id = answers[0].key.id();
    assert_eq!(store.trace(&id.to_uppercase()).await.unwrap().record.id, id);
    // Of forty ids, two begin with the same digit.
    let error = store.trace("").await.unwrap_err();
    assert!(
        matches!(error, StoreError::AmbiguousTrace { .. }),
        "{error:?}"
    );
    for unknown in ["zz", "%", "' OR 1"] {
        let error = store.trace(unknown).await.unwrap_err();
        assert!(
            matches!(error, StoreError::UnknownTrace { .. }),
            "{error:?}"
        );
    }
    assert_eq!(store.receipt("zz").await.unwrap(), None);
    assert_eq!(store.token_log_probabilities("zz").await.unwrap(), None);
}

#[tokio::test]
async fn datasets_read_back_in_order() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 12).await;
    let ids = ids(&answers);
    let row = |traces: &[String], answer| DatasetRow {
        item: "item".to_owned(),
        input: "input".to_owned(),
        answer,
        trace_ids: traces.to_vec(),
    };
    let text = RowAnswer::Text {
        text: "Once.".to_owned(),
        repaired: true,
    };
    let labels = RowAnswer::Labels {
        choices: vec!["yes".to_owned(), "no".to_owned()],
        probabilities: vec![0.75, 0.25],
    };
    let rows = vec![row(&ids[..1], text), row(&ids[1..], labels.clone())];
    let dataset = Dataset::new("train", rows);
    store.write_dataset(&dataset).await.unwrap();
    assert_eq!(
        store.dataset(&dataset.id).await.unwrap(),
        Some(dataset.clone())
    );
    // The same traces with another answer are the same dataset, and the last word counts.
    let mut again = dataset.clone();
    again.rows[0].answer = labels;
    store.write_dataset(&again).await.unwrap();
    assert_eq!(store.dataset(&again.id).await.unwrap(), Some(again));
    assert_eq!(store.dataset("none").await.unwrap(), None);
}

#[tokio::test]
async fn runs_read_back() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let id = store.start_run("train", "abc", "recipe").await.unwrap();
    assert_eq!(store.runs().await.unwrap()[0].status, RunStatus::Running);
    let summary = serde_json::json!({"steps": 3});
    store
        .finish_run(id, RunStatus::Finished, &summary)
        .await
        .unwrap();
    let runs = store.runs().await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].status, RunStatus::Finished);
    assert_eq!(runs[0].summary, Some(summary));
    assert!(runs[0].finished_at.as_ref().unwrap() >= &runs[0].started_at);
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
                    known: 1,
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
