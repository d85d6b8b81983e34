//! The part of the chain that lies in the store: requests, traces, datasets, models, exports.

use super::{Held, HeldDataset, Noted, Several, deny, found};
use crate::audit::{Finding, Level};

const HARVEST_AGAIN: &str =
    "nobody can say where these came from: leave them out, and harvest them anew";

pub(super) fn findings(held: &Held) -> Vec<Finding> {
    let mut findings = traces(held);
    for dataset in held.datasets.values() {
        findings.extend(of_dataset(held, dataset));
    }
    for model in held.models.values() {
        findings.extend(of_model(held, model));
    }
    for export in held.exports.values() {
        findings.extend(of_export(held, export));
    }
    for ((curation, dataset), dropped) in &held.dropped {
        let message = format!(
            "dataset {dataset} has {}, which the curation {curation} dropped",
            traces_in_words(dropped)
        );
        findings.push(
            deny("dataset-row-dropped", message)
                .via(format!("dataset {dataset}"))
                .via(format!("curation {curation}"))
                .help("curate and train again"),
        );
    }
    findings
}

fn traces_in_words(some: &Several) -> String {
    let example = some.example.as_deref().unwrap_or_default();
    match some.count {
        1 => format!("trace {example}"),
        count => format!("{count} traces, such as {example}"),
    }
}

fn traces(held: &Held) -> Vec<Finding> {
    let mut findings = Vec::new();
    if held.traces == 0 {
        let message = "the store holds no answers, so there is nothing that could be followed back";
        findings.push(found("empty", Level::Note, message));
    }
    let broken = [
        (
            "trace-unrecorded",
            &held.unrecorded,
            "the ledger does not tell of",
        ),
        (
            "trace-unreceipted",
            &held.unreceipted,
            "there is no receipt of",
        ),
        (
            "trace-unasked",
            &held.unasked,
            "there is no answered request behind",
        ),
    ];
    for (code, some, what) in broken {
        if some.count > 0 {
            let message = format!("{what} {}", traces_in_words(some));
            findings.push(deny(code, message).via("traces").help(HARVEST_AGAIN));
        }
    }
    findings
}

fn of_dataset(held: &Held, dataset: &HeldDataset) -> Vec<Finding> {
    let id = &dataset.dataset.id;
    let about = |finding: Finding| {
        finding
            .via(format!("dataset {id}"))
            .help("curate and train again; a dataset is only ever made by `limbeck`")
    };
    let mut findings = Vec::new();
    if !dataset.is_recorded {
        let message = format!("the ledger does not tell of dataset {id}");
        findings.push(about(deny("dataset-unrecorded", message)));
    }
    if let Some(first) = dataset.missing.first() {
        let some = Several {
            count: dataset.missing.len() as u64,
            example: Some(first.clone()),
        };
        let message = format!(
            "dataset {id} is made of {}, which the store does not hold",
            traces_in_words(&some)
        );
        findings.push(about(deny("dataset-trace-missing", message)));
    }
    let rows = dataset.dataset.rows.iter();
    let unsourced: Vec<usize> = rows
        .enumerate()
        .filter(|(_, row)| row.trace_ids.is_empty())
        .map(|(position, _)| position)
        .collect();
    if let Some(first) = unsourced.first() {
        let message = format!(
            "{} rows of dataset {id} are made of no trace, the first of them row {first}",
            unsourced.len()
        );
        findings.push(about(deny("dataset-row-unsourced", message)));
    }
    // What was erased has no input any more that could be compared.
    if let Some(first) = dataset.foreign.first()
        && !held.erased.contains(id)
    {
        let message = format!(
            "{} rows of dataset {id} are not about what their traces were asked, the first of them row {first}",
            dataset.foreign.len()
        );
        findings.push(about(deny("dataset-row-foreign", message)));
    }
    findings
}

fn of_model(held: &Held, model: &Noted) -> Vec<Finding> {
    let hash = &model.hash;
    let (dataset, curation) = (model.text("dataset"), model.text("curation"));
    let via = |finding: Finding| {
        let named = |text: Option<&str>| text.unwrap_or("nothing").to_owned();
        finding
            .via(format!("model `train-{hash}`"))
            .via(format!("dataset {}", named(dataset)))
            .via(format!("curation {}", named(curation)))
    };
    let is_known = dataset.is_some_and(|id| {
        held.datasets
            .get(id)
            .is_some_and(|dataset| dataset.is_recorded)
    }) && curation.is_some_and(|id| held.curations.contains(id));
    let mut findings = Vec::new();
    if !is_known {
        let message = format!(
            "the record of the model `train-{hash}` names no dataset and curation that are here"
        );
        findings.push(via(deny("model-dataset-unknown", message)).help("train again"));
    }
    if let (Some(dataset), Some(curation)) = (dataset, curation)
        && let Some(chosen) = chosen_by(held, curation)
        && chosen != dataset
    {
        let message = format!(
            "the model `train-{hash}` is recorded with dataset {dataset}, and its curation chose {chosen}"
        );
        findings.push(via(deny("trained-on-else", message)).help("train again"));
    }
    if dataset.is_some_and(|id| held.erased.contains(id)) {
        let message =
            format!("the model `train-{hash}` was trained on answers that were erased since");
        findings.push(
            via(found("learned-from-erased", Level::Warning, message))
                .help("run the recipe again, which trains another without them, and give this one to nobody"),
        );
    }
    findings
}

/// The dataset that a curation ended with, as its last run that was finished says.
pub(super) fn chosen_by<'a>(held: &'a Held, curation: &str) -> Option<&'a str> {
    super::folders::summary(held, "curate", curation)?["dataset"].as_str()
}

fn of_export(held: &Held, export: &Noted) -> Option<Finding> {
    let model = export.text("model").unwrap_or("nothing");
    if held.models.contains_key(model) {
        return None;
    }
    let hash = &export.hash;
    let message = format!(
        "the ledger does not tell of the model `train-{model}` that the export `export-{hash}` was written from"
    );
    Some(
        deny("export-model-unknown", message)
            .via(format!("export `export-{hash}`"))
            .via(format!("model `train-{model}`"))
            .help("train and export again"),
    )
}
