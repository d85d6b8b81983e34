//! `limbeck traces`: what is in the store, as text and as JSON.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Limbeck, Project};

/// Six labelled messages, of which one is in the suite as well and is dropped.
fn curated() -> Project {
    let project = Project::choices(0);
    let texts = [
        "the soup was cold",
        "the bus was late",
        "a lovely garden",
        "no thanks",
        "so rude",
        "what a day",
    ];
    project.rows("prompts.jsonl", &texts.map(|text| json!({"text": text})));
    project.rows(
        "suite.jsonl",
        &[json!({"text": "so rude", "expected": "negative"})],
    );
    project.edit(
        "kind = \"duplicates\"\nnormalised = true",
        "kind = \"evaluation-overlap\"",
    );
    project.stage("curate").run().succeeds();
    project
}

fn list(project: &Project) -> Limbeck {
    project
        .limbeck()
        .args(["traces", "list", "--workdir", "work"])
}

#[test]
fn a_list_is_a_line_for_each_answer() {
    let project = curated();
    let lines = list(&project).run().succeeds().stdout;
    let words: Vec<Vec<&str>> = lines
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        ["id", "phrasing", "verdict", "tokens", "answer", "input"]
    );
    assert_eq!(words.len(), 7, "{lines}");
    let mut verdicts: Vec<&str> = words[1..].iter().map(|words| words[2]).collect();
    verdicts.sort_unstable();
    assert_eq!(
        verdicts,
        ["dropped", "kept", "kept", "kept", "kept", "kept"]
    );
    assert!(
        words[1..]
            .iter()
            .all(|words| words[0].len() == 12 && ["positive", "negative"].contains(&words[4])),
        "{lines}"
    );
    assert!(
        lines
            .lines()
            .all(|line| line.trim_end() == line || line.ends_with(' ')),
        "{lines}"
    );
}

#[test]
fn a_list_in_json_is_an_object_a_line() {
    let project = curated();
    let rows = list(&project)
        .args(["--json"])
        .run()
        .succeeds()
        .json_lines();
    let keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "prompt_id",
            "sample",
            "teacher",
            "phrasing",
            "input",
            "text",
            "finish_reason",
            "completion_tokens",
            "verdict",
            "recorded_at"
        ]
    );
    let ids = |rows: &[Value]| {
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = ids(&rows);
    assert_eq!(all.len(), 6);

    let some = |arguments: [&str; 4]| {
        ids(&list(&project)
            .args(arguments)
            .args(["--json"])
            .run()
            .succeeds()
            .json_lines())
    };
    assert_eq!(some(["--limit", "2", "--offset", "1"]), all[1..3]);
    assert_eq!(some(["--limit", "10", "--offset", "6"]), [] as [String; 0]);
    let kept = ids(&list(&project)
        .args(["--kept", "--json"])
        .run()
        .succeeds()
        .json_lines());
    let dropped = ids(&list(&project)
        .args(["--dropped", "--json"])
        .run()
        .succeeds()
        .json_lines());
    assert_eq!((kept.len(), dropped.len()), (5, 1));
    assert!(kept.iter().chain(&dropped).all(|id| all.contains(id)) && !kept.contains(&dropped[0]));
    list(&project)
        .args(["--kept", "--dropped"])
        .run()
        .exits(2)
        .says(["cannot be used with"]);
}

#[test]
fn one_answer_is_a_page() {
    let project = curated();
    let rows = list(&project)
        .args(["--json"])
        .run()
        .succeeds()
        .json_lines();
    let row = rows
        .iter()
        .find(|row| row["input"] == "the bus was late")
        .unwrap();
    let id = row["id"].as_str().unwrap();
    let show = |id: &str| {
        project
            .limbeck()
            .args(["traces", "show", id, "--workdir", "work"])
    };
    let page = show(&id[..12]).run().succeeds().stdout;
    assert_eq!(
        show(id).run().succeeds().stdout,
        page,
        "the beginning of the id is enough"
    );
    // Ids, times and scores are those of this machine; the rest is not.
    let page: String = page
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some(field @ ("trace" | "prompt" | "recorded" | "choices")) => format!("{field} …\n"),
            Some("teacher") => "teacher …\n".to_owned(),
            Some("negative" | "positive") => "  (answer)\n".to_owned(),
            Some(
                field @ ("model:" | "model_sha256:" | "request_sha256:" | "response_sha256:"
                | "terms:" | "limbeck_version:"),
            ) => {
                let (_, ground) = line.rsplit_once(' ').unwrap();
                format!("  {field} … {ground}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    expect![[r#"
        trace …
        prompt …
        phrasing  main
        source    prompts.jsonl, row 2
        teacher …
        licence   mit
        recorded …
        finish    choice, 33 prompt tokens, 0 answer tokens
        choices …
        verdict   evaluation-overlap keeps: in no evaluation suite

        receipt
          provider: local (declared)
          model: … (declared)
          model_sha256: … (computed)
          route: in-process (observed)
          license: mit (declared)
          terms: … (computed)
          limits: {"concurrent":8,"requests_per_minute":null} (declared)
          request_sha256: … (computed)
          response_sha256: … (computed)
          limbeck_version: … (observed)

        asked
          Message: the bus was late
          Sentiment:

        answered
          (answer)
    "#]]
    .assert_eq(&page);

    let json = show(id).args(["--json"]).run().succeeds().json();
    assert_eq!(json["grounds"]["model"], "declared");
    assert_eq!(json["receipt"]["terms"][0]["id"], "MIT");
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["record", "receipt", "attempts", "verdicts", "grounds"]
    );
    assert_eq!(json["record"]["id"], id);
    assert_eq!(
        json["record"]["choice_log_probabilities"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        json["receipt"]["license"], "mit",
        "as the model's file says"
    );
    assert_eq!(json["receipt"]["model_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(json["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn an_id_that_names_none_or_several_is_an_error() {
    let project = Project::choices(40);
    project.stage("harvest").run().succeeds();
    let show = |id: &str| {
        project
            .limbeck()
            .args(["traces", "show", id, "--workdir", "work"])
            .run()
    };
    show("not-hexadecimal").fails_saying([
        "has no trace `not-hexadecimal`",
        "hint: `limbeck traces list` shows the ids",
    ]);
    // Of forty ids two share their first digit.
    let rows = list(&project)
        .args(["--limit", "40", "--json"])
        .run()
        .succeeds()
        .json_lines();
    let mut firsts: Vec<char> = rows
        .iter()
        .map(|row| row["id"].as_str().unwrap().chars().next().unwrap())
        .collect();
    firsts.sort_unstable();
    let shared = firsts.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0].to_string();
    show(&shared).fails_saying([
        &format!("several traces that begin with `{shared}`"),
        "hint: give more characters",
    ]);
}
