//! What a recipe says about findings: exceptions and stricter levels by code, and waivers that let work go on.
//!
//! An exception changes how grave a finding is, for everybody who looks. A waiver changes nothing about the finding: it
//! is denied as before, but training and export go on, and what they make carries the waiver.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Area, Code, Finding, Level};

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
}

/// What a rule of the recipe made of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRule {
    /// How grave the finding was before.
    pub was: Level,
    /// Why, in the recipe's words.
    pub reason: String,
}

/// What a recipe says about findings, on a day.
#[derive(Debug, Clone, Copy)]
pub struct AuditPolicy<'a> {
    /// Every `[[audit.rule]]`.
    pub rules: &'a [Rule],
    /// Every `[[waiver]]`.
    pub waivers: &'a [Waiver],
    /// The day of the audit.
    pub today: Date,
}

impl AuditPolicy<'_> {
    /// Applies rules and waivers to what was found in `area`, and says of those that do not hold or hold for nothing.
    pub fn apply(&self, area: Area, findings: Vec<Finding>) -> Vec<Finding> {
        let mut findings = findings;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn finding(code: &str, level: Level, message: &str) -> Finding {
        let (_, name) = code.split_once("::").unwrap();
        Finding::new(Code::named(code).unwrap().area(), name, level, message)
    }

    fn rule(code: &str, level: RuleLevel, expires: Option<&str>) -> Rule {
        Rule {
            code: code.to_owned(),
            level,
            reason: "looked at".to_owned(),
            expires: expires.map(day),
        }
    }

    fn waiver(code: &str, about: Option<&str>, expires: &str) -> Waiver {
        Waiver {
            code: code.to_owned(),
            about: about.map(str::to_owned),
            reviewer: "R. Viewer".to_owned(),
            reason: "it stays here".to_owned(),
            expires: day(expires),
        }
    }

    fn apply(
        area: Area,
        found: Vec<Finding>,
        rules: &[Rule],
        waivers: &[Waiver],
    ) -> Vec<(String, Level)> {
        let policy = AuditPolicy {
            rules,
            waivers,
            today: day("2026-11-24"),
        };
        let applied = policy.apply(area, found).into_iter();
        applied.map(|f| (f.code, f.level)).collect()
    }

    #[test]
    fn a_rule_changes_the_level_of_its_code_alone_until_its_last_day() {
        let found = || {
            vec![
                finding("privacy::email", Level::Warning, "one"),
                finding("privacy::link", Level::Warning, "two"),
            ]
        };
        let of = |rules: &[Rule]| apply(Area::Privacy, found(), rules, &[]);
        let code = |name: &str, level| (name.to_owned(), level);
        let allowed = of(&[rule("privacy::email", RuleLevel::Allow, Some("2026-11-24"))]);
        assert_eq!(
            allowed,
            [
                code("privacy::link", Level::Warning),
                code("privacy::email", Level::Note)
            ]
        );
        let denied = of(&[rule("privacy::email", RuleLevel::Deny, None)]);
        assert_eq!(denied[0], code("privacy::email", Level::Deny));
        let expired = of(&[rule("privacy::email", RuleLevel::Allow, Some("2026-11-23"))]);
        assert_eq!(expired[0], code("privacy::exception-expired", Level::Deny));
        assert_eq!(expired[1], code("privacy::email", Level::Warning));
    }

    #[test]
    fn an_exception_that_matches_nothing_is_told_where_its_area_was_looked_at() {
        let rules = [rule("privacy::email", RuleLevel::Allow, None)];
        let told = apply(Area::Privacy, Vec::new(), &rules, &[]);
        assert_eq!(
            told,
            [("privacy::exception-unused".to_owned(), Level::Warning)]
        );
        assert_eq!(apply(Area::Terms, Vec::new(), &rules, &[]), []);
        let strict = [rule("privacy::email", RuleLevel::Deny, None)];
        assert_eq!(apply(Area::Privacy, Vec::new(), &strict, &[]), []);
    }

    #[test]
    fn tampering_is_denied_whatever_the_recipe_says() {
        let found = vec![finding("integrity::order", Level::Deny, "moved")];
        let rules = [rule("integrity::order", RuleLevel::Allow, None)];
        let told = apply(Area::Integrity, found, &rules, &[]);
        assert_eq!(told[0], ("integrity::order".to_owned(), Level::Deny));
        assert_eq!(
            told[1],
            ("integrity::exception-unused".to_owned(), Level::Warning)
        );
    }

    #[test]
    fn a_waiver_marks_what_it_is_about_and_leaves_it_denied() {
        let found = || {
            vec![
                finding("terms::denied", Level::Deny, "`a` forbids it"),
                finding("terms::denied", Level::Deny, "`b` forbids it"),
            ]
        };
        let policy = |waivers: &[Waiver]| {
            let policy = AuditPolicy {
                rules: &[],
                waivers,
                today: day("2026-11-24"),
            };
            policy.apply(Area::Terms, found())
        };
        let waived = |found: &[Finding]| found.iter().filter(|f| f.waiver.is_some()).count();
        let narrow = policy(&[waiver("terms::denied", Some("`a`"), "2026-11-24")]);
        assert_eq!((waived(&narrow), narrow.len()), (1, 2));
        assert!(narrow.iter().all(|finding| finding.level == Level::Deny));
        assert_eq!(
            waived(&policy(&[waiver("terms::denied", None, "2026-11-24")])),
            2
        );

        let code = |waiver: Waiver| {
            policy(&[waiver])
                .into_iter()
                .map(|f| f.code)
                .collect::<Vec<_>>()
        };
        let denied = ["terms::denied"; 2];
        let with = |code: &'static str| [denied.as_slice(), &[code]].concat();
        assert_eq!(
            code(waiver("terms::denied", None, "2026-11-23")),
            with("terms::waiver-expired")
        );
        assert_eq!(
            code(waiver("terms::unknown", None, "2027-01-01")),
            with("terms::waiver-unused")
        );
        for key in ["reviewer", "reason"] {
            let mut unsigned = waiver("terms::denied", None, "2027-01-01");
            if key == "reviewer" {
                unsigned.reviewer.clear();
            } else {
                unsigned.reason = " ".to_owned();
            }
            assert_eq!(code(unsigned), with("terms::waiver-unsigned"));
        }
    }
}
