//! What an audit finds, area by area: the same for `limbeck audit` and for training and export, which refuse by it.
//!
//! An audit is about all that a store holds, or about one model. Then terms, licences, provenance, privacy and bans are
//! held to what went into that model. Integrity is always that of the whole store, since the ledger is one tree over all
//! of it, and so are limits and waits of [conduct](limbeck_store::audit::conduct), since a service counts all requests.

mod on_disk;

use std::path::Path;

use anyhow::Context;
use limbeck_store::Store;
use limbeck_store::audit::provenance::FileDigest;
use limbeck_store::audit::{Area, Finding, IntegrityOptions, Level, Lineage, privacy};

use crate::pipeline::kept_recipe::RECIPE_COPY;
use crate::pipeline::ledgered;
use crate::recipe::Recipe;
use crate::rights::{Reviewed, Rights, today};

/// What is looked at, and what it is held to.
pub struct Audit<'a> {
    /// The store.
    pub store: &'a Store,
    /// The work folder that it lies in.
    pub workdir: &'a Path,
    /// What says what is meant, what is banned and what is excepted. Without one, terms and licences are not judged.
    pub recipe: Option<&'a Recipe>,
    /// What counts of what that says in persons' names.
    pub reviewed: Option<&'a Reviewed>,
    /// SHA-256 of the copy of the recipe that the work folder keeps, where that is looked at.
    pub copy: Option<&'a str>,
    /// Whether the recipe is that copy, and the ledger does not tell of it.
    pub is_foreign_copy: bool,
    /// One model, in place of all that the store holds.
    pub lineage: Option<&'a Lineage>,
    /// A folder with a model, held to what the ledger tells of it.
    pub folder: Option<&'a Path>,
    /// Keys and a checkpoint from outside.
    pub integrity: IntegrityOptions,
}

impl Audit<'_> {
    /// What is found in `area`, by the recipe's rules and waivers. `rights` are needed for terms and licences.
    pub async fn findings(
        &self,
        area: Area,
        rights: Option<&Rights<'_>>,
    ) -> anyhow::Result<Vec<Finding>> {
        let dataset = self.lineage.map(|lineage| lineage.dataset.as_str());
        let findings = match area {
            Area::Terms | Area::Licences => {
                let rights = rights.context("terms and licences are judged by a recipe")?;
                let mut findings = rights.findings(area);
                findings.extend(self.is_foreign_copy.then(|| foreign_copy(area)));
                findings
            }
            Area::Provenance => {
                let disk = on_disk::read(self)?;
                self.store.audit_provenance(&disk, self.lineage).await?
            }
            Area::Integrity => self.store.audit_integrity(&self.integrity).await?,
            Area::Conduct => {
                let policy = self.recipe.map(Recipe::conduct).unwrap_or_default();
                self.store.audit_conduct(&policy, dataset).await?
            }
            Area::Privacy => {
                let detectors = privacy::detectors().context("a detector is wrong")?;
                match dataset {
                    Some(dataset) => self.store.audit_privacy_of(dataset, detectors).await?,
                    None => self.store.audit_privacy(detectors).await?,
                }
            }
        };
        Ok(match self.reviewed {
            Some(reviewed) => reviewed.policy(today()).apply(area, findings),
            None => findings,
        })
    }
}

/// Who may write in the work folder could otherwise change what was meant, and what was declared.
fn foreign_copy(area: Area) -> Finding {
    let message = "the intent and the declarations are those of a copy of the recipe that the ledger does not tell of";
    Finding::new(area, "recipe-changed", Level::Deny, message)
        .via(RECIPE_COPY)
        .help("run the recipe again, or name it: `limbeck audit RECIPE`")
}

/// The files in a folder, by path, size and SHA-256.
pub fn digests(folder: &Path) -> anyhow::Result<Vec<FileDigest>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    Ok(serde_json::from_value(ledgered::files(folder)?)?)
}
