//! `limbeck traces erase`: takes an answer out of the store and out of the datasets made of it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use limbeck_store::{Erasure, Store};
use serde_json::Value;

use crate::exit_status::ExitStatus;
use crate::printer::Printer;
use crate::signing;

/// Erases one trace.
pub async fn run(
    id: &str,
    workdir: &Path,
    reason: &str,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    if reason.trim().is_empty() {
        anyhow::bail!("an erasure needs a reason, which stays in the ledger");
    }
    let path = workdir.join("limbeck.db");
    // Nothing is made where there is nothing to erase.
    Store::open_read_only(&path).await?.close().await;
    let store = Store::open(&path).await?;
    signing::ledger::sign_with_it(&store, printer).await?;
    let erasure = store.erase_trace(id, reason).await?;
    let models = trained_on(&store, &erasure).await?;
    store.close().await;
    forget_stages(workdir, &erasure)?;
    printer.done("Erased", format_args!("trace {}", erasure.trace));
    match &erasure.prompt {
        Some(prompt) => printer.status(format_args!("with it its prompt {prompt}")),
        None => printer.status(format_args!(
            "its prompt stays, since {} other answers to it are kept",
            erasure.other_answers
        )),
    }
    for model in models {
        printer.warning(format_args!(
            "the student of the stage `train-{model}` was trained on it; running the recipe again trains another without it"
        ));
    }
    Ok(ExitStatus::Success)
}

/// The train stages that learned from a dataset that held the trace.
async fn trained_on(store: &Store, erasure: &Erasure) -> anyhow::Result<Vec<String>> {
    let models = store.ledger_entries("model").await?.into_iter();
    let learned = models.filter(|model| {
        let dataset = model.record["dataset"].as_str();
        dataset.is_some_and(|dataset| erasure.datasets.iter().any(|held| held == dataset))
    });
    let mut hashes: Vec<_> = learned.map(|model| model.subject).collect();
    hashes.sort();
    hashes.dedup();
    Ok(hashes)
}

/// Removes the datasets that stages keep beside the store, and with them the stages' outcomes.
fn forget_stages(workdir: &Path, erasure: &Erasure) -> anyhow::Result<()> {
    let stages = workdir.join("stages");
    if !stages.is_dir() {
        return Ok(());
    }
    for stage in fs::read_dir(&stages).with_context(|| cannot("read", &stages))? {
        let stage = stage.with_context(|| cannot("read", &stages))?.path();
        let (outcome, dataset) = (stage.join("outcome.json"), stage.join("dataset.json"));
        let Ok(text) = fs::read(&dataset) else {
            continue;
        };
        let held: Value = serde_json::from_slice(&text).unwrap_or_default();
        let is_held = held["id"]
            .as_str()
            .is_none_or(|id| erasure.datasets.iter().any(|dataset| dataset == id));
        if is_held {
            // The outcome first: a stage with one is whole.
            for file in [&outcome, &dataset] {
                if file.exists() {
                    fs::remove_file(file).with_context(|| cannot("remove", file))?;
                }
            }
        }
    }
    Ok(())
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} `{}`", path.display())
}
