//! The teacher of a recipe, loaded.

use std::sync::Arc;

use limbeck_model::{ModelFiles, Precision};
use limbeck_teacher::{LocalOptions, LocalTeacher, Teacher};
use serde::{Deserialize, Serialize};

use super::Pipeline;

/// What reports and model cards say of a teacher.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// Its name in the recipe.
    pub name: String,
    /// The model, as the recipe names it.
    pub model: String,
    /// Of its file, in hex.
    pub sha256: String,
    /// Size of its file.
    pub bytes: u64,
    /// Its weights, in numbers.
    pub parameters: u64,
    /// Its licence, as the recipe or else its file tells it.
    pub license: Option<String>,
}

/// A teacher that can be asked.
pub struct Loaded {
    /// What it is.
    pub facts: Facts,
    teacher: Arc<LocalTeacher>,
}

impl Loaded {
    /// To ask it.
    pub fn asked(&self) -> Arc<dyn Teacher> {
        self.teacher.clone()
    }

    /// What its answers are kept under.
    pub fn key(&self) -> String {
        self.teacher.identity().key()
    }
}

impl Pipeline {
    /// Loads the teacher that is asked.
    pub(super) async fn load_teacher(&self) -> anyhow::Result<Loaded> {
        let section = self.recipe.harvest_teacher()?;
        let (_, file) = self.material().await?.teacher(self)?;
        let (path, section, file) = (file.path.clone(), section.clone(), file.clone());
        let bar = self.progress.stage("load", None, "model");
        bar.message(section.name.clone());
        let loaded = tokio::task::spawn_blocking(move || -> anyhow::Result<Loaded> {
            let files = ModelFiles::open(&path)?;
            let facts = Facts {
                name: section.name.clone(),
                model: section.model.clone(),
                sha256: file.sha256.clone(),
                bytes: file.bytes,
                parameters: files.config.parameter_count() as u64,
                license: section.license.clone().or(files.license),
            };
            let options = LocalOptions {
                name: section.name,
                model: section.model,
                sha256: Some(file.sha256),
                license: facts.license.clone(),
                concurrent: section.limits.concurrent as usize,
                precision: Precision::Auto,
            };
            let teacher = Arc::new(LocalTeacher::load(&path, options)?);
            Ok(Loaded { facts, teacher })
        })
        .await??;
        bar.finish(format!(
            "{} M parameters",
            loaded.facts.parameters / 1_000_000
        ));
        Ok(loaded)
    }
}
