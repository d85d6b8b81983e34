//! What a recipe says for the records of terms: its own ones, what persons declare, and what is meant to be done.

use std::collections::BTreeSet;

use limbeck_store::audit::Clarification;
use limbeck_store::identity::{canonical_json, sha256_hex};
use limbeck_store::review::{ClarifiedThing, Purpose};
use limbeck_store::terms::{Declaration, Intent, Registry, TermsError, TermsRecord, Use};
use serde_json::json;

use super::Recipe;
use crate::sources::shown;

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
            student_license_sha256: self
                .intent()
                .student_license_text
                .as_ref()
                .map(|text| text.sha256.to_ascii_lowercase()),
            commercial: intent.commercial,
        }
    }

    /// A clarification as it is signed, and what it has to be signed for: the very thing that it is about. Neither tells
    /// where files lie on this machine.
    pub fn clarified(&self, clarification: &Clarification) -> (Clarification, ClarifiedThing) {
        let teacher = self.teacher(&clarification.of).ok();
        let model = teacher.map(|teacher| teacher.model.as_str());
        let written = canonical_json(&json!([clarification.of, clarification.text, model]));
        let thing = ClarifiedThing {
            recipe: self.name().to_owned(),
            model: model.map(shown),
            sha256: teacher.and_then(|teacher| teacher.sha256.clone()),
            written_sha256: sha256_hex(written.as_bytes()),
        };
        let signed = Clarification {
            of: shown(&clarification.of),
            text: shown(&clarification.text),
            ..clarification.clone()
        };
        (signed, thing)
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
