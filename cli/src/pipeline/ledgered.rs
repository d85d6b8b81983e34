//! What a stage made, noted in the ledger: so that the chain runs from a file back to the requests.

use std::path::Path;

use limbeck_store::NotedKind;
use serde_json::{Value, json};

use super::{Pipeline, StageDir, write_whole};
use crate::digests;

/// The file of a work folder that holds the newest checkpoint.
const CHECKPOINT: &str = "checkpoint.txt";

impl Pipeline {
    /// Notes the files in the folder `of` of a stage by their SHA-256, with what else `made_from` says of them.
    pub(super) async fn note_files(
        &self,
        kind: NotedKind,
        dir: &StageDir,
        of: &str,
        made_from: Value,
    ) -> anyhow::Result<()> {
        let folder = dir.join(of);
        let files = tokio::task::spawn_blocking(move || files(&folder)).await??;
        let mut fields = made_from;
        fields["files"] = files;
        Ok(self.store.note_in_ledger(kind, dir.hash(), fields).await?)
    }

    /// Writes the ledger's newest checkpoint beside the store, from where it is to be kept elsewhere.
    pub(super) async fn write_checkpoint(&self) -> anyhow::Result<()> {
        if let Some(newest) = self.store.latest_checkpoint().await? {
            write_whole(&self.work.path().join(CHECKPOINT), newest.note.as_bytes())?;
        }
        Ok(())
    }
}

/// The files in a folder and in those in it, by their paths in it: size and SHA-256 of each.
pub fn files(folder: &Path) -> anyhow::Result<Value> {
    Ok(json!(digests::of_folder(folder)?.files))
}
