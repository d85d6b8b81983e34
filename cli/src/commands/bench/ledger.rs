//! `limbeck bench ledger`: how fast a store is entered into its ledger, and how fast it is proven and audited.

use std::time::Instant;

use anyhow::Context;
use limbeck_store::audit::{IntegrityOptions, Level};
use limbeck_store::ledger::{SecretKey, verify_inclusion};
use limbeck_store::{NotedKind, Prompt, PromptBody, Store};
use serde::Serialize;
use serde_json::json;

use super::args::BenchLedgerArgs;
use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// Prompts kept at once, in a transaction with a checkpoint of its own.
const BATCH: u64 = 2000;
/// Records that are proven one after the other.
const PROOFS: u64 = 1000;

/// What was measured.
#[derive(Debug, Serialize)]
struct LedgerBench {
    entries: u64,
    /// Records alone.
    appended_per_second: f64,
    /// Prompts with their rows, each with a record that commits to it.
    kept_per_second: f64,
    inclusion_proof_ms: f64,
    audit_seconds: f64,
}

/// Measures in a temporary store and prints.
pub async fn run(args: &BenchLedgerArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("limbeck.db");
    let store = Store::open(&path).await?;
    let key = SecretKey::generate("bench")?;
    let public = key.public();
    store.sign_checkpoints_with(key).await?;
    let half = args.entries / 2;
    let appended_per_second = append(&store, half).await?;
    let kept_per_second = keep(&store, args.entries - half).await?;
    let inclusion_proof_ms = prove(&store, half).await?;
    let options = IntegrityOptions {
        keys: vec![public],
        checkpoint: store.latest_checkpoint().await?.map(|newest| newest.note),
    };
    let start = Instant::now();
    let findings = store.audit_integrity(&options).await?;
    let audit_seconds = start.elapsed().as_secs_f64();
    if let Some(finding) = findings.iter().find(|finding| finding.level == Level::Deny) {
        anyhow::bail!("an untouched store did not pass: {}", finding.message);
    }
    let measured = LedgerBench {
        entries: store.ledger_size().await?,
        appended_per_second,
        kept_per_second,
        inclusion_proof_ms,
        audit_seconds,
    };
    store.close().await;
    if args.json {
        printer.json(serde_json::to_string(&measured)?)?;
    } else {
        printer.line(measured.to_text())?;
    }
    Ok(ExitStatus::Success)
}

impl LedgerBench {
    fn to_text(&self) -> String {
        format!(
            "{} records, one half alone and one with a prompt each\n\
             append   {:.0} records a second alone, {:.0} with their rows\n\
             proof    {:.2} ms to prove and verify that a record is in\n\
             audit    {:.1} s over all of it",
            self.entries,
            self.appended_per_second,
            self.kept_per_second,
            self.inclusion_proof_ms,
            self.audit_seconds,
        )
    }
}

async fn append(store: &Store, count: u64) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut next = 0;
    while next < count {
        let batch = next..count.min(next + BATCH);
        next = batch.end;
        let notes = batch.map(|number| {
            let fields = json!({"files": [{"path": "model.safetensors", "bytes": number}]});
            (number.to_string(), fields)
        });
        store
            .note_all_in_ledger(NotedKind::Model, notes.collect())
            .await?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

async fn keep(store: &Store, count: u64) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut next = 0;
    while next < count {
        let batch = next..count.min(next + BATCH);
        next = batch.end;
        let prompts: Vec<_> = batch.map(prompt).collect();
        store.add_prompts(&prompts).await?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn prompt(number: u64) -> Prompt {
    let input = format!("the parcel with number {number} did not come, and nobody answers");
    let text = format!("Message: {input}\nSentiment:");
    Prompt::new(
        PromptBody::Completion { text },
        input,
        "main",
        "bench",
        number,
    )
}

/// Milliseconds to prove that a record is in and to verify it, over places all along the ledger.
async fn prove(store: &Store, count: u64) -> anyhow::Result<f64> {
    let proofs = PROOFS.min(count);
    let start = Instant::now();
    for number in 0..proofs {
        let subject = (number * (count / proofs.max(1))).to_string();
        let found = store.prove_inclusion("model", &subject).await?;
        let found = found.context("a record that was appended is not there")?;
        verify_inclusion(
            &found.leaf,
            found.index,
            found.size,
            &found.proof,
            &found.root,
        )?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / proofs.max(1) as f64)
}
