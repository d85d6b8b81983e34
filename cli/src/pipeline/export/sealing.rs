//! What is written last into an export: its place in the ledger, and the signature over all of it.

use std::path::Path;

use anyhow::Context;
use limbeck_store::attestation::{CHECKPOINT, LEDGER, SIGNATURE, SIGNING_KEY, sign_model};
use limbeck_store::ledger::SecretKey;

use super::FILES;
use crate::pipeline::{Finished, Pipeline, StageDir, curate, train, write_whole};
use crate::{digests, signing};

impl Pipeline {
    /// Writes checkpoint, records and proofs, and signs the folder.
    ///
    /// After the record of the run, so that the checkpoint here is the one that the run leaves to be kept elsewhere.
    pub(super) async fn seal(
        &self,
        dir: &StageDir,
        curated: &Finished<curate::Outcome>,
        trained: &Finished<train::Outcome>,
    ) -> anyhow::Result<()> {
        let subjects = [
            ("export", dir.hash()),
            ("model", trained.dir.hash()),
            ("dataset", &curated.outcome.dataset),
            ("curation", curated.dir.hash()),
        ];
        let key = self.signer.as_ref().map(SecretKey::public);
        let evidence = self.store.ledger_evidence(&subjects, key.as_ref()).await?;
        let (checkpoint, evidence) = evidence
            .context("the ledger has no record of the export, the model or what it learned from")?;
        let folder = dir.join(FILES);
        let text = format!("{}\n", serde_json::to_string_pretty(&evidence)?);
        write_whole(&folder.join(LEDGER), text.as_bytes())?;
        write_whole(&folder.join(CHECKPOINT), checkpoint.as_bytes())?;
        let name = self.recipe.name().to_owned();
        tokio::task::spawn_blocking(move || sign(&folder, &name)).await?
    }
}

/// Signs the folder with the key whose public half lies in it, if there is one.
fn sign(folder: &Path, name: &str) -> anyhow::Result<()> {
    if !folder.join(SIGNING_KEY).exists() {
        return Ok(());
    }
    let key =
        signing::model::existing()?.context("the key that signs models was there and is gone")?;
    let signature = sign_model(name, &digests::of_folder(folder)?.files, &key)?;
    Ok(write_whole(&folder.join(SIGNATURE), signature.as_bytes())?)
}
