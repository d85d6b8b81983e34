//! `[audit]` and `[[waiver]]`.

use std::collections::BTreeSet;

use limbeck_store::audit::{CODES, Code, Rule, Waiver};
use limbeck_store::nearest;

use super::Checker;
use crate::recipe::AuditSection;

impl Checker<'_> {
    pub(super) fn audit(&mut self, audit: &AuditSection) {
        let mut seen = BTreeSet::new();
        for (account, keys) in &audit.accounts {
            for key in keys.iter().filter(|key| !seen.insert(*key)) {
                let message = format!("the key `{key}` is of another account too");
                self.wrong(format!("audit.accounts.{account}"), message);
            }
        }
        let mut ruled = BTreeSet::new();
        for (index, rule) in audit.rule.iter().enumerate() {
            self.rule(&format!("audit.rule.{index}"), rule);
            if !ruled.insert(&rule.code) {
                let message = format!("there is another rule for `{}`", rule.code);
                self.wrong(format!("audit.rule.{index}.code"), message);
            }
        }
    }

    fn rule(&mut self, at: &str, rule: &Rule) {
        self.signature(at, rule.signature.as_ref());
        if rule.reason.trim().is_empty() {
            self.wrong(format!("{at}.reason"), "a rule needs a reason");
        }
        let Some(code) = self.code(at, &rule.code) else {
            return;
        };
        if rule.level.level() < code.level && !code.can_be_lowered() {
            self.wrong_with_help(
                format!("{at}.level"),
                format!("`{}` cannot be made less grave", code.name),
                "it tells that something was tampered with, or that the recipe excepts too much; a `[[waiver]]` lets training and export go on, and is shown in what they make",
            );
        }
    }

    /// Whether they hold is for the audit to say: it changes with the day.
    pub(super) fn waivers(&mut self, waivers: &[Waiver]) {
        for (index, waiver) in waivers.iter().enumerate() {
            let at = format!("waiver.{index}");
            self.signature(&at, waiver.signature.as_ref());
            self.code(&at, &waiver.code);
        }
    }

    fn code(&mut self, at: &str, name: &str) -> Option<&'static Code> {
        let known = Code::named(name);
        if known.is_none() {
            let help = match nearest(name, CODES.iter().map(|code| code.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "docs/audit.md lists the codes".to_owned(),
            };
            let message = format!("no finding has the code `{name}`");
            self.wrong_with_help(format!("{at}.code"), message, help);
        }
        known
    }
}
