//! What a recipe says for the records of terms: its own ones, what persons declare, and what is meant to be done.

use std::collections::BTreeSet;

use limbeck_store::audit::Clarification;
use limbeck_store::review::Purpose;
use limbeck_store::terms::{Declaration, Intent, Registry, TermsError, TermsRecord, Use};
use serde::Serialize;

use super::Recipe;

/// What a clarification is about, beside what it says itself.
#[derive(Debug, Serialize)]
pub struct Clarified<'a> {
    recipe: &'a str,
    model: Option<&'a str>,
    sha256: Option<&'a str>,
}

impl Recipe {
    /// The records that Limbeck comes with, and those of every `[[terms]]`, signed or not.
    pub fn registry(&self) -> Result<Registry, TermsError> {
        let mut registry = Registry::embedded()?;
        let file = self.path().display().to_string();
        for record in &self.document.terms {
            registry.add(&file, record.clone())?;
        }
        Ok(registry)
    }

    /// Everything that the recipe itself says of rights: what persons declare, clarify and waive, what it makes of findings, and
    /// records of its own.
    pub fn said_of_rights(&self) -> impl serde::Serialize {
        (
            &self.document.declaration,
            &self.document.clarification,
            &self.document.terms,
            &self.document.audit,
            &self.document.waiver,
        )
    }

    /// Whether both say the same, signatures aside.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let unsigned = |recipe: &Self| {
            let mut document = recipe.document.clone();
            for record in &mut document.terms {
                record.signature = None;
            }
            for declaration in &mut document.declaration {
                declaration.signature = None;
            }
            for clarification in &mut document.clarification {
                clarification.signature = None;
            }
            for rule in &mut document.audit.rule {
                rule.signature = None;
            }
            for waiver in &mut document.waiver {
                waiver.signature = None;
            }
            document
        };
        unsigned(self) == unsigned(other)
    }

    /// Every `[[terms]]`.
    pub fn own_records(&self) -> &[TermsRecord] {
        &self.document.terms
    }

    /// Every `[[declaration]]`, signed or not.
    pub fn declarations(&self) -> &[Declaration] {
        &self.document.declaration
    }

    /// Every `[[clarification]]`, signed or not.
    pub fn clarifications(&self) -> &[Clarification] {
        &self.document.clarification
    }

    /// What declarations, exceptions and waivers have to be signed for: this recipe with its intent. `uses` are meant
    /// instead of those of the recipe, where they go beyond them.
    pub fn purpose(&self, uses: &[Use]) -> Purpose {
        let intent = self.meant(BTreeSet::new());
        let own = intent.uses();
        let goes_beyond = uses.iter().any(|usage| !own.contains(usage));
        Purpose {
            recipe: self.name().to_owned(),
            uses: if goes_beyond {
                uses.iter().copied().collect()
            } else {
                own
            },
            student_license: intent.student_license,
            commercial: intent.commercial,
        }
    }

    /// What a clarification has to be signed for: the very thing that it is about.
    pub fn clarified<'a>(&'a self, clarification: &Clarification) -> Clarified<'a> {
        let teacher = self.teacher(&clarification.of).ok();
        Clarified {
            recipe: self.name(),
            model: teacher.map(|teacher| teacher.model.as_str()),
            sha256: teacher.and_then(|teacher| teacher.sha256.as_deref()),
        }
    }

    /// `[intent]` as the records of terms look at it. `derives_from` are the families whose weights the student takes.
    pub fn meant(&self, derives_from: BTreeSet<String>) -> Intent {
        let intent = self.intent();
        let harvest = self.document.harvest.as_ref();
        Intent {
            uses: intent.uses.iter().copied().collect(),
            student_license: intent.student_license.clone(),
            commercial: intent.commercial,
            classifier: harvest.is_some_and(|harvest| harvest.choices.is_some()),
            derives_from,
        }
    }
}
