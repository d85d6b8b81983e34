//! `[[terms]]` and `[[declaration]]`.

use limbeck_store::terms::{Declaration, Registry, TermsRecord};

use super::Checker;

impl Checker<'_> {
    pub(super) fn terms(&mut self, terms: &[TermsRecord]) {
        let mut registry = match Registry::embedded() {
            Ok(registry) => registry,
            Err(error) => return self.wrong("terms", error.to_string()),
        };
        for (index, record) in terms.iter().enumerate() {
            let at = format!("terms.{index}");
            if let Err(error) = registry.add(&record.id, record.clone()) {
                match error.hint() {
                    Some(hint) => self.wrong_with_help(at, error.to_string(), hint),
                    None => self.wrong(at, error.to_string()),
                }
            }
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
        }
    }
}
