//! What a stage made, noted in the ledger: so that the chain runs from a file back to the requests.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use limbeck_store::NotedKind;
use serde_json::{Value, json};

use super::{Pipeline, StageDir, write_whole};
use crate::sources::digest_of_file;

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
}

impl Pipeline {
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
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let listed = list(&next).with_context(|| format!("cannot read `{}`", next.display()))?;
        for path in listed {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    let described = found.iter().map(|path| {
        let (sha256, bytes) = digest_of_file(path)?;
        let name = path.strip_prefix(folder).unwrap_or(path);
        // With slashes everywhere, so that the record does not depend on the system.
        let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        Ok(json!({"path": name.join("/"), "bytes": bytes, "sha256": sha256}))
    });
    described.collect::<anyhow::Result<_>>().map(Value::Array)
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn files_are_described_by_path_and_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/c"), "abc").unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            files(folder.path()).unwrap(),
            json!([
                {"path": "a", "bytes": 0, "sha256": empty},
                {"path": "b/c", "bytes": 3, "sha256": abc},
            ])
        );
        assert!(files(&folder.path().join("none")).is_err());
    }
}
