//! Progress on standard error, as `docs/progress.md` describes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Project;

/// The fields of each event, as the table of the page names them.
const FIELDS: [(&str, &[&str]); 4] = [
    ("started", &["event", "stage", "total", "unit"]),
    (
        "progress",
        &[
            "event",
            "stage",
            "position",
            "total",
            "unit",
            "reused",
            "rate",
            "eta_seconds",
            "message",
        ],
    ),
    (
        "finished",
        &[
            "event", "stage", "status", "position", "total", "unit", "reused", "rate", "seconds",
            "summary",
        ],
    ),
    ("message", &["event", "level", "text"]),
];

#[track_caller]
fn is_documented(event: &Value) {
    let name = event["event"].as_str().unwrap();
    let fields = FIELDS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("an unknown event: {event}"))
        .1;
    let found: Vec<&str> = event
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(found, fields, "{event}");
    let number = |key: &str| event[key].is_number();
    let number_or_null = |key: &str| number(key) || event[key].is_null();
    let text_or_null = |key: &str| event[key].is_string() || event[key].is_null();
    let fits = match name {
        "started" => number_or_null("total"),
        "progress" => {
            number("position")
                && number("reused")
                && number_or_null("rate")
                && number_or_null("eta_seconds")
                && text_or_null("message")
        }
        "finished" => {
            number("position")
                && number("seconds")
                && number_or_null("rate")
                && text_or_null("summary")
                && ["done", "stopped"].contains(&event["status"].as_str().unwrap())
        }
        _ => {
            event["text"].is_string()
                && ["info", "warning"].contains(&event["level"].as_str().unwrap())
        }
    };
    assert!(fits, "{event}");
}

#[test]
fn json_lines_carry_the_documented_fields() {
    let project = Project::choices(60);
    project.file(
        "prompts.jsonl",
        &(fs::read_to_string(project.path().join("prompts.jsonl")).unwrap() + "oops\n"),
    );
    project
        .stage("harvest")
        .args(["--limit", "20", "--progress", "none"])
        .run()
        .succeeds();
    let run = project
        .stage("run")
        .args(["--progress", "json"])
        .run()
        .succeeds();
    let events = run.events();
    events.iter().for_each(is_documented);

    let mut open: BTreeMap<String, u64> = BTreeMap::new();
    let mut done: Vec<(String, Value)> = Vec::new();
    for event in &events {
        let stage = event["stage"].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap() {
            "started" => assert!(
                open.insert(stage.clone(), 0).is_none(),
                "`{stage}` began twice"
            ),
            "progress" => {
                let before = open
                    .get_mut(&stage)
                    .expect("progress of a stage that began");
                let position = event["position"].as_u64().unwrap();
                assert!(position >= *before, "{event}");
                *before = position;
            }
            "finished" => {
                assert!(open.remove(&stage).is_some(), "`{stage}` ended twice");
                done.push((stage, event.clone()));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "not ended: {open:?}");
    let stage = |name: &str| {
        &done
            .iter()
            .find(|(stage, _)| stage == name)
            .unwrap_or_else(|| panic!("no `{name}`"))
            .1
    };
    for name in [
        "load",
        "harvest",
        "curate",
        "train",
        "evaluate",
        "ask suite",
        "export",
    ] {
        assert_eq!(stage(name)["status"], "done");
    }
    let harvest = stage("harvest");
    assert_eq!(
        (&harvest["position"], &harvest["total"], &harvest["reused"]),
        (&60.into(), &60.into(), &20.into())
    );
    assert_eq!(harvest["unit"], "answers");
    assert!(
        events.iter().any(|event| event["level"] == "warning"
            && event["text"].as_str().unwrap().contains("row 61"))
    );
}

#[test]
fn an_error_is_an_event_and_the_stage_that_it_ended_is_stopped() {
    let project = Project::choices(6);
    project.edit(
        "kind = \"duplicates\"\nnormalised = true",
        "kind = \"confidence\"\nat_least = 1.0",
    );
    let events = project
        .stage("run")
        .args(["--progress", "json"])
        .run()
        .exits(2)
        .events();
    let error = events.last().unwrap();
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event", "level", "text", "causes", "hints"]);
    assert_eq!(error["level"], "error");
    assert!(error["text"].as_str().unwrap().contains("`curate`"));
    assert!(
        error["causes"][0]
            .as_str()
            .unwrap()
            .contains("every answer was dropped")
    );
}

#[test]
fn every_field_and_stage_event_is_on_the_page() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/progress.md"))
            .unwrap();
    for (event, fields) in FIELDS {
        for word in fields.iter().chain([&event]) {
            assert!(
                page.contains(&format!("\"{word}\"")) || page.contains(&format!("`{word}`")),
                "`{word}` is not documented"
            );
        }
    }
}

#[test]
fn without_a_terminal_there_are_plain_lines_and_no_control_codes() {
    let project = Project::choices(12);
    for mode in ["auto", "bars", "plain"] {
        let run = project
            .limbeck()
            .args(["run", "recipe.toml", "--progress", mode, "--workdir"])
            .arg(format!("work-{mode}"))
            .run()
            .succeeds();
        assert!(
            !run.stderr.contains(['\u{1b}', '\r']),
            "{}",
            run.stderr.escape_debug()
        );
        for line in [
            "harvest: started, 12 answers",
            "harvest: done, 12 answers",
            "train: done, ",
            "export: done, 2 files",
        ] {
            assert!(run.stderr.contains(line), "no `{line}` in:\n{}", run.stderr);
        }
    }
}

#[test]
fn none_shows_nothing_and_a_named_way_counts_even_when_quiet() {
    let project = Project::choices(12);
    let none = project
        .stage("harvest")
        .args(["--progress", "none"])
        .run()
        .succeeds();
    assert!(!none.stderr.contains("harvest: "), "{}", none.stderr);
    let other = project
        .limbeck()
        .args([
            "-q",
            "harvest",
            "recipe.toml",
            "--workdir",
            "other",
            "--progress",
            "json",
        ])
        .run()
        .succeeds();
    assert!(!other.events().is_empty());
}
