//! What terms and licences are judged by: what a recipe plans or a store holds, and the recipe's own words.

mod materials;
mod reviewed;
mod texts;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use limbeck_store::audit::{self, Area, Finding, RightsInput};
use limbeck_store::review::Signature;
use limbeck_store::terms::{Intent, Use};
use limbeck_store::{Clarified, ClarifiedAnswers, Store};

use crate::printer::{Printer, sanitize_line};
use crate::progress::{Progress, ProgressMode};
use crate::recipe::Recipe;
use crate::sources::Cache;

use materials::Looking;
pub use materials::Materials;
pub use reviewed::{CarriedWords, Reviewed};

/// With which key something is signed, as an addition to the name of the person.
pub fn signed_with(signature: Option<&Signature>) -> String {
    signature.map_or_else(
        || ", unsigned,".to_owned(),
        |signature| format!(" (`{}`)", sanitize_line(&signature.signer())),
    )
}

/// The day in UTC, as receipts tell it.
pub fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

/// What persons say of the licences of answers in the recipe, as far as it holds: for the receipts.
pub async fn clarifications(
    recipe: &Recipe,
    reviewed: &Reviewed,
    cache: &Cache,
    printer: &Printer,
) -> Vec<(ClarifiedAnswers, Clarified)> {
    let looking = Looking {
        recipe,
        reviewed,
        cache: cache.offline(),
        progress: Progress::new(ProgressMode::None, printer),
        today: today(),
    };
    looking.clarifications().await
}

/// Everything that terms and licences are judged by, read once.
pub struct Rights<'a> {
    recipe: &'a Recipe,
    /// What counts of what the recipe says in persons' names, and the records of terms.
    pub reviewed: Arc<Reviewed>,
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
        reviewed: Arc<Reviewed>,
        cache: &Cache,
        printer: &Printer,
    ) -> anyhow::Result<Self> {
        Self::read(recipe, reviewed, cache, printer, None).await
    }

    /// What the store holds: all answers, or those that `dataset` is made of, as their receipts tell.
    pub async fn held(
        recipe: &'a Recipe,
        reviewed: Arc<Reviewed>,
        cache: &Cache,
        printer: &Printer,
        store: &Store,
        dataset: Option<&str>,
    ) -> anyhow::Result<Self> {
        Self::read(recipe, reviewed, cache, printer, Some((store, dataset))).await
    }

    async fn read(
        recipe: &'a Recipe,
        reviewed: Arc<Reviewed>,
        cache: &Cache,
        printer: &Printer,
        held: Option<(&Store, Option<&str>)>,
    ) -> anyhow::Result<Self> {
        let today = today();
        let materials = {
            let looking = Looking {
                recipe,
                reviewed: &reviewed,
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
            reviewed,
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
            registry: &self.reviewed.registry,
            intent: &self.intent,
            declarations: &self.reviewed.declarations,
            student: self.recipe.name(),
            origins: &self.materials.origins,
            weights: &self.materials.weights,
            prompts: &self.materials.prompts,
            texts: &self.materials.texts,
            student_text: self.materials.student_text.as_ref(),
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
