//! The decision table, the records that Limbeck comes with, and what must hold of every verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde::Deserialize;

use super::decide::flow_down;
use super::embedded::EMBEDDED;
use super::origin::Binding;
use super::*;

const TODAY: Date = date(2026, 11, 24);

/// A row of `decisions.csv`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableRow {
    case: String,
    provider: String,
    over: String,
    plan: Option<String>,
    region: Option<String>,
    model: String,
    licence: Option<String>,
    day: Date,
    uses: String,
    student: Option<String>,
    commercial: Option<String>,
    kind: Option<String>,
    weights: String,
    declares: String,
    verdict: String,
    duties: String,
}

fn words<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    text.split_whitespace()
        .map(|word| serde_json::from_value(word.into()).unwrap())
        .collect()
}

impl TableRow {
    fn origin(&self) -> Origin {
        Origin {
            provider: self.provider.clone(),
            route: self.over.clone(),
            plan: self.plan.clone(),
            region: self.region.clone(),
            endpoint: Some(self.over.clone()),
            license: self.licence.clone(),
            clarified: None,
            source: None,
            model: self.model.clone(),
            collected: if self.over == "import" {
                Collected::Until(self.day)
            } else {
                Collected::On(self.day)
            },
            answers: 1,
            recorded: None,
        }
    }

    fn intent(&self) -> Intent {
        Intent {
            uses: words(&self.uses).into_iter().collect(),
            student_license: self.student.clone(),
            commercial: self.commercial.as_ref().map(|said| said == "yes"),
            classifier: self.kind.as_deref() == Some("classifier"),
            derives_from: words(&self.weights).into_iter().collect(),
        }
    }

    fn declarations(&self, registry: &Registry) -> Vec<Declaration> {
        let Some((terms, says)) = self.declares.split_once(' ') else {
            return Vec::new();
        };
        let flaws: Vec<&str> = says
            .split(' ')
            .filter(|word| word.starts_with('!'))
            .collect();
        let says = says.split(" !").next().unwrap();
        let record = registry.record(terms).unwrap();
        let unless = |flaw: &str, text: &str| {
            if flaws.contains(&flaw) {
                String::new()
            } else {
                text.to_owned()
            }
        };
        vec![Declaration {
            terms: terms.to_owned(),
            says: words(says),
            reviewer: unless("!unsigned", "R. Viewer"),
            reason: unless("!unreasoned", "a small classifier of our own"),
            expires: if flaws.contains(&"!expired") {
                date(2026, 11, 23)
            } else {
                TODAY
            },
            terms_sha256: if flaws.contains(&"!stale") {
                "0".repeat(64)
            } else {
                record.digest()
            },
            signature: None,
        }]
    }

    fn decide(&self, registry: &Registry) -> Decision {
        let (origin, intent) = (self.origin(), self.intent());
        let declarations = self.declarations(registry);
        let mut decision = registry
            .judge(&origin, &intent, &declarations, TODAY)
            .decision;
        for binding in registry.bindings(&origin) {
            if let Binding::Record(record) = binding {
                let declared = registry.declared(record, &declarations, TODAY);
                let answers = Through::Answers;
                decision = decision.meet(flow_down(registry, record, answers, &intent, &declared));
            }
        }
        decision
    }
}

fn cases() -> Vec<TableRow> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .from_reader(include_bytes!("decisions.csv").as_slice());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn every_case_of_the_table_is_decided_as_it_says() {
    let registry = Registry::embedded().unwrap();
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let decision = case.decide(&registry);
        let duties: BTreeSet<&str> = decision
            .duties
            .iter()
            .map(|duty| duty.kind.name())
            .collect();
        let duties = duties.into_iter().collect::<Vec<_>>().join(" ");
        if (decision.verdict.name(), duties.as_str()) != (&case.verdict, &case.duties) {
            wrong.push(format!(
                "{}: {} [{duties}], expected {} [{}]: {:?}",
                case.case,
                decision.verdict.name(),
                case.verdict,
                case.duties,
                decision.reasons
            ));
        }
        // What is not permitted says why.
        assert_eq!(
            decision.reasons.is_empty(),
            decision.verdict.permits(),
            "{}",
            case.case
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_folder_is_embedded_and_named_after_its_record() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("terms");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let embedded: BTreeSet<String> = EMBEDDED
        .iter()
        .map(|(file, _)| (*file).to_owned())
        .collect();
    assert_eq!(embedded, files);
    for (file, text) in EMBEDDED {
        let record = TermsRecord::parse(file, text).unwrap();
        assert_eq!(*file, format!("{}.toml", record.id.to_lowercase()));
    }
}

#[test]
fn a_record_that_rests_on_what_others_say_names_no_source() {
    let registry = Registry::embedded().unwrap();
    for record in registry.records() {
        let is_secondary = record.basis == Basis::Secondary;
        assert_eq!(record.sources.is_empty(), is_secondary, "{}", record.id);
        for source in &record.sources {
            assert_eq!(
                source.commit.as_ref().map(String::len),
                Some(40),
                "{}",
                record.id
            );
        }
    }
}

fn malformed(text: &str) -> String {
    TermsRecord::parse("mine.toml", text)
        .unwrap_err()
        .to_string()
}

const MINE: &str = r#"
kind = "route"
id = "mine"
title = "Mine"
providers = ["openai"]
plan = "api"
class = "any"
basis = "secondary"
summary = "Mine."
"#;

#[test]
fn a_record_that_cannot_be_is_refused_with_file_and_key() {
    let unknown = malformed(&MINE.replace("class", "klass"));
    assert!(
        unknown.contains("`mine.toml`") && unknown.contains("klass"),
        "{unknown}"
    );
    let value = malformed(&MINE.replace("\"any\"", "\"everything\""));
    assert!(value.contains("everything"), "{value}");
    let primary = malformed(&MINE.replace("secondary", "primary"));
    assert!(
        primary.contains("`basis` is `primary`, but no clause has a digest"),
        "{primary}"
    );
    let provider = malformed(&MINE.replace("providers = [\"openai\"]", ""));
    assert!(provider.contains("`providers` is missing"), "{provider}");
    let day = malformed(&format!("{MINE}effective = \"2026-02-30\"\n"));
    assert!(day.contains("effective"), "{day}");
}

#[test]
fn two_records_for_one_route_and_day_are_refused() {
    let mut registry = Registry::embedded().unwrap();
    let same = format!("{MINE}effective = \"2026-01-01\"\n");
    let error = registry
        .add("mine.toml", TermsRecord::parse("mine.toml", &same).unwrap())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "two records of terms are for the same route `openai`, plan `api`, of 2026-01-01: `openai-api-2026-01-01.toml` and `mine.toml`"
    );
    let other = format!("{MINE}effective = \"2026-01-02\"\n");
    let other = TermsRecord::parse("mine.toml", &other).unwrap();
    registry.add("mine.toml", other.clone()).unwrap();
    let twice = registry.add("again.toml", other).unwrap_err();
    assert!(twice.to_string().contains("id `mine`"), "{twice}");
}

#[test]
fn a_record_for_a_region_goes_before_one_for_everywhere() {
    let mut registry = Registry::embedded().unwrap();
    let text = format!("{MINE}effective = \"2026-02-01\"\nregions = [\"eu\"]\n");
    registry
        .add("mine.toml", TermsRecord::parse("mine.toml", &text).unwrap())
        .unwrap();
    let on = |region| {
        let route = Route {
            provider: "openai",
            plan: None,
            region,
        };
        let record = registry.on_route(route, Collected::On(date(2026, 3, 1)));
        record.unwrap().id.as_str()
    };
    assert_eq!(on(Some("EU")), "mine");
    assert_eq!(on(Some("us")), "openai-api-2026-01-01");
    assert_eq!(on(None), "openai-api-2026-01-01");
}

#[test]
fn a_digest_does_not_change_with_our_wording_and_does_with_what_is_decided() {
    let registry = Registry::embedded().unwrap();
    let record = registry.record("openai-api-2026-01-01").unwrap();
    let mut reworded = record.clone();
    "In other words.".clone_into(&mut reworded.summary);
    assert_eq!(reworded.digest(), record.digest());
    let mut other = record.clone();
    other.class = Class::Any;
    assert_ne!(other.digest(), record.digest());
    let mut other = record.clone();
    other.sources[0].clauses[0].sha256 = "0".repeat(64);
    assert_ne!(other.digest(), record.digest());
}

#[test]
fn licences_are_known_by_their_text() {
    let registry = Registry::embedded().unwrap();
    let apache = include_str!("../../../LICENSE-APACHE");
    let mit = include_str!("../../../LICENSE-MIT");
    let known = |text: &str| {
        registry
            .license_of_text(text)
            .map(|record| record.id.as_str())
    };
    assert_eq!(known(apache), Some("Apache-2.0"));
    assert_eq!(known(mit), Some("MIT"));
    assert_eq!(known(&mit.replace("free of charge", "for a fee")), None);
    assert_eq!(known(""), None);
}

/// Any case of the table, with the intent and the declarations of the first.
fn judged(registry: &Registry, cases: &[&TableRow]) -> Decision {
    let intent = cases[0].intent();
    let mut declarations = BTreeMap::new();
    for case in cases {
        for declaration in case.declarations(registry) {
            declarations.insert(declaration.terms.clone(), declaration);
        }
    }
    let declarations: Vec<Declaration> = declarations.into_values().collect();
    let decisions = cases.iter().map(|case| {
        registry
            .judge(&case.origin(), &intent, &declarations, TODAY)
            .decision
    });
    decisions.fold(Decision::allow(), Decision::meet)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn another_trace_never_makes_a_verdict_more_permissive(
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 2..8),
    ) {
        let registry = Registry::embedded().unwrap();
        let cases = cases();
        let chosen: Vec<&TableRow> = chosen.iter().map(|index| index.get(&cases)).collect();
        // The declarations are the same with and without it.
        let all = judged(&registry, &chosen);
        let intent = chosen[0].intent();
        let mut declarations = BTreeMap::new();
        for declaration in chosen.iter().flat_map(|case| case.declarations(&registry)) {
            declarations.insert(declaration.terms.clone(), declaration);
        }
        let declarations: Vec<Declaration> = declarations.into_values().collect();
        let mut so_far = Decision::allow();
        for case in &chosen {
            let with = so_far.clone().meet(
                registry.judge(&case.origin(), &intent, &declarations, TODAY).decision,
            );
            prop_assert!(with.verdict >= so_far.verdict);
            prop_assert!(with.duties.is_superset(&so_far.duties));
            so_far = with;
        }
        prop_assert_eq!(so_far, all);
    }

    #[test]
    fn without_its_declarations_no_case_is_more_permissive(index in any::<prop::sample::Index>()) {
        let registry = Registry::embedded().unwrap();
        let cases = cases();
        let case = index.get(&cases);
        let bare = registry.judge(&case.origin(), &case.intent(), &[], TODAY);
        let declarations = case.declarations(&registry);
        let declared = registry.judge(&case.origin(), &case.intent(), &declarations, TODAY);
        prop_assert!(bare.decision.verdict >= declared.decision.verdict);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = TermsRecord::parse("any.toml", &text);
    }
}
