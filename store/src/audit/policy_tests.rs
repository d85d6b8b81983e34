//! What a recipe says about findings, applied to some.

use jiff::civil::Date;

use super::{Area, AuditPolicy, Code, Finding, Level, Rule, RuleLevel, Waiver};

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
        signature: None,
    }
}

fn waiver(code: &str, about: Option<&str>, expires: &str) -> Waiver {
    Waiver {
        code: code.to_owned(),
        about: about.map(str::to_owned),
        reviewer: "R. Viewer".to_owned(),
        reason: "it stays here".to_owned(),
        expires: day(expires),
        signature: None,
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
        signatures: &[],
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
            signatures: &[],
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
