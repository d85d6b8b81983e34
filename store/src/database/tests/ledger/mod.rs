//! What is kept is in the ledger, and what was tampered with is found.

mod erased;
mod history;
mod ways;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::*;
use crate::audit::{Finding, IntegrityOptions, Level};
use crate::ledger::{PublicKey, SecretKey};
use crate::{Dataset, DatasetRow, RowAnswer, Verdict};

/// A store with something of everything, signed.
struct Whole {
    folder: Folder,
    key: PublicKey,
    secret: SecretKey,
    answers: Vec<Answered>,
    checkpoint: String,
}

const ANSWERS: u64 = 130;

impl Whole {
    async fn new() -> Self {
        let folder = folder();
        let secret = SecretKey::generate("limbeck").unwrap();
        let store = Store::open(&folder.path).await.unwrap();
        store.sign_checkpoints_with(secret.clone()).await.unwrap();
        let answers = fill(&store, "positive").await;
        let checkpoint = store.latest_checkpoint().await.unwrap().unwrap().note;
        store.close().await;
        Self {
            folder,
            key: secret.public(),
            secret,
            answers,
            checkpoint,
        }
    }

    /// A copy of it for one who means ill.
    fn copy(&self) -> Folder {
        let copy = folder();
        std::fs::copy(&self.folder.path, &copy.path).unwrap();
        copy
    }

    fn held_to_key(&self) -> IntegrityOptions {
        IntegrityOptions {
            keys: vec![self.key.clone()],
            checkpoint: None,
        }
    }

    fn held_to_both(&self) -> IntegrityOptions {
        IntegrityOptions {
            checkpoint: Some(self.checkpoint.clone()),
            ..self.held_to_key()
        }
    }
}

/// Prompts, answers in batches with attempts, failures, a curation, a dataset, a run and a model. The answer to the
/// fifth prompt is `fifth`.
async fn fill(store: &Store, fifth: &str) -> Vec<Answered> {
    let prompts: Vec<_> = (1..=ANSWERS).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let mut answers: Vec<_> = prompts.iter().map(|prompt| answer(prompt, 0)).collect();
    answers[4].trace.text = fifth.to_owned();
    for batch in answers.chunks(50) {
        store.record(batch).await.unwrap();
    }
    let mut failed = answer(&prompts[0], 1).attempts;
    failed[0].status = AttemptStatus::Failed {
        kind: "timeout".to_owned(),
        message: "no answer came".to_owned(),
    };
    store.record_failures(&failed).await.unwrap();
    let verdicts: Vec<_> = answers.iter().map(verdict).collect();
    store.write_verdicts("curation", &verdicts).await.unwrap();
    let rows = answers.iter().map(|answered| DatasetRow {
        item: answered.key.prompt_id.clone(),
        input: "text".to_owned(),
        answer: RowAnswer::Text {
            text: answered.trace.text.clone(),
            repaired: false,
            redacted: false,
        },
        trace_ids: vec![answered.key.id()],
    });
    let dataset = Dataset::new("data", rows.collect());
    store.write_dataset(&dataset).await.unwrap();
    let run = store.start_run("train", "abc", "recipe").await.unwrap();
    store
        .finish_run(run, RunStatus::Finished, &json!({"loss": 1}))
        .await
        .unwrap();
    let files =
        json!({"dataset": dataset.id, "files": [{"path": "model.safetensors", "sha256": "00"}]});
    store
        .note_in_ledger(crate::NotedKind::Model, "train-abc", files)
        .await
        .unwrap();
    answers
}

fn verdict(answered: &Answered) -> Verdict {
    Verdict {
        trace_id: answered.key.id(),
        check: "length".to_owned(),
        keep: true,
        value: Some(1.5),
        reason: String::new(),
    }
}

async fn audit(path: &Path, options: &IntegrityOptions) -> Vec<Finding> {
    let store = Store::open_read_only(path).await.unwrap();
    let findings = store.audit_integrity(options).await.unwrap();
    store.close().await;
    findings
}

fn denied(findings: &[Finding]) -> Vec<&Finding> {
    let denied = findings.iter().filter(|f| f.level == Level::Deny);
    denied.collect()
}

async fn connect(path: &Path) -> SqliteConnection {
    // As the `sqlite3` program does it.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false);
    options.connect().await.unwrap()
}

async fn tamper(path: &Path, sql: &str) {
    let mut connection = connect(path).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

fn check(way: &str, findings: &[Finding], code: &str, words: &str) {
    let code = format!("integrity::{code}");
    let found = denied(findings)
        .into_iter()
        .any(|finding| finding.code == code && finding.message.contains(words));
    assert!(found, "{way}: {findings:#?}");
}
