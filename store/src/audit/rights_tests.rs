//! The audits of terms and of licences, each finding provoked and each near miss silent.

mod table;

use std::collections::BTreeSet;

use jiff::civil::{Date, date};

use super::{Finding, Level, LicenseText, Licensed, RightsInput, licences, terms};
use crate::terms::{Collected, Declaration, Intent, Origin, Registry, Statement, TermsRecord, Use};

const TODAY: Date = date(2026, 11, 24);

/// Everything that an audit reads, owned.
struct Case {
    registry: Registry,
    intent: Intent,
    declarations: Vec<Declaration>,
    student: String,
    origins: Vec<Origin>,
    weights: Vec<Licensed>,
    prompts: Vec<Licensed>,
    texts: Vec<LicenseText>,
    student_text: Option<LicenseText>,
}

impl Case {
    /// A student of Apache weights under Apache, for everybody.
    fn new() -> Self {
        Self {
            registry: Registry::embedded().unwrap(),
            intent: Intent {
                uses: BTreeSet::from([Use::Train, Use::ReleaseModel]),
                student_license: Some("apache-2.0".to_owned()),
                commercial: Some(true),
                classifier: false,
                derives_from: BTreeSet::new(),
            },
            declarations: Vec::new(),
            student: "tiny".to_owned(),
            origins: vec![origin("local", "smollm2", Some("apache-2.0"))],
            weights: Vec::new(),
            prompts: Vec::new(),
            texts: Vec::new(),
            student_text: None,
        }
    }

    fn input(&self) -> RightsInput<'_> {
        RightsInput {
            registry: &self.registry,
            intent: &self.intent,
            declarations: &self.declarations,
            student: &self.student,
            origins: &self.origins,
            weights: &self.weights,
            prompts: &self.prompts,
            texts: &self.texts,
            student_text: self.student_text.as_ref(),
            tags: &[],
            today: TODAY,
        }
    }

    fn terms(&self) -> Vec<String> {
        codes(&terms(&self.input()))
    }

    fn licences(&self) -> Vec<String> {
        codes(&licences(&self.input()))
    }

    fn declare(&mut self, about: &str, says: Statement) -> &mut Declaration {
        let record = self.registry.record(about).unwrap();
        self.declarations.push(Declaration {
            terms: about.to_owned(),
            says: vec![says],
            reviewer: "R. Viewer".to_owned(),
            reason: "it sorts our own mail".to_owned(),
            expires: date(2027, 1, 1),
            terms_sha256: record.digest(),
            signature: None,
        });
        self.declarations.last_mut().unwrap()
    }
}

fn codes(findings: &[Finding]) -> Vec<String> {
    let told = findings.iter().filter(|found| found.level > Level::Note);
    told.map(|found| format!("{} {}", found.level.name(), found.code))
        .collect()
}

fn origin(provider: &str, model: &str, license: Option<&str>) -> Origin {
    Origin {
        provider: provider.to_owned(),
        route: "in-process".to_owned(),
        plan: None,
        region: None,
        endpoint: None,
        license: license.map(str::to_owned),
        clarified: None,
        source: None,
        model: model.to_owned(),
        collected: Collected::On(date(2026, 6, 1)),
        answers: 10,
        recorded: None,
    }
}

fn licensed(name: &str, license: Option<&str>) -> Licensed {
    Licensed {
        name: name.to_owned(),
        license: license.map(str::to_owned),
        clarified: None,
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let case = Case::new();
    assert_eq!(case.terms(), [""; 0]);
    assert_eq!(case.licences(), [""; 0]);
}

#[test]
fn terms_that_deny_and_terms_that_nobody_knows_are_told_apart() {
    let mut case = Case::new();
    case.origins = vec![origin("xai", "grok-4", None), origin("acme", "a-1", None)];
    assert_eq!(case.terms(), ["deny terms::denied", "deny terms::unknown"]);
    let found = terms(&case.input());
    let denied = found.iter().find(|found| found.code == "terms::denied");
    assert_eq!(
        denied.unwrap().path,
        [
            "student `tiny`",
            "10 answers of `grok-4`",
            "route `xai` over `in-process`",
            "terms `xai-enterprise-2026-05-12`"
        ]
    );
}

#[test]
fn a_declaration_that_is_missing_names_what_to_write_and_helps_once_it_is_there() {
    let mut case = Case::new();
    case.origins = vec![origin("openai", "gpt-4o-mini", None)];
    assert_eq!(case.terms(), ["deny terms::declaration-missing"]);
    let help = terms(&case.input())[0].help.clone().unwrap();
    let record = case.registry.record("openai-api-2026-01-01").unwrap();
    assert!(help.contains("says = [\"not-competing\"]"), "{help}");
    assert!(help.contains(&record.digest()), "{help}");
    case.declare("openai-api-2026-01-01", Statement::NotCompeting);
    assert_eq!(case.terms(), [""; 0]);
}

#[test]
fn a_declaration_that_does_not_hold_is_told_and_helps_nothing() {
    type Spoil = fn(&mut Declaration);
    let spoils: [(Spoil, &str); 5] = [
        (|d| d.expires = date(2026, 11, 23), "declaration-expired"),
        (|d| d.reviewer.clear(), "declaration-unsigned"),
        (|d| " ".clone_into(&mut d.reason), "declaration-unsigned"),
        (|d| d.terms_sha256 = "0".repeat(64), "declaration-stale"),
        (|d| "gone".clone_into(&mut d.terms), "declaration-stale"),
    ];
    for (spoil, code) in spoils {
        let mut case = Case::new();
        case.origins = vec![origin("openai", "gpt-4o-mini", None)];
        spoil(case.declare("openai-api-2026-01-01", Statement::NotCompeting));
        let mut expected = ["declaration-missing", code].map(|code| format!("deny terms::{code}"));
        expected.sort();
        assert_eq!(case.terms(), expected);
    }
}

#[test]
fn a_declaration_about_nothing_is_told() {
    let mut case = Case::new();
    case.declare("openai-api-2026-01-01", Statement::NotCompeting);
    assert_eq!(case.terms(), ["warning terms::declaration-unused"]);
    case.prompts = vec![licensed("rows", Some("cc-by-4.0"))];
    case.declarations.clear();
    case.declare("CC-BY-4.0", Statement::Reviewed);
    assert_eq!(case.terms(), [""; 0]);
}

#[test]
fn terms_that_have_tightened_since_are_told_and_do_not_deny() {
    let mut case = Case::new();
    let later = r#"
        kind = "route"
        id = "deepseek-later"
        title = "A later text"
        providers = ["deepseek"]
        plan = "api"
        class = "forbidden"
        effective = "2026-10-01"
        basis = "secondary"
        summary = "Made up for a test."
    "#;
    let later = TermsRecord::parse("later.toml", later).unwrap();
    case.registry.add("later.toml", later).unwrap();
    case.origins = vec![origin("deepseek", "deepseek-chat", None)];
    assert_eq!(case.terms(), ["warning terms::tightened"]);
    case.origins[0].collected = Collected::On(date(2026, 10, 1));
    assert_eq!(case.terms(), ["deny terms::denied"]);
}

#[test]
fn receipts_that_name_other_terms_than_the_registry_are_told() {
    let mut case = Case::new();
    let known = case.registry.in_force(&case.origins[0]);
    assert_eq!(known.len(), 1);
    case.origins[0].recorded = Some(known.clone());
    assert_eq!(case.terms(), [""; 0]);
    let mut corrected = known.clone();
    corrected[0].sha256 = "0".repeat(64);
    let mut other = known;
    other[0].id = "MIT".to_owned();
    for (recorded, says) in [
        (corrected, "says something else today"),
        (other, "name as the terms in force `MIT`"),
        (Vec::new(), "name as the terms in force none"),
    ] {
        case.origins[0].recorded = Some(recorded);
        assert_eq!(case.terms(), ["warning terms::recorded-otherwise"]);
        let findings = terms(&case.input());
        assert!(
            findings[0].message.contains(says),
            "{}",
            findings[0].message
        );
    }
}

#[test]
fn of_a_licence_expression_the_intent_chooses_and_both_sides_of_and_bind() {
    let mut case = Case::new();
    case.origins = vec![origin("local", "m", Some("CC-BY-NC-4.0 OR Apache-2.0"))];
    assert_eq!(case.terms(), [""; 0]);
    assert_eq!(case.licences(), [""; 0]);
    assert_eq!(case.registry.in_force(&case.origins[0]).len(), 2);
    case.origins = vec![origin("local", "m", Some("Apache-2.0 AND CC-BY-NC-4.0"))];
    assert_eq!(case.terms(), ["deny terms::denied"]);
    case.origins = vec![origin("local", "m", Some("Apache-2.0 AND Zlib"))];
    assert_eq!(case.terms(), ["deny terms::unknown"]);
    case.origins = vec![origin("local", "m", Some("Apache-2.0 WITH LLVM-exception"))];
    case.prompts = vec![Licensed {
        name: "messages".to_owned(),
        license: Some("CC-BY-SA-4.0 OR MIT".to_owned()),
        clarified: None,
    }];
    case.texts = vec![LicenseText {
        file: "LICENSE".to_owned(),
        text: "a text that no record knows".to_owned(),
        beside: "model".to_owned(),
        tag: Some("MIT OR Apache-2.0".to_owned()),
    }];
    assert_eq!(case.terms(), [""; 0]);
    assert_eq!(case.licences(), ["warning licences::text-unknown"]);
    case.prompts[0].license = Some("MIT AND Zlib".to_owned());
    assert_eq!(
        case.licences(),
        ["deny licences::unknown", "warning licences::text-unknown"]
    );
}

#[test]
fn answers_of_days_to_come_are_told() {
    let mut case = Case::new();
    case.origins[0].collected = Collected::On(date(2026, 11, 25));
    assert_eq!(case.terms(), [""; 0], "other time zones");
    case.origins[0].collected = Collected::On(date(2026, 11, 26));
    assert_eq!(case.terms(), ["deny terms::clock"]);
}

#[test]
fn a_name_that_must_begin_in_some_way_does() {
    let mut case = Case::new();
    case.origins = vec![origin("local", "llama-3.1-8b", Some("llama3.1"))];
    assert_eq!(case.licences(), ["deny licences::naming"]);
    case.student = "Llama-tiny".to_owned();
    assert_eq!(case.licences(), [""; 0]);
    let found = licences(&case.input());
    let owed: Vec<&str> = found.iter().map(|duty| duty.message.as_str()).collect();
    assert!(
        owed.iter().any(|duty| duty.contains("Built with Llama")),
        "{owed:?}"
    );
}

#[test]
fn what_has_to_go_on_with_the_student_needs_room_in_its_licence() {
    let mut case = Case::new();
    case.origins = vec![origin("local", "gemma-3-1b", Some("gemma"))];
    assert_eq!(case.licences(), ["deny licences::flow-down"]);
    case.intent.student_license = Some("gemma".to_owned());
    assert_eq!(case.licences(), [""; 0]);
    case.origins = vec![origin("local", "smollm2", Some("apache-2.0"))];
    case.weights = vec![licensed("llama", Some("llama3.2"))];
    case.student = "Llama-tiny".to_owned();
    assert_eq!(case.licences(), ["deny licences::flow-down"]);
    case.weights = vec![licensed("smollm2", Some("apache-2.0"))];
    assert_eq!(case.licences(), [""; 0]);
}

#[test]
fn weights_need_a_licence_and_prompts_are_asked_for_theirs() {
    let mut case = Case::new();
    case.weights = vec![licensed("mystery", None), licensed("other", Some("other"))];
    case.prompts = vec![licensed("rows.jsonl", None)];
    assert_eq!(
        case.licences(),
        [
            "deny licences::undeclared",
            "deny licences::undeclared",
            "deny licences::unknown"
        ]
    );
    case.weights.clear();
    case.prompts = vec![licensed("rows.jsonl", Some("cc-by-nc-4.0"))];
    assert_eq!(case.licences(), ["deny licences::denied"]);
    case.intent.commercial = Some(false);
    assert_eq!(case.licences(), [""; 0]);
}

#[test]
fn the_students_own_licence_is_said_and_known() {
    let mut case = Case::new();
    case.intent.student_license = None;
    assert_eq!(case.licences(), ["deny licences::student-unlicensed"]);
    let unknown = "deny licences::student-license-unknown";
    for (license, found) in [
        ("whatever-1.0", unknown),
        ("NOASSERTION", unknown),
        ("", unknown),
        ("MIT OR whatever-1.0", unknown),
        ("LicenseRef-acme", unknown),
        ("Zlib", "warning licences::student-license-unrecorded"),
    ] {
        case.intent.student_license = Some(license.to_owned());
        assert_eq!(case.licences(), [found], "{license}");
        case.intent.uses = BTreeSet::from([Use::Train]);
        assert_eq!(case.licences(), [found], "{license}, kept at home");
        case.intent.uses.insert(Use::ReleaseModel);
    }
    case.intent.student_license = Some("apach-2.0".to_owned());
    let found = licences(&case.input());
    let help = found[0].help.as_deref().unwrap();
    assert!(help.contains("did you mean `Apache-2.0`?"), "{help}");
}

#[test]
fn a_licence_of_ones_own_is_known_by_its_text() {
    let mut case = Case::new();
    case.intent.student_license = Some("LicenseRef-acme".to_owned());
    let text = |text: &str| LicenseText {
        file: "acme.txt".to_owned(),
        text: text.to_owned(),
        beside: "student `tiny`".to_owned(),
        tag: Some("LicenseRef-acme".to_owned()),
    };
    case.student_text = Some(text("You may run it."));
    assert_eq!(case.licences(), [""; 0]);
    // The text of a licence that is known is not one's own.
    case.student_text = Some(text(include_str!("../../../LICENSE-MIT")));
    assert_eq!(case.licences(), ["deny licences::tag-disagrees"]);
    // A text makes no name of one that is none, and takes nothing from what has to go on with the student.
    case.student_text = Some(text("You may run it."));
    case.intent.student_license = Some("acme".to_owned());
    assert_eq!(case.licences(), ["deny licences::student-license-unknown"]);
    case.intent.student_license = Some("LicenseRef-acme".to_owned());
    case.origins = vec![origin("local", "gemma-3-1b", Some("gemma"))];
    assert_eq!(case.licences(), ["deny licences::flow-down"]);
}

#[test]
fn a_tag_that_disagrees_with_the_text_beside_it_is_told() {
    let mut case = Case::new();
    let text = |tag: Option<&str>, text: &str| LicenseText {
        file: "models/LICENSE".to_owned(),
        text: text.to_owned(),
        beside: "weights of `m`".to_owned(),
        tag: tag.map(str::to_owned),
    };
    let mit = include_str!("../../../LICENSE-MIT");
    case.texts = vec![text(Some("mit"), mit)];
    assert_eq!(case.licences(), [""; 0]);
    case.texts = vec![text(Some("apache-2.0"), mit)];
    assert_eq!(case.licences(), ["deny licences::tag-disagrees"]);
    case.texts = vec![text(Some("mit"), "You may do nothing.")];
    assert_eq!(case.licences(), ["warning licences::text-unknown"]);
    case.texts = vec![text(None, mit)];
    assert_eq!(case.licences(), [""; 0]);
}

#[test]
fn days_on_which_the_same_holds_are_told_as_one() {
    let mut case = Case::new();
    let mut days: Vec<Origin> = (1..=9)
        .map(|day| {
            let mut origin = origin("openai", "gpt-4o-mini", None);
            origin.collected = Collected::On(date(2026, 6, day));
            origin
        })
        .collect();
    days.push(days[0].clone());
    days[0].collected = Collected::On(date(2025, 6, 1));
    case.origins = days;
    let found = terms(&case.input());
    let missing = found.iter().filter(|found| found.code.ends_with("missing"));
    let answers: Vec<&str> = missing.map(|found| found.path[1].as_str()).collect();
    assert_eq!(
        answers,
        ["10 answers of `gpt-4o-mini`", "90 answers of `gpt-4o-mini`"]
    );
}
