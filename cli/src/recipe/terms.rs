//! What a recipe says for the records of terms: its own ones, what persons declare, and what is meant to be done.

use std::collections::BTreeSet;

use limbeck_store::audit::Clarification;
use limbeck_store::terms::{Declaration, Intent, Registry, TermsError};

use super::Recipe;

impl Recipe {
    /// The records that Limbeck comes with, and those of every `[[terms]]`.
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

    /// Every `[[declaration]]`.
    pub fn declarations(&self) -> &[Declaration] {
        &self.document.declaration
    }

    /// Every `[[clarification]]`.
    pub fn clarifications(&self) -> &[Clarification] {
        &self.document.clarification
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
