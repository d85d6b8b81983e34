//! The ledger of a whole run, and the key that signs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use limbeck_store::ledger::{Checkpoint, PublicKey, SignedNote};
use limbeck_store::{Store, audit};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Limbeck, Project};

fn keys(project: &Project, command: &str) -> Limbeck {
    project.limbeck().args(["keys", command])
}

/// What the ledger says of itself, read with the library: the newest note, the findings, the records of some kinds.
fn look(
    store: &Path,
    key: &PublicKey,
) -> (String, Vec<audit::Finding>, BTreeMap<String, Vec<Value>>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open_read_only(store).await.unwrap();
        let note = store.latest_checkpoint().await.unwrap().unwrap().note;
        let options = audit::IntegrityOptions {
            keys: vec![key.clone()],
            checkpoint: Some(note.clone()),
        };
        let findings = store.audit_integrity(&options).await.unwrap();
        let mut records = BTreeMap::new();
        for kind in ["trace", "curation", "dataset", "run", "model", "export"] {
            let entries = store.ledger_entries(kind).await.unwrap();
            let entries = entries.into_iter().map(|entry| entry.record);
            records.insert(kind.to_owned(), entries.collect());
        }
        (note, findings, records)
    })
}

#[test]
fn a_run_is_signed_by_a_key_of_the_user_and_runs_from_a_file_back_to_the_answers() {
    let project = Project::choices(10);
    keys(&project, "show")
        .run()
        .fails_saying(["there is no key yet", "hint: `limbeck keys new`"]);
    project.stage("run").arg("--no-gates").run().succeeds();
    let shown = keys(&project, "show").run().succeeds().stdout;
    let key = PublicKey::parse(&shown).unwrap();
    let (note, findings, records) = look(&project.work("limbeck.db"), &key);
    assert_eq!(findings, []);
    assert_eq!(
        fs::read_to_string(project.work("checkpoint.txt")).unwrap(),
        note
    );
    let signed = SignedNote::parse(&note).unwrap();
    let checkpoint = Checkpoint::parse(&signed.text).unwrap();
    assert!(signed.is_signed_by(&key));
    // The twelve rows of the suite were asked as well.
    assert_eq!(records["trace"].len(), 22);
    // Five stages, and the asking of the suite.
    assert_eq!(records["run"].len(), 6);
    let export = &records["export"][0];
    let model = &records["model"][0];
    assert_eq!(export["model"], model["subject"]);
    assert_eq!(model["dataset"], records["dataset"][0]["subject"]);
    assert_eq!(model["curation"], records["curation"][0]["subject"]);
    for (folder, record) in [("student", model), ("export", export)] {
        let files = record["files"].as_array().unwrap();
        assert!(!files.is_empty());
        for file in files {
            let bytes =
                fs::read(project.work(folder).join(file["path"].as_str().unwrap())).unwrap();
            assert_eq!(file["sha256"], hex::encode(Sha256::digest(&bytes)));
            assert_eq!(file["bytes"], bytes.len());
        }
    }
    // For other programs the key is called what the log is called.
    let named = keys(&project, "show").args(["--workdir", "work"]).run();
    let named = PublicKey::parse(&named.succeeds().stdout).unwrap();
    assert_eq!(named.name(), checkpoint.origin);
    assert!(named.is_same_key(&key));
}

#[test]
fn a_key_is_made_once_and_for_its_user_alone() {
    let project = Project::choices(2);
    let shown = keys(&project, "new").run().succeeds().stdout;
    let file = project.path().join("config/ledger.key");
    let secret = fs::read_to_string(&file).unwrap();
    assert!(secret.starts_with("PRIVATE+KEY+limbeck+"), "another form");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    keys(&project, "new")
        .run()
        .fails_saying(["there is a key already", "hint: `limbeck keys show`"]);
    assert_eq!(keys(&project, "show").run().succeeds().stdout, shown);
    assert_eq!(fs::read_to_string(&file).unwrap(), secret);
    // The same key, for a machine that has no such file.
    let other = Project::choices(2);
    let harvest = other.stage("harvest").env("LIMBECK_LEDGER_KEY", &secret);
    let harvested = harvest.run().succeeds();
    assert!(!other.path().join("config").exists());
    assert!(!harvested.stderr.contains(secret.trim()));
    let key = PublicKey::parse(&shown).unwrap();
    let (note, findings, _) = look(&other.work("limbeck.db"), &key);
    assert_eq!(findings, []);
    assert!(!note.contains(secret.trim()));
}

#[test]
fn a_key_that_is_none_stops_a_run_and_is_not_printed() {
    let project = Project::choices(2);
    let harvest = project
        .stage("harvest")
        .env("LIMBECK_LEDGER_KEY", "hunter2");
    let failed = harvest
        .run()
        .fails_saying(["`LIMBECK_LEDGER_KEY` holds no key", "hint: "]);
    assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
    let folder = project.path().join("config");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ledger.key"), "hunter2").unwrap();
    let failed = project
        .stage("harvest")
        .run()
        .fails_saying(["ledger.key` holds no key", "hint: restore the file"]);
    assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
    // Without a place for a key the answers are kept all the same, and a person is told.
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    let harvest = project.stage("harvest").run();
    harvest.succeeds().says(["checkpoints are not signed"]);
}

#[test]
fn an_answer_that_is_erased_is_learned_from_no_more() {
    let project = Project::choices(10);
    project.stage("train").run().succeeds();
    let list = |extra: &[&str]| {
        let mut list = project
            .limbeck()
            .args(["traces", "list", "--workdir", "work", "--json"]);
        for argument in extra {
            list = list.arg(argument);
        }
        list.run().succeeds().json_lines()
    };
    let id = list(&["--kept"])[0]["id"].as_str().unwrap().to_owned();
    let erase = |reason: &str| {
        let erase = [
            "traces",
            "erase",
            &id,
            "--workdir",
            "work",
            "--reason",
            reason,
        ];
        project.limbeck().args(erase).run()
    };
    erase(" ").fails_saying(["an erasure needs a reason"]);
    let erased = erase("asked by the customer").succeeds();
    erased.says(["Erased", &id, "with it its prompt", "was trained on it"]);
    let shown = list(&[]);
    let shown = shown.iter().find(|trace| trace["id"] == id).unwrap();
    assert_eq!(shown["text"], "[erased]");
    assert_eq!(shown["input"], "");
    assert!(list(&["--kept"]).iter().all(|trace| trace["id"] != id));
    let export = ["traces", "export", "--workdir", "work"];
    let rows = project.limbeck().args(export).run().succeeds().json_lines();
    let row = rows
        .iter()
        .find(|row| row["verdicts"][0]["check"] == "erased")
        .unwrap();
    assert_eq!(
        (&row["kept"], &row["messages"][1]["content"]),
        (&false.into(), &"[erased]".into())
    );
    let stages = project.stages();
    let datasets = || {
        let stages = project.stages().into_iter();
        let files = stages.map(|stage| project.work("stages").join(stage).join("dataset.json"));
        files.filter(|file| file.exists()).collect::<Vec<_>>()
    };
    assert!(datasets().is_empty(), "{stages:?}");
    // The next run judges and trains again, without it.
    project.stage("train").run().succeeds();
    assert!(project.stages().len() > stages.len());
    let dataset = fs::read_to_string(&datasets()[0]).unwrap();
    assert!(!dataset.contains(&id));
    let shown = keys(&project, "show").run().succeeds().stdout;
    let (_, findings, records) = look(
        &project.work("limbeck.db"),
        &PublicKey::parse(&shown).unwrap(),
    );
    assert_eq!(findings, []);
    assert_eq!(records["model"].len(), 2);
}

#[test]
fn the_bench_of_the_ledger_measures_what_it_says() {
    let project = Project::choices(0);
    let bench = ["bench", "ledger", "--entries", "501", "--json"];
    let measured = project.limbeck().args(bench).run().succeeds().json();
    assert_eq!(measured["entries"], 501);
    for figure in [
        "appended_per_second",
        "kept_per_second",
        "inclusion_proof_ms",
        "audit_seconds",
    ] {
        assert!(measured[figure].as_f64().unwrap() > 0.0, "{measured}");
    }
}
