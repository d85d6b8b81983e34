//! What an audit is about: a recipe, a work folder, or a folder with a model.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use limbeck_store::Store;
use limbeck_store::audit::{Area, Lineage};
use limbeck_store::identity::sha256_hex;
use limbeck_store::nearest;

use crate::auditing::digests;
use crate::pipeline::kept_recipe::RECIPE_COPY;
use crate::printer::{WithHint, sanitize_line};
use crate::recipe::Recipe;

const STORE: &str = "limbeck.db";

/// Areas, and what is looked at, as the command line names them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) areas: Vec<Area>,
    pub(super) target: Option<PathBuf>,
}

impl Words {
    /// Takes apart `AREA… TARGET`. Without an area all are meant.
    pub(super) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut parsed = Self::default();
        for (place, word) in words.iter().enumerate() {
            if let Some(area) = Area::ALL.into_iter().find(|area| area.name() == word) {
                parsed.areas.push(area);
                continue;
            }
            if place + 1 == words.len() && Path::new(word).exists() {
                parsed.target = Some(PathBuf::from(word));
                continue;
            }
            let shown = sanitize_line(word);
            let names = Area::ALL.map(Area::name);
            let hint = match nearest(word, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "the areas are `{}`; what is looked at comes last",
                    names.join("`, `")
                ),
            };
            return Err(anyhow::anyhow!(
                "`{shown}` is no area, and no recipe, work folder or model folder that is here"
            ))
            .hint(hint);
        }
        if parsed.areas.is_empty() {
            parsed.areas = Area::ALL.to_vec();
        }
        parsed.areas.sort_unstable();
        parsed.areas.dedup();
        Ok(parsed)
    }
}

/// What is looked at.
pub(super) struct Target {
    pub(super) workdir: PathBuf,
    pub(super) store: Store,
    /// What was meant: the recipe that was named, or else the copy that the run keeps.
    pub(super) recipe: Option<Recipe>,
    /// SHA-256 of that copy, where there is one.
    pub(super) copy: Option<String>,
    /// Whether the recipe is a copy that the ledger does not tell of.
    pub(super) is_foreign_copy: bool,
    /// A model that is looked at by itself.
    pub(super) model: Option<PathBuf>,
    /// What it came by, where the ledger tells of it.
    pub(super) lineage: Option<Lineage>,
}

impl Target {
    /// Finds the work folder, opens its store for reading, and reads the recipe.
    pub(super) async fn open(path: Option<&Path>, workdir: Option<&Path>) -> anyhow::Result<Self> {
        let named = Named::of(path, workdir)?;
        let store = Store::open_read_only(&named.workdir.join(STORE)).await?;
        let copy_path = named.workdir.join(RECIPE_COPY);
        let copy = match std::fs::read(&copy_path) {
            Ok(bytes) => Some(sha256_hex(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read `{}`", copy_path.display()));
            }
        };
        let mut target = Self {
            workdir: named.workdir,
            store,
            recipe: named.recipe,
            copy,
            is_foreign_copy: false,
            model: named.model,
            lineage: None,
        };
        if let Some(folder) = &target.model {
            target.lineage = target.store.lineage_of(&digests(folder)?).await?;
        }
        if target.recipe.is_none() && target.copy.is_some() {
            let noted = target.store.ledger_entries("recipe").await?.pop();
            let folder = noted.as_ref().map(|noted| &noted.record["folder"]);
            let folder = folder
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            let folder = target.workdir.join(folder);
            target.recipe = Some(Recipe::load_copy(&copy_path, &folder)?);
            target.is_foreign_copy = noted.map(|noted| noted.subject) != target.copy;
        }
        Ok(target)
    }

    /// Whether these areas can be judged. Those that ask what went into a model cannot where nothing is known of it;
    /// together with provenance, which denies such a model, they are held to the whole store.
    pub(super) fn can_be_judged(&self, areas: &[Area]) -> anyhow::Result<()> {
        let is_unknown = self.model.is_some() && self.lineage.is_none();
        let of_model = |area: &Area| !matches!(area, Area::Provenance | Area::Integrity);
        if !is_unknown || areas.contains(&Area::Provenance) || !areas.iter().any(of_model) {
            return Ok(());
        }
        let model = self.model.as_deref().unwrap_or(&self.workdir).display();
        let workdir = self.workdir.display();
        Err(anyhow::anyhow!(
            "the store in `{workdir}` does not tell what the model in `{model}` learned from"
        ))
        .hint("look at `provenance` as well, or name the work folder of the run that made it with `--workdir`")
    }

    /// The recipe, which the areas of terms and licences cannot do without.
    pub(super) fn needed_recipe(&self) -> anyhow::Result<&Recipe> {
        let workdir = self.workdir.display();
        self.recipe
            .as_ref()
            .with_context(|| {
                format!(
                    "`{workdir}` keeps no copy of its recipe, and without what is meant to be done terms and licences cannot be judged"
                )
            })
            .hint(format!("name the recipe: `limbeck audit RECIPE --workdir {workdir}`"))
    }
}

/// What the command line names, without having looked into it.
struct Named {
    workdir: PathBuf,
    recipe: Option<Recipe>,
    model: Option<PathBuf>,
}

impl Named {
    fn of(path: Option<&Path>, workdir: Option<&Path>) -> anyhow::Result<Self> {
        let given = workdir.map(Path::to_owned);
        let Some(path) = path else {
            let workdir = given
                .context("nothing is named that could be looked at")
                .hint(
                    "name a recipe, a work folder or a model folder: `limbeck audit runs/my-task`",
                )?;
            return Ok(Self {
                workdir,
                recipe: None,
                model: None,
            });
        };
        if path.is_file() {
            let recipe = Recipe::load(path)?;
            let workdir = given.unwrap_or_else(|| Path::new("runs").join(recipe.name()));
            return Ok(Self {
                workdir,
                recipe: Some(recipe),
                model: None,
            });
        }
        if path.join(STORE).exists() {
            if let Some(given) = given.filter(|given| given != path) {
                bail!(
                    "`{}` is a work folder, and `--workdir` names another, `{}`",
                    path.display(),
                    given.display()
                );
            }
            return Ok(Self {
                workdir: path.to_owned(),
                recipe: None,
                model: None,
            });
        }
        if !holds_a_model(path) {
            bail!(
                "`{}` is no recipe, no work folder (there is no `{STORE}` in it) and no model folder (there are no weights in it)",
                path.display()
            );
        }
        let workdir = given
            .or_else(|| work_folder_above(path))
            .with_context(|| format!("`{}` is in no work folder", path.display()))
            .hint("name the work folder of the run that made it with `--workdir`")?;
        Ok(Self {
            workdir,
            recipe: None,
            model: Some(path.to_owned()),
        })
    }
}

fn holds_a_model(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| {
        let path = file.path();
        let ending = path.extension().unwrap_or_default();
        ending == "safetensors" || ending == "gguf"
    })
}

/// The work folder that a folder of a stage, or a link to one, lies in.
fn work_folder_above(folder: &Path) -> Option<PathBuf> {
    let whole = folder.canonicalize().ok()?;
    let above = whole.ancestors().skip(1);
    above
        .map(Path::to_owned)
        .find(|above| above.join(STORE).exists())
}
