//! `kill -9`: nothing is lost, nothing is asked twice, and what comes out in the end is the same.

use std::fs;
use std::thread;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::store::{Contents, answers, contents};
use crate::support::{Project, names, wait_until};

/// How often a harvest is killed.
const KILLS: usize = 20;
/// Log-probabilities may differ by so much between two runs.
const TOLERANCE: f32 = 1e-3;

/// Checks that two stores hold the same, apart from when and how fast it came.
fn assert_same(disturbed: &Contents, undisturbed: &Contents) {
    assert_eq!(disturbed.prompts, undisturbed.prompts);
    let ids = |contents: &Contents| contents.traces.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(disturbed), ids(undisturbed));
    for (id, trace) in &disturbed.traces {
        let other = &undisturbed.traces[id];
        assert_eq!(trace.exact, other.exact, "{id}");
        assert_eq!(trace.choices.len(), other.choices.len(), "{id}");
        for (a, b) in trace.choices.iter().zip(&other.choices) {
            assert!((a - b).abs() <= TOLERANCE, "{id}: {a} and {b}");
        }
        let (tokens, others) = (trace.tokens.as_deref(), other.tokens.as_deref());
        assert_eq!(tokens.map(<[_]>::len), others.map(<[_]>::len), "{id}");
        for (a, b) in tokens
            .iter()
            .zip(&others)
            .flat_map(|(a, b)| a.iter().zip(*b))
        {
            assert_eq!(a.id, b.id, "{id}");
            assert!(
                (a.log_probability - b.log_probability).abs() <= TOLERANCE,
                "{id}"
            );
            assert_eq!(a.top.len(), b.top.len(), "{id}");
        }
    }
    assert_eq!(disturbed.dataset.len(), undisturbed.dataset.len());
    for (row, other) in disturbed.dataset.iter().zip(&undisturbed.dataset) {
        assert_eq!((&row.0, &row.1, &row.3), (&other.0, &other.1, &other.3));
        assert_near(&row.2, &other.2);
    }
    assert_eq!(disturbed.verdicts, undisturbed.verdicts);
}

/// Two JSON values that differ in their numbers by at most [`TOLERANCE`].
fn assert_near(a: &serde_json::Value, b: &serde_json::Value) {
    use serde_json::Value;
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let difference = x.as_f64().unwrap() - y.as_f64().unwrap();
            assert!(difference.abs() <= f64::from(TOLERANCE), "{x} and {y}");
        }
        (Value::Array(x), Value::Array(y)) => {
            assert_eq!(x.len(), y.len());
            x.iter().zip(y).for_each(|(x, y)| assert_near(x, y));
        }
        (Value::Object(x), Value::Object(y)) => {
            assert_eq!(x.keys().collect::<Vec<_>>(), y.keys().collect::<Vec<_>>());
            x.iter().for_each(|(key, x)| assert_near(x, &y[key]));
        }
        _ => assert_eq!(a, b),
    }
}

/// Every answer was tried once with success, and nothing failed.
fn assert_asked_once(contents: &Contents) {
    assert_eq!(contents.failed, 0);
    for (trace, answered) in &contents.answered {
        assert_eq!(*answered, 1, "{trace} was asked again after it was kept");
    }
    assert_eq!(contents.answered.len(), contents.traces.len());
}

/// What `traces list --json` says, without the times and in the order of the ids.
fn listed(project: &Project) -> Vec<serde_json::Value> {
    let list = [
        "traces",
        "list",
        "--workdir",
        "work",
        "--limit",
        "100000",
        "--json",
    ];
    let mut lines = project.limbeck().args(list).run().succeeds().json_lines();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("recorded_at");
    }
    lines.sort_by_key(|line| line["id"].to_string());
    lines
}

/// Kills the harvest of `project` again and again: half of the times some moment after its start, wherever that is,
/// and half of the times when it has kept something new.
fn kill_again_and_again(project: &Project, seed: u64) {
    let store = project.work("limbeck.db");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut kept = 0;
    for round in 0..KILLS {
        let mut harvest = project.stage("harvest").spawn();
        if round.is_multiple_of(2) {
            thread::sleep(Duration::from_millis(random.random_range(0..250)));
        } else {
            wait_until("an answer", || {
                answers(&store) > kept || !harvest.is_alive()
            });
            thread::sleep(Duration::from_millis(random.random_range(0..20)));
        }
        assert!(harvest.kill(), "round {round} ended before it was killed");
        let now = answers(&store);
        assert!(now >= kept, "{} answers were lost", kept - now);
        kept = now;
    }
    assert!(kept > 0);
}

#[test]
fn twenty_kills_leave_the_same_labels_as_none() {
    let undisturbed = Project::choices(800);
    undisturbed.stage("curate").run().succeeds();
    let disturbed = Project::choices(800);
    disturbed.pace(20);
    kill_again_and_again(&disturbed, 1);
    let kept = answers(&disturbed.work("limbeck.db")) as u64;
    disturbed.edit(", requests_per_minute = 1200", "");
    disturbed.stage("curate").run().succeeds();

    let (found, expected) = (
        contents(&disturbed.work("limbeck.db")),
        contents(&undisturbed.work("limbeck.db")),
    );
    assert_eq!(expected.traces.len(), 800);
    assert_same(&found, &expected);
    assert_asked_once(&found);
    assert_eq!(listed(&disturbed), listed(&undisturbed));
    let harvest = &disturbed.report()["harvest"];
    assert_eq!(
        harvest["asked"],
        800 - kept,
        "the last run asked only what was missing"
    );
    assert_eq!(harvest["reused"], kept);
}

#[test]
fn twenty_kills_leave_the_same_texts_as_none() {
    let undisturbed = Project::chat(500);
    undisturbed.stage("curate").run().succeeds();
    let disturbed = Project::chat(500);
    disturbed.pace(20);
    kill_again_and_again(&disturbed, 2);
    disturbed.edit(", requests_per_minute = 1200", "");
    disturbed.stage("curate").run().succeeds();

    let (found, expected) = (
        contents(&disturbed.work("limbeck.db")),
        contents(&undisturbed.work("limbeck.db")),
    );
    assert_eq!(expected.traces.len(), 500);
    assert!(expected.traces.values().all(|trace| trace.tokens.is_some()));
    assert_same(&found, &expected);
    assert_asked_once(&found);
    assert_eq!(listed(&disturbed), listed(&undisturbed));
}

/// A project whose training takes a second or so and is saved at every few steps.
fn long_training() -> Project {
    let project = Project::choices(60);
    project.edit("epochs = 2", "epochs = 60\ncheckpoint_every = 5");
    project
}

/// The files by which a student is known.
fn student(project: &Project) -> [Vec<u8>; 3] {
    [
        "student/model.safetensors",
        "student/tokenizer.json",
        "export/tiny-Q8_0.gguf",
    ]
    .map(|file| fs::read(project.work(file)).unwrap())
}

#[test]
fn a_run_that_is_killed_in_each_stage_ends_with_the_same_student() {
    let undisturbed = long_training();
    undisturbed.stage("run").run().succeeds();
    let disturbed = long_training();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let stages = [
        "curate", "train", "train", "train", "evaluate", "export", "export",
    ];
    for stage in stages {
        let mut run = disturbed.stage("run").args(["--progress", "json"]).spawn();
        // Killed too late the stage may be over, and the next run does not start it again.
        if run.event("started", stage).is_some() {
            thread::sleep(Duration::from_millis(
                random.random_range(0..if stage == "train" { 300 } else { 15 }),
            ));
        }
        run.kill();
    }
    disturbed.stage("run").run().succeeds();
    assert!(
        student(&disturbed) == student(&undisturbed),
        "the students differ"
    );
    assert_eq!(
        disturbed.report()["train"]["curve"]
            .as_array()
            .unwrap()
            .len(),
        undisturbed.report()["train"]["curve"]
            .as_array()
            .unwrap()
            .len()
    );
    assert_eq!(disturbed.stages(), undisturbed.stages());
    let audit = ["audit", "integrity", "--workdir", "work"];
    disturbed.limbeck().args(audit).run().succeeds();
}

#[test]
fn training_goes_on_from_its_last_checkpoint() {
    let project = long_training();
    let run = project.stage("train").spawn();
    wait_until("a checkpoint", || {
        let stages = project.work("stages");
        stages.is_dir()
            && names(&stages).iter().any(|stage| {
                stages
                    .join(stage)
                    .join("checkpoint/checkpoint.safetensors")
                    .is_file()
            })
    });
    assert!(run.kill(), "training was over before it was killed");
    let mut again = project.stage("train").args(["--progress", "json"]).spawn();
    let progress = again.event("progress", "train").expect("training goes on");
    assert!(progress["reused"].as_u64().unwrap() >= 5, "{progress}");
    again.wait().succeeds();
}
