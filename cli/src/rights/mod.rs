//! What terms and licences are judged by: what a recipe plans or a store holds, and the recipe's own words.

mod materials;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use limbeck_store::audit::{self, Area, Finding, RightsInput};
use limbeck_store::terms::{Intent, Registry, Use};
use limbeck_store::{Clarified, ClarifiedAnswers, Store};

use crate::printer::Printer;
use crate::progress::{Progress, ProgressMode};
use crate::recipe::Recipe;
use crate::sources::Cache;

use materials::Looking;
pub use materials::Materials;

/// The day in UTC, as receipts tell it.
pub fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

/// What persons say of the licences of answers in the recipe, as far as it holds: for the receipts.
pub async fn clarifications(
    recipe: &Recipe,
    cache: &Cache,
    printer: &Printer,
) -> anyhow::Result<Vec<(ClarifiedAnswers, Clarified)>> {
    let registry = recipe.registry()?;
    let looking = Looking {
        recipe,
        registry: &registry,
        cache: cache.offline(),
        progress: Progress::new(ProgressMode::None, printer),
        today: today(),
    };
    Ok(looking.clarifications().await)
}

/// Everything that terms and licences are judged by, read once.
pub struct Rights<'a> {
    recipe: &'a Recipe,
    /// All records of terms.
    pub registry: Registry,
    /// What bears on the student.
    pub materials: Materials,
    /// What is meant to be done.
    pub intent: Intent,
    /// The day that it is judged on.
    pub today: Date,
}

impl<'a> Rights<'a> {
    /// What the recipe is going to use: answers as if they were asked for today.
    pub async fn planned(
        recipe: &'a Recipe,
        cache: &Cache,
        printer: &Printer,
    ) -> anyhow::Result<Self> {
        Self::read(recipe, cache, printer, None).await
    }

    /// What the store holds: all answers, or those that `dataset` is made of, as their receipts tell.
    pub async fn held(
        recipe: &'a Recipe,
        cache: &Cache,
        printer: &Printer,
        store: &Store,
        dataset: Option<&str>,
    ) -> anyhow::Result<Self> {
        Self::read(recipe, cache, printer, Some((store, dataset))).await
    }

    async fn read(
        recipe: &'a Recipe,
        cache: &Cache,
        printer: &Printer,
        held: Option<(&Store, Option<&str>)>,
    ) -> anyhow::Result<Self> {
        let (registry, today) = (recipe.registry()?, today());
        let materials = {
            let looking = Looking {
                recipe,
                registry: &registry,
                cache: cache.offline(),
                progress: Progress::new(ProgressMode::None, printer),
                today,
            };
            match held {
                None => looking.planned().await?,
                Some((store, dataset)) => looking.held(store, dataset).await?,
            }
        };
        Ok(Self {
            recipe,
            intent: recipe.meant(materials.families.clone()),
            registry,
            materials,
            today,
        })
    }

    /// Judges other uses than those of the recipe, if there are any.
    #[must_use]
    pub fn for_uses(mut self, uses: &[Use]) -> Self {
        if !uses.is_empty() {
            self.intent.uses = uses.iter().copied().collect();
        }
        self
    }

    /// What the store judges by.
    pub fn input(&self) -> RightsInput<'_> {
        RightsInput {
            registry: &self.registry,
            intent: &self.intent,
            declarations: self.recipe.declarations(),
            student: self.recipe.name(),
            origins: &self.materials.origins,
            weights: &self.materials.weights,
            prompts: &self.materials.prompts,
            texts: &self.materials.texts,
            tags: &self.materials.tags,
            today: self.today,
        }
    }

    /// What is found in `area`; nothing in another than terms and licences.
    pub fn findings(&self, area: Area) -> Vec<Finding> {
        match area {
            Area::Terms => audit::terms(&self.input()),
            Area::Licences => {
                let mut licences = audit::licences(&self.input());
                licences.extend(self.materials.findings.iter().cloned());
                licences
            }
            _ => Vec::new(),
        }
    }
}
