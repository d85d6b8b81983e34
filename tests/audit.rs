//! `limbeck audit`: its exit codes, its forms, and input that it cannot look at.

use std::process::Stdio;

use serde_json::json;

use crate::support::store::Sql;
use crate::support::{Limbeck, Project};

fn harvested(texts: &[&str]) -> Project {
    let project = Project::choices(0);
    let rows: Vec<_> = texts.iter().map(|text| json!({"text": text})).collect();
    project.rows("prompts.jsonl", &rows);
    project.stage("harvest").run().succeeds();
    project
}

fn audit(project: &Project) -> Limbeck {
    project.limbeck().args(["audit", "--workdir", "work"])
}

#[test]
fn nothing_found_is_zero_and_says_that_it_is_no_legal_advice() {
    let done = audit(&harvested(&["the soup was cold"])).run().succeeds();
    for text in [
        "conduct: nothing found",
        "privacy: nothing found",
        "not legal advice",
    ] {
        assert!(done.stdout.contains(text), "{}", done.stdout);
    }
}

#[test]
fn what_is_denied_is_so_where_nobody_reads_it() {
    let denied = harvested(&["my key is AKIAIOSFODNN7EXAMPLE"]);
    for format in ["human", "json", "sarif", "junit"] {
        let mut audit = audit(&denied).args(["--format", format]);
        let command = audit.command().stdin(Stdio::null()).stderr(Stdio::null());
        let mut audit = command.stdout(Stdio::piped()).spawn().unwrap();
        // As `limbeck audit | head -0` would.
        drop(audit.stdout.take());
        assert_eq!(audit.wait().unwrap().code(), Some(32), "{format}");
    }
}

#[test]
fn a_warning_is_told_and_a_secret_sets_the_bit_of_privacy() {
    let warned = harvested(&["thanks @ann", "the bus was late"]);
    let done = audit(&warned).run().succeeds();
    assert!(
        done.stdout.contains("warning[privacy::handle]"),
        "{}",
        done.stdout
    );

    let secret = "AKIAIOSFODNN7EXAMPLE";
    let denied = harvested(&[&format!("my key is {secret}")]);
    let done = audit(&denied).run().exits(32);
    assert!(
        done.stdout.contains("deny[privacy::secret-by-prefix]"),
        "{}",
        done.stdout
    );
    assert!(!done.stdout.contains(secret), "{}", done.stdout);
    audit(&denied).arg("conduct").run().exits(0);

    let report = audit(&denied)
        .args(["--format", "json", "privacy"])
        .run()
        .exits(32)
        .json();
    assert_eq!(report["areas"], json!(["privacy"]));
    assert_eq!(report["exit_code"], 32);
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "privacy::secret-by-prefix");
    assert_eq!(finding["level"], "deny");
}

#[test]
fn what_cannot_be_looked_at_is_64() {
    let project = Project::choices(0);
    audit(&project).run().exits(64);
    for wrong in [
        ["--format", "poem"],
        ["everything", "--quiet"],
        ["--unknown", "x"],
    ] {
        audit(&project).args(wrong).run().exits(64);
    }
    project.limbeck().args(["audit"]).run().exits(64);
    std::fs::create_dir_all(project.work("")).unwrap();
    project.file("work/limbeck.db", "no database at all, only some text");
    audit(&project).run().exits(64);
    project
        .limbeck()
        .args(["traces", "list", "--unknown"])
        .run()
        .exits(2);
    project.limbeck().args(["audit", "--help"]).run().exits(0);
}

#[test]
fn a_changed_answer_sets_the_bit_of_integrity_and_a_kept_checkpoint_exposes_a_rollback() {
    let project = harvested(&["the soup was cold", "the bus was late"]);
    let show = ["keys", "show", "--workdir", "work"];
    let key = project.limbeck().args(show).run().succeeds().stdout;
    let path = project.work("limbeck.db");
    Sql::open(&path).execute("PRAGMA wal_checkpoint(TRUNCATE)");
    let early = std::fs::read(&path).unwrap();
    project.rows("prompts.jsonl", &[json!({"text": "a lovely garden"})]);
    project.stage("harvest").run().succeeds();
    let kept = project.work("checkpoint.txt");
    let integrity = || {
        let kept = kept.to_str().unwrap();
        let held = ["integrity", "--key", key.trim(), "--checkpoint", kept];
        audit(&project).args(held)
    };
    let done = integrity().run().succeeds();
    assert!(
        done.stdout.contains("integrity: nothing found"),
        "{}",
        done.stdout
    );
    let untold = audit(&project).arg("integrity").run().succeeds();
    assert!(
        untold.stdout.contains("note[integrity::cannot-tell]"),
        "{}",
        untold.stdout
    );

    Sql::open(&path).execute("UPDATE traces SET text = 'x' WHERE number = 1");
    let done = integrity().run().exits(8);
    assert!(
        done.stdout.contains("deny[integrity::trace-changed]"),
        "{}",
        done.stdout
    );

    std::fs::write(&path, early).unwrap();
    for log in ["limbeck.db-wal", "limbeck.db-shm"] {
        std::fs::remove_file(project.work(log)).ok();
    }
    let done = integrity().run().exits(8);
    assert!(
        done.stdout.contains("deny[integrity::not-an-ancestor]"),
        "{}",
        done.stdout
    );
    audit(&project)
        .args(["integrity", "--key", "no-key"])
        .run()
        .exits(64);
    audit(&project)
        .args(["--checkpoint", "nowhere.txt"])
        .run()
        .exits(64);
}
