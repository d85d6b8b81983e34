//! Ctrl-C: the first finishes what is in flight and saves, the second ends at once; both with exit code 130.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Stdio;
use std::thread;

use sha2::{Digest, Sha256};

use crate::support::store::{Sql, answers, contents};
use crate::support::{Limbeck, Project, wait_until};

#[test]
fn the_first_saves_what_is_in_flight_and_the_next_run_goes_on() {
    let project = Project::choices(300);
    project.pace(60);
    let store = project.work("limbeck.db");
    let run = project.stage("run").spawn();
    wait_until("an answer", || answers(&store) > 0);
    run.signal("INT");
    let stopped = run.wait().exits(130);
    stopped.says([
        "stopping: what is in flight is finished and kept",
        "harvest: stopped after ",
        "stopped; what was answered is kept, and the same command goes on from here",
    ]);
    let kept = contents(&store);
    assert!(
        !kept.traces.is_empty() && kept.traces.len() < 300,
        "{}",
        kept.traces.len()
    );
    assert_eq!(
        kept.failed, 0,
        "what was in flight was finished or never begun"
    );
    assert_eq!(kept.answered.len(), kept.traces.len());
    let mut sql = Sql::open(&store);
    assert_eq!(
        sql.number(
            "SELECT count(*) FROM runs WHERE status = 'interrupted' AND finished_at IS NOT NULL"
        ),
        1
    );
    sql.close();
    assert!(!project.work("report.json").exists());

    project.edit(", requests_per_minute = 3600", "");
    project.stage("run").run().succeeds();
    // The suite's 12 messages are asked as well.
    assert_eq!(
        project.report()["harvest"]["asked"],
        300 - kept.traces.len()
    );
    assert_eq!(contents(&store).traces.len(), 312);
}

#[test]
fn a_request_to_terminate_is_heard_as_well() {
    let project = Project::chat(300);
    project.pace(60);
    let run = project.stage("harvest").spawn();
    wait_until("an answer", || answers(&project.work("limbeck.db")) > 0);
    run.signal("TERM");
    run.wait().exits(130);
}

#[test]
fn training_is_saved_and_goes_on() {
    let project = Project::choices(60);
    project.edit("epochs = 2", "epochs = 200");
    let mut run = project.stage("train").args(["--progress", "json"]).spawn();
    run.event("progress", "train").expect("training begins");
    run.signal("INT");
    let stopped = run.wait().exits(130);
    let ends: Vec<_> = stopped
        .events()
        .into_iter()
        .filter(|e| e["event"] == "finished" && e["stage"] == "train")
        .collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["status"], "stopped");
    let made = ends[0]["position"].as_u64().unwrap();
    project.edit("epochs = 200", "epochs = 200 # the same");
    let mut again = project.stage("train").args(["--progress", "json"]).spawn();
    let progress = again.event("progress", "train").unwrap();
    assert_eq!(progress["reused"], made, "every step that was made is kept");
    again.signal("INT");
    again.wait().exits(130);
}

/// A source that another process seems to be fetching for ever, so that a run waits and cannot be asked to hurry.
struct Waiting {
    project: Project,
    _lock: File,
}

impl Waiting {
    fn new() -> Self {
        const SOURCE: &str = "hf:someone/something/model.gguf";
        let project = Project::choices(4);
        project.teacher(SOURCE.as_ref());
        let key = hex::encode(Sha256::digest(SOURCE));
        let folder = project.path().join("cache/sources").join(&key[..32]);
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        Self {
            project,
            _lock: lock,
        }
    }

    fn run(&self) -> Limbeck {
        self.project.stage("run")
    }
}

#[test]
fn the_second_ends_at_once_whatever_is_in_flight() {
    let waiting = Waiting::new();
    let mut run = waiting.run().args(["--progress", "json"]).spawn();
    run.event("started", "fetch")
        .expect("it waits for the lock");
    run.signal("INT");
    run.line(|line| line.contains("press Ctrl-C again"))
        .expect("it says how to stop at once");
    run.signal("INT");
    run.wait().exits(130);
}

/// Standard error is full and nobody reads it, so the process cannot say that it is stopping.
#[cfg(target_os = "linux")]
#[test]
fn the_second_is_heard_while_the_first_is_still_answered() {
    let waiting = Waiting::new();
    let (_reader, full) = io::pipe().unwrap();
    let mut filler = full.try_clone().unwrap();
    // More than a pipe holds: this ends only when the reader goes away.
    thread::spawn(move || drop(filler.write_all(&vec![b' '; 1 << 20])));
    let mut run = waiting.run().args(["--progress", "none"]);
    let mut child = run
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(full)
        .spawn()
        .unwrap();
    let caught = |bit: u64| {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap()
            .trim();
        u64::from_str_radix(mask, 16).unwrap() & (1 << (bit - 1)) != 0
    };
    wait_until("the signals to be listened to", || caught(2) && caught(15));
    for signal in ["TERM", "INT"] {
        let sent = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", child.id())])
            .status();
        assert!(sent.unwrap().success());
    }
    let mut status = None;
    wait_until("the end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(130));
}
