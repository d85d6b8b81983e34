//! What a recipe is going to use, as the audits of terms and of licences look at it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::civil::Date;
use limbeck_model::ModelFiles;
use limbeck_store::audit::{LicenseText, Licensed};
use limbeck_store::terms::{Collected, Origin, Registry};

use crate::progress::Progress;
use crate::progress::adapters::FetchBar;
use crate::recipe::{Init, Recipe, SourceTable, TeacherSection};
use crate::sources::{Cache, Source};

/// Names of files that hold licence texts beside a model.
const LICENSE_FILES: [&str; 4] = ["LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"];
/// A licence text is not longer than this; what is, is not read.
const MOST_TEXT: u64 = 1 << 20;

/// Everything that bears on the student.
#[derive(Default)]
pub(crate) struct Materials {
    /// Where answers would come from if they were asked for today.
    pub(crate) origins: Vec<Origin>,
    /// The models whose tokenizer or weights it takes.
    pub(crate) weights: Vec<Licensed>,
    /// The sources of prompts.
    pub(crate) prompts: Vec<Licensed>,
    /// Licence texts beside models.
    pub(crate) texts: Vec<LicenseText>,
    /// The families whose weights it takes.
    pub(crate) families: BTreeSet<String>,
    /// Local teachers that are not on this machine and say no licence.
    pub(crate) unseen: Vec<String>,
}

/// Looks at the recipe, and at those of its models that are on this machine. Nothing is downloaded.
pub(crate) async fn look(
    recipe: &Recipe,
    registry: &Registry,
    cache: &Cache,
    progress: &Progress,
    today: Date,
) -> anyhow::Result<Materials> {
    let mut materials = Materials::default();
    let student = recipe.student().ok();
    let taken: Vec<&str> = student
        .map(|student| student.teachers().collect())
        .unwrap_or_default();
    let embeddings = student.and_then(|student| match &student.init {
        Init::Embeddings(name) => Some(name.as_str()),
        Init::Scratch => None,
    });
    let asked: Vec<String> = recipe
        .harvest_teachers()
        .map(|teachers| {
            teachers
                .iter()
                .map(|teacher| teacher.name.clone())
                .collect()
        })
        .unwrap_or_default();
    for teacher in recipe.teachers() {
        let license = license_of(teacher, recipe, cache, progress, &mut materials).await;
        if asked.contains(&teacher.name) && recipe.harvest()?.prompts.is_some() {
            let origin = origin(teacher, license.clone(), today);
            materials.origins.push(origin);
        }
        if !taken.contains(&teacher.name.as_str()) {
            continue;
        }
        if embeddings == Some(&teacher.name) {
            let name = license.as_deref().unwrap_or_default();
            let record = registry.license(name, Collected::On(today));
            let family = record.and_then(|record| record.family.clone());
            materials.families.extend(family);
        }
        materials.weights.push(Licensed {
            name: teacher.model.clone(),
            license,
        });
    }
    for import in recipe.imports() {
        materials.origins.push(Origin {
            provider: import
                .provider
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
            route: "import".to_owned(),
            plan: None,
            region: None,
            endpoint: None,
            license: Some(import.license.clone()),
            model: import.answered_by(),
            collected: Collected::Until(today),
            answers: 0,
        });
    }
    if let Ok(harvest) = recipe.harvest()
        && let Some(prompts) = &harvest.prompts
    {
        materials.prompts.push(Licensed {
            name: prompts.source().to_owned(),
            license: prompts.license().map(str::to_owned),
        });
    }
    Ok(materials)
}

fn origin(teacher: &TeacherSection, license: Option<String>, today: Date) -> Origin {
    let endpoint = teacher
        .endpoints()
        .into_iter()
        .find_map(|endpoint| endpoint.base_url);
    Origin {
        provider: teacher.provider.clone(),
        route: if teacher.is_local() {
            "in-process"
        } else {
            "api"
        }
        .to_owned(),
        plan: teacher.plan.clone(),
        region: teacher.region.clone(),
        endpoint,
        license,
        model: teacher.model.clone(),
        collected: Collected::On(today),
        answers: 0,
    }
}

/// What the recipe says, or else the model's own file. Texts that lie beside a model are noted.
async fn license_of(
    teacher: &TeacherSection,
    recipe: &Recipe,
    cache: &Cache,
    progress: &Progress,
    materials: &mut Materials,
) -> Option<String> {
    if !teacher.is_local() {
        return teacher.license.clone();
    }
    let source = Source::parse(&teacher.model).ok()?;
    let bar = FetchBar::new(progress);
    let sha256 = teacher.sha256.as_deref();
    let file = cache.fetch(&source, sha256, recipe.folder(), &bar).await;
    let path = file.ok().map(|file| file.path);
    let own = path
        .as_deref()
        .and_then(|path| ModelFiles::open(path).ok())
        .and_then(|files| files.license);
    let license = teacher.license.clone().or(own);
    match (&path, &source) {
        (None, _) if license.is_none() => materials.unseen.push(teacher.name.clone()),
        (Some(path), Source::Path(_)) => {
            let beside = texts_beside(path, &teacher.name, license.as_deref());
            materials.texts.extend(beside);
        }
        _ => {}
    }
    license
}

fn texts_beside(model: &Path, teacher: &str, tag: Option<&str>) -> Vec<LicenseText> {
    let folder = if model.is_dir() {
        Some(model)
    } else {
        model.parent()
    };
    let files = LICENSE_FILES.iter().filter_map(|name| {
        let path = folder?.join(name);
        let is_short =
            fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= MOST_TEXT);
        let text = is_short.then(|| fs::read_to_string(&path).ok())??;
        Some(LicenseText {
            file: path.display().to_string(),
            text,
            beside: format!("model of `{teacher}`"),
            tag: tag.map(str::to_owned),
        })
    });
    files.collect()
}
