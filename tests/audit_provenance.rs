//! `limbeck audit provenance`: a work folder is tampered with in every way that has a code, and each is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::store::Sql;
use crate::support::{Project, names};

/// A work folder that is changed by a test.
struct Changed<'a> {
    project: &'a Project,
    name: String,
}

impl Changed<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.project.path().join(&self.name).join(name)
    }

    /// The folder of a stage.
    fn stage(&self, stage: &str) -> PathBuf {
        let stages = self.path("stages");
        let found = names(&stages).into_iter();
        let mut of_stage = found.filter(|name| name.starts_with(&format!("{stage}-")));
        stages.join(of_stage.next().expect("a stage"))
    }

    fn sql(&self, statements: &'static str) {
        let mut sql = Sql::open(&self.path("limbeck.db"));
        sql.execute("DROP TRIGGER ledger_leaves_stay; DROP TRIGGER ledger_leaves_do_not_change; PRAGMA foreign_keys = OFF");
        sql.execute(statements);
        sql.close();
    }

    /// Codes of what is found, each once.
    fn codes(&self, code: i32, target: &str) -> Vec<String> {
        let target = self.path(target);
        let audit = self.project.limbeck().args(["audit", "provenance"]);
        let audit = audit.arg(&target).args(["--format", "json"]);
        let value = audit.run().exits(code).json();
        let mut codes: Vec<String> = value["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        codes.sort();
        codes.dedup();
        codes
    }
}

/// Changes a file of JSON.
fn edit(file: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

/// A copy of `work` to be changed.
fn copy<'a>(project: &'a Project, name: &str) -> Changed<'a> {
    let status = Command::new("cp")
        .args(["-a", "work", name])
        .current_dir(project.path())
        .status()
        .unwrap();
    assert!(status.success());
    Changed {
        project,
        name: name.to_owned(),
    }
}

type Way = (&'static str, fn(&Changed<'_>));

/// What is done, by the code that must name it.
const WAYS: [Way; 22] = [
    ("trace-unrecorded", |work| {
        work.sql("DELETE FROM ledger_leaves WHERE kind = 'trace' AND subject = (SELECT min(id) FROM traces)");
    }),
    ("trace-unreceipted", |work| {
        work.sql("DELETE FROM receipts WHERE trace_id = (SELECT min(id) FROM traces)");
    }),
    ("trace-unasked", |work| {
        work.sql("DELETE FROM attempts WHERE trace_id = (SELECT min(id) FROM traces)");
    }),
    ("dataset-unrecorded", |work| {
        work.sql("DELETE FROM ledger_leaves WHERE kind = 'dataset'");
    }),
    ("dataset-trace-missing", |work| {
        work.sql("DELETE FROM traces WHERE id = (SELECT min(trace_id) FROM dataset_traces)");
    }),
    ("dataset-row-unsourced", |work| {
        work.sql("DELETE FROM dataset_traces WHERE row = 1");
    }),
    ("dataset-row-foreign", |work| {
        work.sql("UPDATE dataset_rows SET item = 'another', input = 'another' WHERE position = 1");
    }),
    ("dataset-row-dropped", |work| {
        work.sql("UPDATE verdicts SET keep = 0 WHERE trace_id = (SELECT min(trace_id) FROM dataset_traces)");
    }),
    ("dataset-file-changed", |work| {
        let file = work.stage("curate").join("dataset.json");
        edit(&file, |dataset| {
            dataset["rows"][0]["input"] = "poison".into();
        });
    }),
    ("dataset-file-changed", |work| {
        fs::write(work.stage("curate").join("dataset.json"), "no dataset").unwrap();
    }),
    ("trained-on-else", |work| {
        let file = work.stage("curate").join("dataset.json");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text + " ").unwrap();
    }),
    ("trained-on-else", |work| {
        work.sql("UPDATE runs SET summary = json_set(summary, '$.dataset', 'another') WHERE stage = 'curate'");
    }),
    ("stage-unrecorded", |work| {
        let copy = work.path("stages/evaluate-0123456789abcdef");
        fs::rename(work.stage("evaluate"), copy).unwrap();
    }),
    ("outcome-changed", |work| {
        let file = work.stage("harvest").join("outcome.json");
        edit(&file, |outcome| {
            outcome["traces"].as_array_mut().unwrap().swap(0, 1);
        });
    }),
    ("outcome-changed", |work| {
        let file = work.stage("train").join("outcome.json");
        edit(&file, |outcome| outcome["vocabulary"] = 1.into());
    }),
    ("model-unrecorded", |work| {
        let copy = work.path("stages/train-0123456789abcdef");
        fs::rename(work.stage("train"), copy).unwrap();
    }),
    ("model-dataset-unknown", |work| {
        work.sql("UPDATE ledger_leaves SET record = json_set(record, '$.dataset', 'another') WHERE kind = 'model'");
    }),
    ("export-unrecorded", |work| {
        work.sql("DELETE FROM ledger_leaves WHERE kind = 'export'");
    }),
    ("export-model-unknown", |work| {
        work.sql("DELETE FROM ledger_leaves WHERE kind = 'model'");
    }),
    ("file-changed", |work| {
        let file = work.stage("export").join("export/model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
    }),
    ("file-missing", |work| {
        fs::remove_file(work.stage("train").join("student/tokenizer.json")).unwrap();
    }),
    ("file-added", |work| {
        fs::write(work.stage("export").join("export/extra.gguf"), "x").unwrap();
    }),
];

#[test]
fn every_way_to_break_the_chain_is_named_and_an_untouched_run_passes() {
    let project = Project::choices(10);
    project.stage("run").arg("--no-gates").run().succeeds();
    let whole = Changed {
        project: &project,
        name: "work".to_owned(),
    };
    for target in ["", "export", "student"] {
        assert_eq!(whole.codes(0, target), [""; 0], "`{target}` untouched");
    }
    for (number, (code, change)) in WAYS.iter().enumerate() {
        let work = copy(&project, &format!("way-{number}"));
        change(&work);
        let codes = work.codes(4, "");
        let code = format!("provenance::{code}");
        assert!(codes.contains(&code), "{code} not in {codes:?}");
    }

    let work = copy(&project, "foreign");
    fs::remove_file(work.path("student")).unwrap();
    fs::create_dir(work.path("student")).unwrap();
    fs::write(work.path("student/model.safetensors"), "weights").unwrap();
    assert_eq!(work.codes(4, ""), ["provenance::model-unknown"]);
    let recipe = work.path("recipe-as-run.toml");
    let text = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, text.replace("release-model", "evaluate")).unwrap();
    let codes = work.codes(4, "");
    assert!(
        codes.contains(&"provenance::recipe-changed".to_owned()),
        "{codes:?}"
    );

    let work = copy(&project, "gone");
    fs::remove_dir_all(work.stage("export")).unwrap();
    assert_eq!(work.codes(0, ""), ["provenance::folder-gone"]);
}

#[test]
fn a_student_of_answers_that_were_erased_is_told_and_a_changed_dataset_is_not_learned_from() {
    let project = Project::choices(10);
    project.stage("curate").run().succeeds();
    let work = copy(&project, "poisoned");
    let file = work.stage("curate").join("dataset.json");
    edit(&file, |dataset| {
        dataset["rows"][0]["input"] = "poison".into();
    });
    let train = project
        .limbeck()
        .args(["train", "recipe.toml", "--workdir", "poisoned"]);
    train
        .run()
        .fails_saying(["`train` is refused", "provenance::dataset-file-changed"]);

    project.stage("train").run().succeeds();
    let [[trace]] = &Sql::open(&project.work("limbeck.db"))
        .texts::<1>("SELECT min(trace_id) FROM dataset_traces")[..]
    else {
        panic!("one trace");
    };
    let erase = project.limbeck().args(["traces", "erase", trace]);
    let erase = erase.args(["--workdir", "work", "--reason", "asked for"]);
    erase.run().succeeds();
    let whole = Changed {
        project: &project,
        name: "work".to_owned(),
    };
    let codes = whole.codes(0, "");
    assert!(
        codes.contains(&"provenance::learned-from-erased".to_owned()),
        "{codes:?}"
    );
}

#[test]
fn a_store_without_answers_says_that_there_is_nothing_to_follow() {
    let project = Project::choices(0);
    project.stage("harvest").run().exits(2);
    let whole = Changed {
        project: &project,
        name: "work".to_owned(),
    };
    assert_eq!(whole.codes(0, ""), ["provenance::empty"]);
}
