//! `limbeck traces import` and `limbeck traces export`: answers from elsewhere come in once, and go out as they came.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Limbeck, Project};

const DECLARED: [&str; 4] = ["--source", "a friend", "--license", "cc-by-4.0"];

fn row(number: usize) -> Value {
    json!({"messages": [
        {"role": "user", "content": format!("question {number}")},
        {"role": "assistant", "content": format!("answer {number}")},
    ]})
}

fn import(project: &Project, file: &str) -> Limbeck {
    project
        .limbeck()
        .args([
            "traces",
            "import",
            file,
            "--workdir",
            "imported",
            "--format",
            "messages",
        ])
        .args(DECLARED)
        .arg("--json")
}

#[test]
fn exported_traces_are_described_for_loaders_of_data_sets() {
    let project = Project::choices(6);
    project.stage("harvest").run().succeeds();
    let export = || {
        let export = ["traces", "export", "--workdir", "work"];
        let croissant = ["--croissant", "croissant.json", "--license", "cc0-1.0"];
        project.limbeck().args(export).args(croissant)
    };
    export()
        .args(["--output", "-"])
        .run()
        .fails_saying(["no file that could be described", "hint: name a file"]);
    export().args(["--output", "traces.jsonl"]).run().succeeds();
    let text = fs::read_to_string(project.path().join("croissant.json")).unwrap();
    let described: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(described["license"], "cc0-1.0");
    assert_eq!(described["name"], "tiny");
    let file = &described["distribution"][0];
    let bytes = fs::read(project.path().join("traces.jsonl")).unwrap();
    assert_eq!(file["sha256"], hex::encode(Sha256::digest(&bytes)));
    assert_eq!(file["contentUrl"], "traces.jsonl");
    let row = bytes.split(|byte| *byte == b'\n').next().unwrap();
    let row: Value = serde_json::from_slice(row).unwrap();
    let mut columns = Vec::new();
    for field in described["recordSet"][0]["field"].as_array().unwrap() {
        let Some(parts) = field["subField"].as_array() else {
            let column = field["source"]["extract"]["column"].as_str().unwrap();
            assert!(row.get(column).is_some(), "no `{column}` in {row}");
            columns.push(column);
            continue;
        };
        let column = parts[0]["source"]["extract"]["column"].as_str().unwrap();
        columns.push(column);
        let is_list = field["repeated"] == true;
        assert_eq!(is_list, row[column].is_array(), "{column}");
        // Nothing was judged yet, so that there are no verdicts.
        let object = if is_list {
            &row[column][0]
        } else {
            &row[column]
        };
        for part in parts.iter().filter(|_| !object.is_null()) {
            let name = part["source"]["transform"]["jsonPath"].as_str().unwrap();
            assert!(object.get(name).is_some(), "no `{name}` in {object}");
        }
    }
    let mut all: Vec<&String> = row.as_object().unwrap().keys().collect();
    columns.sort_unstable();
    all.sort_unstable();
    assert_eq!(columns, all, "every column is described");
    let digest = file["sha256"].as_str().unwrap();
    assert_eq!(
        described["version"],
        format!("1.0.0+sha256.{}", &digest[..12])
    );
    assert_eq!(described["datePublished"], described["dateCreated"]);
    let cited = described["citeAs"].as_str().unwrap();
    assert!(
        cited.starts_with("@misc{tiny, title = {tiny}, year = {20"),
        "{cited}"
    );
    assert!(cited.contains(digest), "{cited}");
    // A version of one's own, and the same store and file give the same description.
    let versioned = || export().args(["--output", "traces.jsonl", "--dataset-version", "2.1.0"]);
    versioned().run().succeeds();
    let again = fs::read_to_string(project.path().join("croissant.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&again).unwrap()["version"],
        "2.1.0"
    );
    versioned().run().succeeds();
    assert_eq!(
        fs::read_to_string(project.path().join("croissant.json")).unwrap(),
        again
    );
    export()
        .args(["--output", "traces.jsonl", "--dataset-version", "newest"])
        .run()
        .exits(2)
        .says(["a version is MAJOR.MINOR.PATCH"]);
    assert_eq!(
        described["rai:dataCollection"]
            .as_str()
            .unwrap()
            .split(", on")
            .next(),
        Some("6 answers of tiny-teacher.gguf by way of local (in-process)")
    );
}

fn export(project: &Project) -> Limbeck {
    project
        .limbeck()
        .args(["traces", "export", "--workdir", "imported"])
}

#[test]
fn a_file_comes_in_once_and_goes_out_as_it_came() {
    let project = Project::choices(0);
    let rows: Vec<Value> = (0..1200).map(row).collect();
    project.rows("rows.jsonl", &rows);
    let first = import(&project, "rows.jsonl").run().succeeds().json();
    assert_eq!(
        (&first["answers"], &first["left_out"]),
        (&json!(1200), &json!(0))
    );
    let again = import(&project, "rows.jsonl").run().succeeds().json();
    assert_eq!(
        (&again["answers"], &again["known_answers"]),
        (&json!(0), &json!(1200))
    );
    let out = export(&project).run().succeeds().json_lines();
    let messages: Vec<&Value> = out.iter().map(|row| &row["messages"]).collect();
    let expected: Vec<&Value> = rows.iter().map(|row| &row["messages"]).collect();
    assert_eq!(messages, expected);
    let receipt = &out[0]["receipt"];
    assert_eq!(receipt["route"], "import");
    assert_eq!(receipt["import"]["source"], "a friend");
    assert_eq!(receipt["import"]["grounds"]["license"], "declared");
}

#[test]
fn a_malformed_row_is_named_and_with_strict_nothing_comes_in() {
    let project = Project::choices(0);
    project.rows("rows.jsonl", &[row(1), json!({"messages": []}), row(3)]);
    import(&project, "rows.jsonl")
        .arg("--strict")
        .run()
        .fails_saying(["`rows.jsonl`, row 2: no turn is an answer", "--strict"]);
    assert!(!project.path().join("imported").exists());
    let finished = import(&project, "rows.jsonl").run().succeeds();
    let counts = finished.json();
    assert_eq!(
        (&counts["answers"], &counts["left_out"]),
        (&json!(2), &json!(1))
    );
    finished.says(["row 2: no turn is an answer; it is left out"]);
}

#[test]
fn what_is_due_is_asked_for() {
    let project = Project::choices(0);
    project.rows("rows.jsonl", &[row(1)]);
    project
        .limbeck()
        .args([
            "traces",
            "import",
            "rows.jsonl",
            "--workdir",
            "imported",
            "--format",
            "messages",
        ])
        .run()
        .fails_saying(["--source", "--license"]);
    project
        .limbeck()
        .args([
            "traces",
            "import",
            "rows.jsonl",
            "--workdir",
            "imported",
            "--format",
            "openai-batch",
        ])
        .args(DECLARED)
        .run()
        .fails_saying(["--requests"]);
}

#[test]
fn parquet_needs_a_file() {
    let project = Project::choices(0);
    project.rows("rows.jsonl", &[row(1)]);
    import(&project, "rows.jsonl").run().succeeds();
    export(&project)
        .args(["--format", "parquet"])
        .run()
        .fails_saying(["Parquet is not written to standard output", "--output FILE"]);
    export(&project)
        .args(["--format", "parquet", "--output", "out.parquet"])
        .run()
        .succeeds();
    let bytes = std::fs::read(project.path().join("out.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}
