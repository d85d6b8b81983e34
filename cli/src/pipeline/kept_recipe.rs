//! The copy of the recipe that a run keeps, so that an audit of the work folder knows what was meant.

use std::fs;
use std::path::{Component, Path, PathBuf};

use limbeck_store::NotedKind;
use limbeck_store::identity::sha256_hex;
use serde_json::json;

use super::{Pipeline, write_whole};

/// The file of a work folder that holds the copy; not the name of anybody's own recipe, which must not be written over.
pub const RECIPE_COPY: &str = "recipe-as-run.toml";

impl Pipeline {
    /// Keeps the recipe as it is now, and notes its digest in the ledger where that is new.
    pub(super) async fn keep_recipe(&self) -> anyhow::Result<()> {
        let text = self.recipe.text();
        let path = self.work.path().join(RECIPE_COPY);
        let is_kept = fs::read(&path).is_ok_and(|kept| kept == text.as_bytes());
        if !is_kept {
            write_whole(&path, text.as_bytes())?;
        }
        let sha256 = sha256_hex(text.as_bytes());
        let folder = way_to(self.work.path(), self.recipe.folder());
        let fields = json!({"name": self.recipe.name(), "folder": folder});
        let last = self.store.ledger_entries("recipe").await?.pop();
        let is_noted = last.is_some_and(|last| {
            last.subject == sha256 && last.record["folder"] == fields["folder"]
        });
        if !is_noted {
            self.store
                .note_in_ledger(NotedKind::Recipe, &sha256, fields)
                .await?;
        }
        Ok(())
    }
}

/// How one gets from one folder to another, so that both can be moved together.
fn way_to(from: &Path, to: &Path) -> String {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (from, to) = (whole(from), whole(to));
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(from, to)| from == to)
        .count();
    let mut way = PathBuf::new();
    for _ in from.components().skip(shared) {
        way.push(Component::ParentDir);
    }
    way.extend(to.components().skip(shared));
    way.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_way_leads_up_to_what_is_shared_and_down_again() {
        let folder = tempfile::tempdir().unwrap();
        let (run, recipe) = (
            folder.path().join("runs/a"),
            folder.path().join("recipes/b"),
        );
        for path in [&run, &recipe] {
            fs::create_dir_all(path).unwrap();
        }
        assert_eq!(way_to(&run, &recipe), "../../recipes/b");
        assert_eq!(way_to(&run, &run), "");
        assert_eq!(way_to(folder.path(), &run), "runs/a");
    }
}
