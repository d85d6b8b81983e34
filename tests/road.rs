//! The whole road: `limbeck run` from the prompts to the report.

use std::fs;
use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::support::{Finished, Project, names};

/// Checks a report against the schema that other programs rely on.
fn is_valid(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    let text: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("report.schema.json", text).unwrap();
    let schema = compiler
        .compile("report.schema.json", &mut schemas)
        .unwrap();
    if let Err(error) = schemas.validate(report, schema) {
        panic!("{error:#}");
    }
    let mut other = report.clone();
    other["recipe"]["hash"] = Value::Null;
    assert!(
        schemas.validate(&other, schema).is_err(),
        "the schema accepts anything"
    );
}

/// The stages of a run by name, without their hashes.
fn stage_names(project: &Project) -> Vec<String> {
    let stages = project.stages().into_iter();
    stages
        .map(|stage| stage.rsplit_once('-').unwrap().0.to_owned())
        .collect()
}

/// The stage folders that are in `after` and were not in `before`.
fn added(before: &[String], after: &[String]) -> Vec<String> {
    let new = after.iter().filter(|stage| !before.contains(stage));
    new.map(|stage| stage.rsplit_once('-').unwrap().0.to_owned())
        .collect()
}

fn is_whole(project: &Project, exported: &[&str]) {
    for stage in project.stages() {
        let outcome = project.work("stages").join(&stage).join("outcome.json");
        assert!(outcome.is_file(), "{stage} has no outcome");
    }
    let html = fs::read_to_string(project.work("report.html")).unwrap();
    assert!(
        html.starts_with("<!doctype html>") && html.contains("</html>"),
        "no page"
    );
    let student = names(&project.work("student"));
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert!(
            student.iter().any(|name| name == file),
            "no {file} in {student:?}"
        );
    }
    let files = names(&project.work("export"));
    for file in exported {
        assert!(
            files.iter().any(|name| name == file),
            "no {file} in {files:?}"
        );
    }
    let left: Vec<String> = names(&project.work(""))
        .into_iter()
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "left beside: {left:?}");
}

#[test]
fn choices_become_a_student_and_a_second_run_does_nothing() {
    let project = Project::choices(40);
    let first = project.stage("run").run().succeeds();
    assert!(
        first.stdout.contains("labels: Accuracy, 12 rows"),
        "{}",
        first.stdout
    );
    let report = project.report();
    is_valid(&report);
    is_whole(
        &project,
        &["README.md", "model.safetensors", "tiny-Q8_0.gguf"],
    );
    assert_eq!(
        stage_names(&project),
        ["curate", "evaluate", "export", "harvest", "suites", "train"]
    );
    assert_eq!(report["harvest"]["prompts"], 40);
    assert_eq!(report["harvest"]["asked"], 40);
    assert_eq!(report["evaluate"]["suites"][0]["n"], 12);
    assert_eq!(report["export"].as_array().unwrap().len(), 2);

    let stages = project.stages();
    let written = fs::metadata(project.work("student/model.safetensors"))
        .unwrap()
        .modified()
        .unwrap();
    let again = project.stage("run").args(["--json"]).run().succeeds();
    for stage in ["harvest", "curate", "train", "evaluate", "export"] {
        assert!(
            again.stderr.contains(&format!("{stage}: done before")),
            "{}",
            again.stderr
        );
    }
    let report = again.json();
    is_valid(&report);
    assert_eq!(report, project.report(), "the two forms are one report");
    assert_eq!(report["harvest"]["asked"], 0);
    assert_eq!(report["harvest"]["reused"], 40);
    assert_eq!(project.stages(), stages);
    let now = fs::metadata(project.work("student/model.safetensors"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(now, written, "the student was written again");
}

#[test]
fn texts_become_a_student() {
    let project = Project::chat(30);
    project.stage("run").run().succeeds();
    let report = project.report();
    is_valid(&report);
    is_whole(
        &project,
        &["README.md", "model.safetensors", "tiny-F16.gguf"],
    );
    let suites = report["evaluate"]["suites"].as_array().unwrap();
    let metrics: Vec<&str> = suites
        .iter()
        .map(|suite| suite["metric"].as_str().unwrap())
        .collect();
    assert_eq!(metrics, ["nats-per-byte", "ends"]);
    assert!(report["harvest"]["completion_tokens"].as_u64().unwrap() > 30);
    assert!(!report["samples"].as_array().unwrap().is_empty());
}

#[test]
fn the_same_recipe_gives_the_same_student_elsewhere() {
    let projects = [Project::choices(20), Project::choices(20)];
    let [one, other] = projects.each_ref().map(|project| {
        project.stage("train").run().succeeds();
        fs::read(project.work("student/model.safetensors")).unwrap()
    });
    assert!(one == other, "two runs gave two students");
}

#[test]
fn a_changed_section_redoes_its_stage_and_what_follows() {
    let project = Project::choices(30);
    project.stage("run").run().succeeds();
    let before = project.stages();
    let student = fs::read_link(project.work("student")).unwrap();

    project.edit("epochs = 2", "epochs = 3");
    let run = project.stage("run").run().succeeds();
    assert!(
        run.stderr.contains("harvest: done before"),
        "{}",
        run.stderr
    );
    assert_eq!(project.report()["harvest"]["asked"], 0);
    let after = project.stages();
    assert_eq!(added(&before, &after), ["evaluate", "export", "train"]);
    assert_ne!(fs::read_link(project.work("student")).unwrap(), student);

    // Back to what was there: everything is found again, and the link follows.
    project.edit("epochs = 3", "epochs = 2");
    project.stage("run").run().succeeds();
    assert_eq!(project.stages(), after);
    assert_eq!(fs::read_link(project.work("student")).unwrap(), student);
}

#[test]
fn more_prompts_ask_only_what_is_new() {
    let project = Project::choices(30);
    project
        .stage("harvest")
        .args(["--limit", "10"])
        .run()
        .succeeds();
    assert_eq!(project.report()["harvest"]["asked"], 10);
    project.stage("harvest").run().succeeds();
    let report = project.report();
    assert_eq!(report["harvest"]["asked"], 20);
    assert_eq!(report["harvest"]["reused"], 10);
    assert!(report["train"].is_null(), "`harvest` went further");
}

/// No student is right more often than always.
const UNREACHABLE: &str = "metric = \"accuracy\"\ngate = { at_least = 1.5 }";

#[test]
fn a_missed_gate_is_exit_code_1_after_everything_is_written() {
    let project = Project::choices(30);
    project.edit("metric = \"accuracy\"", UNREACHABLE);
    let missed = |finished: &Finished| finished.stdout.contains("missed: ");
    let run = project.stage("run").run().exits(1);
    assert!(missed(&run), "{}", run.stdout);
    is_valid(&project.report());
    is_whole(&project, &["README.md"]);
    assert_eq!(project.report()["evaluate"]["suites"][0]["passed"], false);

    // A second look fails as well, although nothing is done in it.
    project.stage("run").run().exits(1);
    project.stage("report").run().exits(1);
    let run = project.stage("run").args(["--no-gates"]).run().succeeds();
    assert!(missed(&run), "the gate is still reported: {}", run.stdout);
}

#[test]
fn a_gate_over_the_device_counts_as_well() {
    let project = Project::choices(20);
    project.edit(
        "\"gguf:q8_0\"]",
        "\"gguf:q8_0\"]\ndevice = { max_file_mb = 0.001 }",
    );
    project.stage("run").run().exits(1);
    let stages = project.stages();
    project.edit("0.001", "10");
    project.stage("run").run().succeeds();
    assert_eq!(project.stages(), stages, "a gate changes no file");
}

#[test]
fn a_report_of_nothing_does_nothing() {
    let project = Project::choices(20);
    project.stage("report").run().succeeds();
    let report = project.report();
    is_valid(&report);
    assert!(report["harvest"].is_null());
    assert_eq!(project.stages(), [] as [String; 0]);
}

/// The weights in a folder, by name, as their bytes.
fn weights(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let content = fs::read(folder.join("model.safetensors")).unwrap();
    let (length, rest) = content.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(length);
    let header: Value = serde_json::from_slice(header).unwrap();
    let tensors = header.as_object().unwrap().iter();
    tensors
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, tensor)| {
            let offset = |which: usize| tensor["data_offsets"][which].as_u64().unwrap() as usize;
            (name.clone(), data[offset(0)..offset(1)].to_vec())
        })
        .collect()
}

#[test]
fn frozen_parts_stay_as_they_were_and_random_ones_are_warned_of() {
    const WARNING: &str = "warning: `freeze` of `[train]` keeps `";
    for (part, holds, random) in [
        ("embeddings", "model.embed_tokens.", false),
        ("layers.0", "model.layers.0.", true),
    ] {
        let project = Project::choices(40);
        project.edit("epochs = 2", &format!("epochs = 2\nfreeze = [\"{part}\"]"));
        let finished = project.stage("train").run().succeeds();
        assert_eq!(
            finished.stderr.contains(WARNING),
            random,
            "{}",
            finished.stderr
        );
        let stages = project.stages().into_iter();
        let mut trained = stages.filter(|stage| stage.starts_with("train-"));
        let stage = project.work("stages").join(trained.next().unwrap());
        let (before, after) = (
            weights(&stage.join("untrained")),
            weights(&stage.join("student")),
        );
        assert!(
            before.len() == after.len() && before.iter().any(|(name, _)| name.starts_with(holds))
        );
        for ((name, before), (other, after)) in before.iter().zip(&after) {
            assert_eq!(name, other);
            assert_eq!(before == after, name.starts_with(holds), "{name}");
        }
    }
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_device_that_this_build_does_not_know_is_refused_before_anything_is_asked() {
    let project = Project::choices(10);
    project.edit("epochs = 2", "epochs = 2\ndevice = \"metal\"");
    let refused = project.stage("train").run();
    refused.fails_saying(["`metal`", "hint: build it with `--features metal`"]);
    assert!(project.stages().is_empty(), "{:?}", project.stages());
    project.edit("\"metal\"", "\"auto\"");
    project.stage("train").run().succeeds();
}
