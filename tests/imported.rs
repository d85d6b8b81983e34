//! Recipes that learn from answers which were asked for elsewhere.

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::store::Sql;

const IMPORT: &str = r#"[[import]]
source = "answers.jsonl"
format = "messages"
from = "example.org/answers"
license = "cc-by-4.0"
model = "elsewhere-1"

[harvest]
"#;

fn row(question: &str, answer: &str) -> Value {
    json!({"messages": [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]})
}

/// A recipe that imports labels: the tiny model lends its tokenizer and is asked nothing.
fn labels(answers: &[Value]) -> Project {
    let project = Project::choices(0);
    project.rows("answers.jsonl", answers);
    project.import(IMPORT);
    project
}

/// Nobody says who gave the answers, so a person has to answer for the licence that they are said to be under.
pub(crate) fn declare(project: &Project) {
    let show = ["terms", "show", "cc-by-4.0", "--json"];
    let record = project.limbeck().args(show).run().succeeds().json();
    let declaration = format!(
        "[[declaration]]\nterms = {}\nsays = [\"reviewed\"]\nreviewer = \"R. Viewer\"\nreason = \"we read where they come from\"\nexpires = \"9999-01-01\"\nterms_sha256 = {}\n\n[harvest]\n",
        record["id"], record["terms_sha256"]
    );
    project.edit("[harvest]\n", &declaration);
    project.sign();
}

fn run(project: &Project) -> Value {
    declare(project);

    project.stage("run").run().succeeds();
    project.report()
}

fn count(project: &Project, query: &'static str) -> i64 {
    Sql::open(&project.work("limbeck.db")).number(query)
}

fn forty() -> Vec<Value> {
    let label = |i: usize| {
        if i.is_multiple_of(2) {
            "Positive"
        } else {
            "negative"
        }
    };
    (0..40)
        .map(|i| {
            row(
                &format!("the {i}th thing was {}", ["fine", "bad"][i % 2]),
                label(i),
            )
        })
        .collect()
}

#[test]
fn a_recipe_learns_labels_from_a_file_and_asks_nobody() {
    let mut rows = forty();
    rows.push(row("what is this", "I cannot tell"));
    let project = labels(&rows);
    let report = run(&project);
    assert_eq!(report["harvest"]["asked"], 0);
    assert_eq!(report["harvest"]["traces"], 41);
    assert_eq!(report["harvest"]["imported"], 41);
    assert_eq!(report["harvest"]["reused"], 0);
    assert_eq!(report["harvest"]["teacher"]["model"], "elsewhere-1");
    assert_eq!(report["harvest"]["source"]["license"], "cc-by-4.0");
    assert_eq!(
        (&report["curate"]["kept"], &report["curate"]["dropped"]),
        (&json!(40), &json!(1))
    );
    let suite = &report["evaluate"]["suites"][0];
    assert!(
        suite["teacher"].is_null() && suite["agreement"].is_null(),
        "{suite}"
    );
    assert_eq!(suite["n"], 12);
    assert_eq!(report["export"].as_array().map(Vec::len), Some(2));

    project.stage("run").run().succeeds();
    let again = project.report();
    assert_eq!(again["harvest"]["traces"], 41);
    let stored = count(&project, "SELECT count(*) FROM traces");
    assert_eq!(stored, 41, "a second run doubles nothing");
    let receipts = count(
        &project,
        "SELECT count(*) FROM receipts WHERE route = 'import'",
    );
    assert_eq!(receipts, 41);
}

#[test]
fn a_recipe_learns_texts_from_a_file_and_is_scored_on_what_the_suite_expects() {
    let project = Project::chat(0);
    let rows: Vec<Value> = (0..30)
        .map(|i| {
            row(
                &format!("Tell me: about the {i}th garden"),
                "It is green. It is small.",
            )
        })
        .collect();
    project.rows("answers.jsonl", &rows);
    project.import(IMPORT);
    project.edit(
        "cross_entropy = 0.5, forward_kl = 0.5",
        "cross_entropy = 1.0",
    );
    let report = run(&project);
    let suites = report["evaluate"]["suites"].as_array().unwrap();
    assert_eq!(suites[0]["n"], 12, "every row has an expected answer");
    assert!(suites.iter().all(|suite| suite["teacher"].is_null()));
}

#[test]
fn what_is_in_a_suite_is_not_learnt_from_a_file() {
    let rows = forty();
    let project = labels(&rows);
    project.rows(
        "suite.jsonl",
        &[json!({"text": "the 3th thing was bad", "expected": "negative"})],
    );
    project.stage("harvest").run().succeeds();
    assert_eq!(count(&project, "SELECT count(*) FROM traces"), 39);
}

#[test]
fn candidates_that_nobody_kept_are_not_learnt_from() {
    let project = Project::chat(0);
    project.rows("answers.jsonl", &forty());
    project.import(IMPORT);
    let failed = project.stage("harvest").run().exits(2);
    failed.says(["imported answers have none"]);
}

#[test]
fn a_recipe_with_neither_prompts_nor_answers_says_so() {
    let project = Project::choices(2);
    project.edit(
        "prompts = { source = \"prompts.jsonl\", license = \"cc0-1.0\", exclude_near = false }\n",
        "",
    );
    let failed = project.stage("harvest").run().exits(2);
    failed.says(["missing key `prompts`", "[[import]]"]);
}

#[test]
fn a_strict_run_imports_nothing_from_a_file_with_a_malformed_row() {
    let mut rows = forty();
    rows.push(json!({"messages": "nonsense"}));
    let project = labels(&rows);
    let failed = project.stage("harvest").arg("--strict").run().exits(2);
    failed.says(["row 41", "no list"]);
    assert_eq!(count(&project, "SELECT count(*) FROM traces"), 0);
    let told = project.stage("harvest").run().succeeds();
    told.says(["row 41", "left out"]);
    assert_eq!(count(&project, "SELECT count(*) FROM traces"), 40);
}

#[test]
fn an_estimate_says_that_nobody_is_asked() {
    let project = labels(&forty());
    let told = project.stage("harvest").arg("--dry-run").run().succeeds();
    assert!(told.stdout.contains("nobody is asked"), "{}", told.stdout);
}
