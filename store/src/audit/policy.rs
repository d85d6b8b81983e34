//! What a recipe says about findings: exceptions and stricter levels by code, and waivers that let work go on.
//!
//! An exception changes how grave a finding is, for everybody who looks. A waiver changes nothing about the finding: it
//! is denied as before, but training and export go on, and what they make carries the waiver.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Area, Code, Finding, Level};
use crate::review::{Signable, Signature};

/// How grave a recipe wants findings of a code to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleLevel {
    /// Good to know, no more.
    Allow,
    /// To be looked at.
    Warn,
    /// Not to be done.
    Deny,
}

impl RuleLevel {
    /// The level that a finding gets.
    pub fn level(self) -> Level {
        match self {
            Self::Allow => Level::Note,
            Self::Warn => Level::Warning,
            Self::Deny => Level::Deny,
        }
    }
}

/// What a recipe says about all findings of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The code, such as `privacy::handle`.
    pub code: String,
    /// How grave they are.
    pub level: RuleLevel,
    /// Why.
    pub reason: String,
    /// The last day on which it holds; without one it holds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
    /// The signature of the person who answers for it; without it nothing that is denied is made less grave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// A person's word that work may go on although something is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The code of what is denied.
    pub code: String,
    /// Words of the finding's message or way, such as the id of a record; without them all findings of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Who answers for it, by name.
    #[serde(default)]
    pub reviewer: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The last day on which it holds.
    pub expires: Date,
    /// The reviewer's signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl Signable for Rule {
    const KIND: &'static str = "exception";

    fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }
}

impl Signable for Waiver {
    const KIND: &'static str = "waiver";

    fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    fn reviewer(&self) -> Option<&str> {
        Some(&self.reviewer)
    }
}

/// What a rule of the recipe made of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRule {
    /// How grave the finding was before.
    pub was: Level,
    /// Why, in the recipe's words.
    pub reason: String,
    /// The key of the person who answers for it, by name and id, where it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}

/// What a recipe says about findings, on a day.
#[derive(Debug, Clone, Copy)]
pub struct AuditPolicy<'a> {
    /// Every `[[audit.rule]]`, as far as its signature holds where it needs one.
    pub rules: &'a [Rule],
    /// Every `[[waiver]]` whose signature holds.
    pub waivers: &'a [Waiver],
    /// What is wrong with signatures of what the recipe says.
    pub signatures: &'a [Finding],
    /// The day of the audit.
    pub today: Date,
}

impl AuditPolicy<'_> {
    /// Applies rules and waivers to what was found in `area`, and says of those that do not hold or hold for nothing.
    pub fn apply(&self, area: Area, findings: Vec<Finding>) -> Vec<Finding> {
        let mut findings = findings;
        let signatures = self.signatures.iter();
        findings.extend(signatures.filter(|found| found.area == area).cloned());
        let mut more = Vec::new();
        let rules = self.rules.iter();
        for rule in rules.filter(|rule| is_of(&rule.code, area)) {
            more.extend(self.apply_rule(rule, &mut findings));
        }
        let waivers = self.waivers.iter();
        for waiver in waivers.filter(|waiver| is_of(&waiver.code, area)) {
            more.extend(self.apply_waiver(waiver, &mut findings));
        }
        findings.extend(more);
        super::gravest_first(findings)
    }

    fn apply_rule(&self, rule: &Rule, findings: &mut [Finding]) -> Option<Finding> {
        let code = Code::named(&rule.code)?;
        let found = |name: &str, level: Level, message: String| {
            Finding::new(code.area(), name, level, message)
                .via("recipe")
                .via("[[audit.rule]]")
        };
        if let Some(expires) = rule.expires.filter(|expires| *expires < self.today) {
            let message = format!(
                "what the recipe says about `{}` ended on {expires}",
                rule.code
            );
            return Some(
                found("exception-expired", Level::Deny, message)
                    .help("look at it again, and give it a new `expires` or take it out"),
            );
        }
        let mut is_used = false;
        for finding in findings
            .iter_mut()
            .filter(|finding| finding.code == rule.code)
        {
            let level = rule.level.level();
            // Nothing that is about tampering is made less grave, whatever the recipe says.
            if level < finding.level && !code.can_be_lowered() {
                continue;
            }
            is_used = true;
            if level != finding.level {
                finding.rule = Some(AppliedRule {
                    was: finding.level,
                    reason: rule.reason.clone(),
                    signer: rule.signature.as_ref().map(Signature::signer),
                });
                finding.level = level;
            }
        }
        // To be strict about what is not there is no exception.
        if is_used || rule.level == RuleLevel::Deny {
            return None;
        }
        let message = format!(
            "the recipe's exception for `{}` is about nothing that is here",
            rule.code
        );
        Some(found("exception-unused", Level::Warning, message).help("take it out of the recipe"))
    }

    fn apply_waiver(&self, waiver: &Waiver, findings: &mut [Finding]) -> Option<Finding> {
        let area = Code::named(&waiver.code)?.area();
        let found = |name: &str, level: Level, message: String| {
            Finding::new(area, name, level, message)
                .via("recipe")
                .via("[[waiver]]")
        };
        let about = &waiver.code;
        for (missing, what) in [
            (&waiver.reviewer, "nobody answers for the waiver"),
            (&waiver.reason, "no reason is given by the waiver"),
        ] {
            if missing.trim().is_empty() {
                let message = format!("{what} of `{about}`");
                return Some(
                    found("waiver-unsigned", Level::Deny, message)
                        .help("`reviewer` names the person who does, and `reason` says why"),
                );
            }
        }
        if waiver.expires < self.today {
            let message = format!("the waiver of `{about}` ended on {}", waiver.expires);
            return Some(
                found("waiver-expired", Level::Deny, message)
                    .help("have it reviewed again, and give it a new `expires`"),
            );
        }
        let mut is_used = false;
        for finding in findings.iter_mut() {
            if finding.level == Level::Deny && waiver.is_about(finding) {
                finding.waiver = Some(waiver.clone());
                is_used = true;
            }
        }
        if is_used {
            return None;
        }
        let message = format!("the waiver of `{about}` is about nothing that is denied");
        Some(found("waiver-unused", Level::Warning, message).help("take it out of the recipe"))
    }
}

impl Rule {
    /// Whether it makes less grave what is denied otherwise.
    pub fn lowers_a_denial(&self) -> bool {
        let is_denied = Code::named(&self.code).is_some_and(|code| code.level == Level::Deny);
        is_denied && self.level != RuleLevel::Deny
    }
}

impl Waiver {
    /// Whether a finding is what it is about.
    fn is_about(&self, finding: &Finding) -> bool {
        let Some(words) = &self.about else {
            return self.code == finding.code;
        };
        let told = std::iter::once(&finding.message).chain(&finding.path);
        self.code == finding.code && told.into_iter().any(|text| text.contains(words.as_str()))
    }
}

fn is_of(code: &str, area: Area) -> bool {
    Code::named(code).is_some_and(|code| code.area() == area)
}
