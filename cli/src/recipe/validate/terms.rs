//! `[intent]`, `[[terms]]`, `[[clarification]]` and `[[declaration]]`.

use limbeck_store::terms::{Declaration, Registry, TermsRecord};

use super::{Checker, nearest};
use crate::recipe::{Document, IntentSection};

impl Checker<'_> {
    /// Whether the licence is known is for the audit to say: records and the recipe's own texts decide.
    pub(super) fn intent(&mut self, intent: &IntentSection) {
        let license = intent.student_license.as_deref();
        if license.is_some_and(|license| license.trim().is_empty()) {
            self.wrong_with_help(
                "intent.student_license",
                "the student's licence is empty",
                "leave it out where there is none yet",
            );
        }
        let Some(text) = &intent.student_license_text else {
            return;
        };
        if license.is_none() {
            self.wrong_with_help(
                "intent.student_license_text",
                "the text of a licence that is not named",
                "say `student_license`; a licence that is on no list is called `LicenseRef-…`",
            );
        }
        self.source("intent.student_license_text.source", &text.source);
        self.sha256("intent.student_license_text.sha256", Some(&text.sha256));
    }

    pub(super) fn terms(&mut self, terms: &[TermsRecord]) {
        let mut registry = match Registry::embedded() {
            Ok(registry) => registry,
            Err(error) => return self.wrong("terms", error.to_string()),
        };
        for (index, record) in terms.iter().enumerate() {
            let at = format!("terms.{index}");
            self.signature(&at, record.signature.as_ref());
            if let Err(error) = registry.add(&record.id, record.clone()) {
                match error.hint() {
                    Some(hint) => self.wrong_with_help(at, error.to_string(), hint),
                    None => self.wrong(at, error.to_string()),
                }
            }
        }
    }

    /// Whether they hold is for the audit to say; that they are about something is for the recipe.
    pub(super) fn clarifications(&mut self, document: &Document) {
        let mut about: Vec<&str> = self.teachers.clone();
        let prompts = document
            .harvest
            .as_ref()
            .and_then(|harvest| harvest.prompts.as_ref());
        about.extend(prompts.map(|prompts| prompts.source.as_str()));
        about.extend(document.import.iter().map(|import| import.source.as_str()));
        for (index, clarification) in document.clarification.iter().enumerate() {
            let at = |key: &str| format!("clarification.{index}.{key}");
            let of = clarification.of.as_str();
            if !about.contains(&of) {
                let message =
                    format!("there is no teacher `{of}`, and no prompts or import of this source");
                let help = match nearest(of, about.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there is `{}`", about.join("`, `")),
                };
                self.wrong_with_help(at("of"), message, help);
            }
            self.source(&at("text"), &clarification.text);
            self.sha256(&at("sha256"), Some(&clarification.sha256));
            let at = format!("clarification.{index}");
            self.signature(&at, clarification.signature.as_ref());
        }
    }

    /// Whether they hold is for the audit to say: it changes with the day.
    pub(super) fn declarations(&mut self, declarations: &[Declaration]) {
        for (index, declaration) in declarations.iter().enumerate() {
            let at = |key: &str| format!("declaration.{index}.{key}");
            if declaration.says.is_empty() {
                self.wrong_with_help(
                    at("says"),
                    "a declaration that says nothing",
                    "it says one or more of `not-competing`, `authorised`, `research` and `reviewed`",
                );
            }
            self.sha256(&at("terms_sha256"), Some(&declaration.terms_sha256));
            let at = format!("declaration.{index}");
            self.signature(&at, declaration.signature.as_ref());
        }
    }
}
