//! What lies on the disk, held to what the store and the ledger know of it.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::Value;

use super::{FileDigest, Held, ModelFolder, Noted, OnDisk, StageFolder, deny, found};
use crate::attestation::AFTERWARDS;
use crate::audit::lineage::{Made, nearest};
use crate::audit::{Finding, Level, Lineage};
use crate::{ContentIds, RunStatus};

/// Numbers went through two writers, one of which rounds to 32 bits.
const ROUNDING: f64 = 1e-6;

pub(super) fn findings(held: &Held, disk: &OnDisk, lineage: Option<&Lineage>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_meant = |stage: &&StageFolder| {
        lineage.is_none_or(|lineage| lineage.holds_stage(&stage.stage, &stage.hash))
    };
    for stage in disk.stages.iter().filter(is_meant) {
        findings.extend(of_stage(held, stage));
        match stage.stage.as_str() {
            "curate" => findings.extend(of_curate(held, stage)),
            "train" => {
                findings.extend(of_made(&held.models, stage, "model"));
                findings.extend(learned_from(held, disk, stage));
            }
            "export" => findings.extend(of_made(&held.exports, stage, "export")),
            _ => {}
        }
    }
    findings.extend(gone(held, disk));
    for model in &disk.models {
        findings.extend(of_model_folder(held, model));
    }
    if let Some(recipe) = &disk.recipe
        && held.recipe.as_ref() != Some(recipe)
    {
        let message = "the copy of the recipe is not the one that the ledger tells of";
        findings.push(
            deny("recipe-changed", message).via("recipe.toml").help(
                "run the recipe again; what it says is judged by the copy that the run keeps",
            ),
        );
    }
    findings
}

/// What the last run of a stage that was finished had to say.
pub(super) fn summary<'a>(held: &'a Held, stage: &str, hash: &str) -> Option<&'a Value> {
    let runs = held.runs.iter().rev();
    let mut of_stage = runs
        .filter(|run| run.stage == stage && run.hash == hash && run.status == RunStatus::Finished);
    of_stage.next()?.summary.as_ref()
}

fn of_stage(held: &Held, stage: &StageFolder) -> Option<Finding> {
    let name = stage.name();
    let file = format!("stages/{}-{}/outcome.json", stage.stage, stage.hash);
    let Some(told) = summary(held, &stage.stage, &stage.hash) else {
        let message =
            format!("the {name} says that it is done, and the store tells of no run that did it");
        return Some(deny("stage-unrecorded", message).via(file));
    };
    if is_as_told(told, &stage.outcome) {
        return None;
    }
    let message = format!("the outcome of the {name} is not what its run ended with");
    Some(
        deny("outcome-changed", message)
            .via(file)
            .help("remove the folder and run the recipe again"),
    )
}

/// Whether an outcome is what its run told of it. For the ids of many answers, a run tells their digest.
fn is_as_told(told: &Value, outcome: &Value) -> bool {
    if !told["traces"].is_object() {
        return is_same(told, outcome);
    }
    let mut outcome = outcome.clone();
    if let Some(traces) = outcome.get_mut("traces")
        && let Ok(ids) = ContentIds::deserialize(&*traces)
    {
        *traces = ids.summary();
    }
    is_same(told, &outcome)
}

/// Whether two values are the same but for the last digits of numbers.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || match (one.as_f64(), other.as_f64()) {
                    (Some(one), Some(other)) => {
                        (one - other).abs() <= ROUNDING * one.abs().max(other.abs())
                    }
                    _ => false,
                }
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| is_same(value, other)))
        }
        _ => one == other,
    }
}

/// The rows that a student learns from are read from a file; it must hold what the store has under the same name.
fn of_curate(held: &Held, stage: &StageFolder) -> Option<Finding> {
    let about = |message: String| {
        deny("dataset-file-changed", message)
            .via(format!("stages/curate-{}/dataset.json", stage.hash))
            .help("remove the folder, curate and train again")
    };
    let chosen = super::held::chosen_by(held, &stage.hash)?;
    let name = stage.name();
    let Some((dataset, _)) = &stage.dataset else {
        return Some(about(format!("the dataset of the {name} cannot be read")));
    };
    let made_anew = crate::Dataset::new(dataset.name.clone(), dataset.rows.clone())
        .redacted(dataset.redaction.clone());
    if dataset.id != chosen || made_anew.id != chosen {
        return Some(about(format!(
            "the dataset in the {name} is not the one that its run chose, {chosen}"
        )));
    }
    // The same traces in the same rows may have been judged again, in which case the store has the newer numbers.
    let newest = held.runs.iter().rev().find(|run| {
        run.stage == "curate"
            && run.status == RunStatus::Finished
            && run
                .summary
                .as_ref()
                .is_some_and(|told| told["dataset"] == chosen)
    });
    let is_newest = newest.is_some_and(|run| run.hash == stage.hash);
    let kept = &held.datasets.get(chosen)?.dataset;
    (is_newest && !held.erased.contains(chosen) && kept.rows != dataset.rows).then(|| {
        about(format!(
            "the rows of the dataset in the {name} are not those that the store has of it"
        ))
    })
}

/// The file that the model learned from must be the one that lies there.
fn learned_from(held: &Held, disk: &OnDisk, stage: &StageFolder) -> Option<Finding> {
    let model = held.models.get(&stage.hash)?;
    let (sha256, curation) = (model.text("dataset_sha256")?, model.text("curation")?);
    let mut curations = disk.stages.iter();
    let curated = curations.find(|other| other.stage == "curate" && other.hash == curation)?;
    let (_, lies_there) = curated.dataset.as_ref()?;
    (lies_there != sha256).then(|| {
        let message = format!(
            "the model `train-{}` was trained on another file than the dataset in the {}",
            stage.hash,
            curated.name()
        );
        deny("trained-on-else", message)
            .via(format!("model `train-{}`", stage.hash))
            .via(format!("stages/curate-{curation}/dataset.json"))
            .help("remove both folders and run the recipe again")
    })
}

fn of_made(noted: &BTreeMap<String, Noted>, stage: &StageFolder, kind: &str) -> Vec<Finding> {
    let about = format!("{kind} `{}-{}`", stage.stage, stage.hash);
    if let Some(noted) = noted.get(&stage.hash) {
        return differences(&noted.files(), &stage.files, &about);
    }
    let message = format!("the ledger does not tell of the {about}");
    let finding = deny(&format!("{kind}-unrecorded"), message);
    vec![finding.via(about).help(format!(
        "nobody can say what it was made from: remove the folder and run `limbeck {}` again",
        stage.stage
    ))]
}

fn differences(recorded: &[FileDigest], there: &[FileDigest], about: &str) -> Vec<Finding> {
    let by_path = |files: &[FileDigest]| -> BTreeMap<String, String> {
        let files = files.iter();
        files
            .map(|file| (file.path.clone(), file.sha256.clone()))
            .collect()
    };
    let (recorded, there) = (by_path(recorded), by_path(there));
    let finding = |code: &str, message: String, path: &str| {
        deny(code, message)
            .via(about.to_owned())
            .via(format!("file `{path}`"))
            .help("use the file that was made, or make it anew")
    };
    let mut findings = Vec::new();
    for (path, sha256) in &recorded {
        match there.get(path) {
            None => {
                let message = format!("of the {about} the file `{path}` is gone");
                findings.push(finding("file-missing", message, path));
            }
            Some(found) if found != sha256 => {
                let message =
                    format!("the file `{path}` of the {about} is not the one that was recorded");
                findings.push(finding("file-changed", message, path));
            }
            Some(_) => {}
        }
    }
    // What an export carries of the ledger was written after its record, and is `limbeck verify`'s to check.
    let is_told = |path: &str| recorded.contains_key(path) || AFTERWARDS.contains(&path);
    for path in there.keys().filter(|path| !is_told(path)) {
        let message =
            format!("the file `{path}` lies in the {about}, and the ledger does not tell of it");
        findings.push(finding("file-added", message, path));
    }
    findings
}

/// Records of things that are not on the disk any more: told, since nobody can look at them.
fn gone(held: &Held, disk: &OnDisk) -> Vec<Finding> {
    let noted = held.models.values().map(|noted| ("train", noted));
    let noted = noted.chain(held.exports.values().map(|noted| ("export", noted)));
    let is_there = |stage: &str, hash: &str| {
        disk.stages
            .iter()
            .any(|folder| folder.stage == stage && folder.hash == hash)
    };
    let missing = noted.filter(|(stage, noted)| !is_there(stage, &noted.hash));
    missing
        .map(|(stage, noted)| {
            let message = format!(
                "the ledger tells of `{stage}-{}`, which is not among the stages that are done",
                noted.hash
            );
            found("folder-gone", Level::Note, message)
        })
        .collect()
}

/// A model by itself must be one that the ledger tells of, file by file.
fn of_model_folder(held: &Held, folder: &ModelFolder) -> Vec<Finding> {
    let Some((made, noted)) = nearest(&folder.files, &held.models, &held.exports) else {
        let message = format!("the ledger tells of no file in {}", folder.name);
        let to_do = "name the work folder of the run that made it with `--workdir`";
        return vec![
            deny("model-unknown", message)
                .via(folder.name.clone())
                .help(to_do),
        ];
    };
    let about = match made {
        Made::Model => format!("model `train-{}`", noted.hash),
        Made::Export => format!("export `export-{}`", noted.hash),
    };
    let mut found = differences(&noted.files(), &folder.files, &about);
    for finding in &mut found {
        finding.path.insert(0, folder.name.clone());
    }
    found
}
