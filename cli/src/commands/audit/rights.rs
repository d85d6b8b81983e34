//! The areas of terms and licences: what a store holds, judged by the recipe's records, declarations and intent.

use limbeck_store::audit::{self, Area, Finding, Level, RightsInput};
use limbeck_store::terms::{Intent, Use};

use super::target::Target;
use crate::args::GlobalArgs;
use crate::commands::stage::cache_dir;
use crate::printer::Printer;
use crate::progress::{Progress, ProgressMode};
use crate::recipe::Recipe;
use crate::rights::{Looking, Materials, Reviewed, today};
use crate::sources::Cache;

/// Everything that both areas are judged by, read once.
pub(super) struct Rights<'a> {
    recipe: &'a Recipe,
    reviewed: &'a Reviewed,
    materials: Materials,
    pub(super) intent: Intent,
    is_foreign_copy: bool,
}

impl<'a> Rights<'a> {
    /// Reads what the store of `target` holds. `uses` stand for those of the recipe, if there are any.
    pub(super) async fn read(
        target: &'a Target,
        reviewed: &'a Reviewed,
        uses: &[Use],
        global: &GlobalArgs,
        printer: &Printer,
    ) -> anyhow::Result<Self> {
        let recipe = target.needed_recipe()?;
        let cache = Cache::new(cache_dir(global)?, true);
        let progress = Progress::new(ProgressMode::None, printer);
        let looking = Looking {
            recipe,
            reviewed,
            cache,
            progress,
            today: today(),
        };
        let materials = looking.held(&target.store, None).await?;
        let mut intent = recipe.meant(materials.families.clone());
        if !uses.is_empty() {
            intent.uses = uses.iter().copied().collect();
        }
        Ok(Self {
            recipe,
            reviewed,
            materials,
            intent,
            is_foreign_copy: target.is_foreign_copy,
        })
    }

    /// What is found in `area`, which is one of the two.
    pub(super) fn findings(&self, area: Area) -> Vec<Finding> {
        let input = RightsInput {
            registry: &self.reviewed.registry,
            intent: &self.intent,
            declarations: &self.reviewed.declarations,
            student: self.recipe.name(),
            origins: &self.materials.origins,
            weights: &self.materials.weights,
            prompts: &self.materials.prompts,
            texts: &self.materials.texts,
            tags: &self.materials.tags,
            today: today(),
        };
        let mut findings = if area == Area::Terms {
            audit::terms(&input)
        } else {
            let mut licences = audit::licences(&input);
            licences.extend(self.materials.findings.iter().cloned());
            licences
        };
        if self.is_foreign_copy {
            findings.insert(0, foreign_copy(area));
        }
        findings
    }
}

/// Who may write in the work folder could otherwise change what was meant, and what was declared.
fn foreign_copy(area: Area) -> Finding {
    let message = "the intent and the declarations are those of a copy of the recipe that the ledger does not tell of";
    Finding::new(area, "recipe-changed", Level::Deny, message)
        .via(crate::pipeline::kept_recipe::RECIPE_COPY)
        .help("run the recipe again, or name it: `limbeck audit RECIPE`")
}
