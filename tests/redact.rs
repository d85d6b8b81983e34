//! Recipes that have personal data replaced before anything is asked or learned.

use std::fs;

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::store::{Sql, contents};

const REDACT: &str =
    "[redact]\nreplace = [\"handle\", \"link\", \"email\", \"number\"]\n\n[harvest]\n";

/// Labels of messages with a handle, a link, an address and a number in every other one.
fn messages() -> Project {
    let project = Project::choices(0);
    let text = |i: usize| match i % 2 {
        0 => format!("@person{i} my {i}th parcel is late, order 5550{i:03} https://t.example/{i}"),
        _ => format!("the {i}th parcel is here, thanks, bo{i}@example.com"),
    };
    let rows: Vec<Value> = (0..30).map(|i| json!({"text": text(i)})).collect();
    project.rows("prompts.jsonl", &rows);
    let suite: Vec<Value> = (0..8)
        .map(|i| {
            let (word, label) = [("good", "positive"), ("bad", "negative")][i % 2];
            json!({"text": format!("@else{i} the {i}th {word} suite message"), "expected": label})
        })
        .collect();
    project.rows("suite.jsonl", &suite);
    project.edit("[harvest]\n", REDACT);
    project
}

fn replaced(report: &Value, stage: &str) -> Vec<(String, u64, u64)> {
    let of = report[stage]["replaced"].as_array().unwrap().iter();
    of.map(|one| {
        let number = |key: &str| one[key].as_u64().unwrap();
        assert_eq!(one["version"], 1);
        let name = one["detector"].as_str().unwrap().to_owned();
        (name, number("matches"), number("items"))
    })
    .collect()
}

fn found(name: &str, matches: u64, items: u64) -> (String, u64, u64) {
    (name.to_owned(), matches, items)
}

#[test]
fn what_is_asked_kept_learned_and_measured_is_redacted() {
    let project = messages();
    project.stage("run").run().succeeds();
    let report = project.report();
    assert_eq!(
        replaced(&report, "harvest"),
        [
            found("email", 15, 15),
            found("handle", 15, 15),
            found("link", 15, 15),
            found("number", 15, 15)
        ]
    );
    // Nothing was left to replace.
    assert!(replaced(&report, "curate").iter().all(|one| one.1 == 0));
    let store = contents(&project.work("limbeck.db"));
    assert_eq!(store.prompts.len(), 38);
    for [body, input, ..] in store.prompts.values() {
        for text in [body, input] {
            assert!(
                !text.contains('@') && !text.contains("http") && !text.contains("5550"),
                "{text}"
            );
        }
    }
    let inputs: Vec<&str> = store.dataset.iter().map(|row| row.1.as_str()).collect();
    assert!(
        inputs.contains(&"[handle] my 2th parcel is late, order [number] [link]"),
        "{inputs:?}"
    );
    let suite = report["evaluate"]["suites"][0].clone();
    let notes = suite["notes"].to_string();
    assert!(notes.contains("replaced in 8 rows"), "{notes}");
    let shown = report["samples"].to_string();
    assert!(
        shown.contains("[handle]") && !shown.contains("@else"),
        "{shown}"
    );
    // The labels are as they were, and people's labels too.
    assert_eq!(suite["n"], 8);
    assert!(store.traces.values().all(|trace| trace.choices.len() == 2));
    let audit = project
        .limbeck()
        .args(["audit", "privacy", "--workdir", "work"])
        .run()
        .succeeds();
    assert!(
        audit.stdout.contains("privacy: nothing found"),
        "{}",
        audit.stdout
    );
    let manifest =
        Sql::open(&project.work("limbeck.db")).texts::<1>("SELECT redaction FROM datasets");
    assert!(
        manifest[0][0].contains("\"detector\":\"handle\",\"version\":1"),
        "{manifest:?}"
    );
}

#[test]
fn another_list_of_detectors_asks_anew_and_the_same_does_not() {
    let project = messages();
    project.stage("curate").run().succeeds();
    let stages = project.stages();
    let again = project.stage("curate").run().succeeds();
    assert!(
        again.stderr.contains("harvest: done before"),
        "{}",
        again.stderr
    );
    assert_eq!(project.stages(), stages);
    project.edit("\"handle\", \"link\", \"email\", \"number\"", "\"handle\"");
    project.stage("curate").run().succeeds();
    assert_eq!(project.stages().len(), 2 * stages.len());
    let raw = "SELECT count(*) FROM prompts WHERE input LIKE '%https://%'";
    assert_eq!(Sql::open(&project.work("limbeck.db")).number(raw), 15);
}

#[test]
fn a_recipe_says_what_stands_in_place_of_finds() {
    let project = messages();
    project.stage("curate").run().succeeds();
    let stages = project.stages();
    project.edit(
        "\"email\", \"number\"]\n",
        "\"email\", \"number\"]\nplaceholders = { handle = \"somebody\", link = \"\" }\n",
    );
    project.stage("run").run().succeeds();
    // Other placeholders are other questions and another dataset.
    let kept = |stage: &str| stages.iter().filter(|name| name.starts_with(stage)).count();
    let now = project.stages();
    for stage in ["harvest", "curate"] {
        let all = now.iter().filter(|name| name.starts_with(stage)).count();
        assert_eq!(all, kept(stage) + 1, "{now:?}");
    }
    let store = contents(&project.work("limbeck.db"));
    let inputs: Vec<&str> = store.dataset.iter().map(|row| row.1.as_str()).collect();
    assert!(
        inputs.contains(&"somebody my 2th parcel is late, order [number] "),
        "{inputs:?}"
    );
    let report = project.report();
    let told: Vec<&Value> = report["harvest"]["replaced"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["placeholder"])
        .collect();
    assert_eq!(
        told,
        [&Value::Null, &json!("somebody"), &json!(""), &Value::Null]
    );
    let manifests =
        Sql::open(&project.work("limbeck.db")).texts::<1>("SELECT redaction FROM datasets");
    assert_eq!(manifests.len(), 2);
    assert!(
        manifests[1][0].contains("\"placeholder\":\"somebody\""),
        "{manifests:?}"
    );
    let audit = project
        .limbeck()
        .args(["audit", "provenance", "integrity", "--workdir", "work"])
        .run()
        .succeeds();
    assert!(
        audit.stdout.contains("provenance: nothing found"),
        "{}",
        audit.stdout
    );
}

#[test]
fn imported_traces_stay_as_they_came_and_are_learned_redacted() {
    let project = Project::chat(0);
    let rows: Vec<Value> = (0..30)
        .map(|i| {
            json!({"messages": [
                {"role": "user", "content": format!("Whom do I write to about garden {i}th?")},
                {"role": "assistant", "content": format!("Write to @keeper{i} or to keeper{i}@example.org.")},
            ]})
        })
        .collect();
    project.rows("answers.jsonl", &rows);
    let import = "[redact]\nreplace = [\"handle\", \"email\"]\n\n[[import]]\nsource = \"answers.jsonl\"\nformat = \"messages\"\nfrom = \"example.org/answers\"\nlicense = \"cc-by-4.0\"\nmodel = \"elsewhere-1\"\n\n[harvest]\n";
    project.edit("[harvest]\nprompts = { source = \"prompts.jsonl\", license = \"cc0-1.0\", exclude_near = false }\n", import);
    project.edit(
        "cross_entropy = 0.5, forward_kl = 0.5",
        "cross_entropy = 1.0",
    );
    let suite: Vec<Value> = (0..8)
        .map(|i| json!({"text": format!("suite question {i}"), "expected": format!("Ask @keeper{i}.")}))
        .collect();
    project.rows("suite.jsonl", &suite);
    crate::imported::declare(&project);
    project.stage("run").run().succeeds();
    let report = project.report();
    assert_eq!(
        replaced(&report, "curate"),
        [found("email", 30, 30), found("handle", 30, 30)]
    );
    let store = contents(&project.work("limbeck.db"));
    assert!(
        store
            .traces
            .values()
            .all(|trace| trace.exact[4].contains("@example.org"))
    );
    for (_, _, answer, _) in &store.dataset {
        assert_eq!(answer["text"], "Write to [handle] or to [email].");
        assert_eq!(answer["redacted"], true);
    }
    let folder = project
        .stages()
        .into_iter()
        .find(|name| name.starts_with("curate-"));
    let folder = project.work("stages").join(folder.unwrap());
    let dataset = fs::read_to_string(folder.join("dataset.json")).unwrap();
    assert!(!dataset.contains("@keeper"));
    let outcome: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("outcome.json")).unwrap()).unwrap();
    assert_eq!(outcome["looked_through"], 30);
}

#[test]
fn a_detector_that_does_not_exist_is_named_with_the_nearest() {
    let project = messages();
    project.edit("\"handle\", \"link\"", "\"handles\", \"link\"");
    let said = project.stage("harvest").run().exits(2);
    assert!(
        said.stderr.contains("there is no detector `handles`"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("did you mean `handle`?"),
        "{}",
        said.stderr
    );
    project.edit(
        "replace = [\"handles\", \"link\", \"email\", \"number\"]",
        "replace = []",
    );
    let said = project.stage("harvest").run().exits(2);
    assert!(
        said.stderr.contains("nothing is to be replaced"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_placeholder_that_cannot_be_one_is_told() {
    let project = messages();
    let mut before = "\"email\", \"number\"]\n".to_owned();
    for (placeholders, expected) in [
        ("{ handel = \"x\" }", "did you mean `handle`?"),
        ("{ phone = \"x\" }", "name it in `replace` as well"),
        (
            "{ handle = \"@user\" }",
            "`@user` cannot stand in place of what `handle` meets",
        ),
        (
            "{ link = \"a very long word\\n\" }",
            "it may hold letters, spaces, brackets",
        ),
        ("{ link = \"seventeen letters\" }", "longer than 16"),
    ] {
        let with = format!("\"email\", \"number\"]\nplaceholders = {placeholders}\n");
        project.edit(&before, &with);
        before = with;
        let said = project.stage("harvest").run().exits(2);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
        assert!(said.stderr.contains("recipe.toml:"), "{}", said.stderr);
    }
}
