//! What lies in a work folder beside the store, as the audit of provenance looks at it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use limbeck_store::Dataset;
use limbeck_store::audit::provenance::{ModelFolder, OnDisk, StageFolder};
use limbeck_store::identity::sha256_hex;
use serde_json::Value;

use super::{Audit, digests};

/// The links of a work folder to what was made last.
const LINKS: [&str; 2] = ["student", "export"];

/// Reads the outcomes of all stages, or of those that one model came by, and digests everything that they made for
/// others.
pub(super) fn read(audit: &Audit<'_>) -> anyhow::Result<OnDisk> {
    let stages = audit.workdir.join("stages");
    let mut disk = OnDisk {
        recipe: audit.copy.map(str::to_owned),
        ..OnDisk::default()
    };
    if stages.is_dir() {
        for folder in fs::read_dir(&stages).with_context(|| cannot_read(&stages))? {
            let folder = folder.with_context(|| cannot_read(&stages))?.path();
            disk.stages.extend(stage(&folder, audit)?);
        }
    }
    disk.stages
        .sort_by(|a, b| (&a.stage, &a.hash).cmp(&(&b.stage, &b.hash)));
    // Of one model, what was made last is nobody's business.
    let links = if audit.lineage.is_some() {
        &[][..]
    } else {
        &LINKS[..]
    };
    for name in links {
        let link = audit.workdir.join(name);
        // What leads to a stage is looked at there.
        if link.is_dir() && !is_inside(&link, &stages) {
            disk.models.push(model(&link, name)?);
        }
    }
    if let Some(path) = audit.folder {
        disk.models.push(model(path, &path.display().to_string())?);
    }
    Ok(disk)
}

fn stage(folder: &Path, audit: &Audit<'_>) -> anyhow::Result<Option<StageFolder>> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let outcome = folder.join("outcome.json");
    let Some((stage, hash)) = name.rsplit_once('-').filter(|_| outcome.is_file()) else {
        return Ok(None);
    };
    let is_meant = audit
        .lineage
        .is_none_or(|lineage| lineage.holds_stage(stage, hash));
    if !is_meant {
        return Ok(None);
    }
    let text = fs::read(&outcome).with_context(|| cannot_read(&outcome))?;
    let made = match stage {
        "train" => digests(&folder.join("student"))?,
        "export" => digests(&folder.join("export"))?,
        _ => Vec::new(),
    };
    Ok(Some(StageFolder {
        stage: stage.to_owned(),
        hash: hash.to_owned(),
        outcome: serde_json::from_slice(&text).unwrap_or(Value::Null),
        files: made,
        dataset: (stage == "curate")
            .then(|| dataset(&folder.join("dataset.json")))
            .flatten(),
    }))
}

fn dataset(path: &Path) -> Option<(Dataset, String)> {
    let text = fs::read(path).ok()?;
    Some((serde_json::from_slice(&text).ok()?, sha256_hex(&text)))
}

fn model(path: &Path, name: &str) -> anyhow::Result<ModelFolder> {
    Ok(ModelFolder {
        name: format!("folder `{name}`"),
        files: digests(path)?,
    })
}

fn is_inside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}
