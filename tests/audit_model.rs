//! `limbeck audit` of one model: what went into it and no more, the same as export says of it.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::store::Sql;
use crate::support::{Project, names};

fn found(project: &Project, words: &[&str], code: i32) -> Vec<Value> {
    let mut audit = project.limbeck().arg("audit");
    for word in words {
        audit = audit.arg(word);
    }
    let value = audit.args(["--format", "json"]).run().exits(code).json();
    value["findings"].as_array().unwrap().clone()
}

/// Codes that deny or warn.
fn codes(findings: &[Value]) -> Vec<&str> {
    let grave = findings.iter().filter(|finding| finding["level"] != "note");
    let mut codes: Vec<&str> = grave
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    codes.dedup();
    codes
}

/// The predicate of the verdict that an export carries.
fn verdict(export: &Path) -> Value {
    let text = fs::read(export.join("verdict.intoto.json")).unwrap();
    let envelope: Value = serde_json::from_slice(&text).unwrap();
    let payload = BASE64_STANDARD.decode(envelope["payload"].as_str().unwrap());
    let statement: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
    statement["predicate"].clone()
}

fn properties(predicate: &Value) -> Vec<&str> {
    let properties = predicate["properties"].as_array().unwrap().iter();
    properties.map(|name| name.as_str().unwrap()).collect()
}

/// A run in whose store lies one answer more, of another provider, that no dataset has.
fn with_another_answer() -> Project {
    let project = Project::choices(10);
    project.stage("run").arg("--no-gates").run().succeeds();
    let import = ["traces", "import", "other.jsonl", "--workdir", "work"];
    project.rows(
        "other.jsonl",
        &[json!({"messages": [
            {"role": "user", "content": "the key is AKIAIOSFODNN7EXAMPLE"},
            {"role": "assistant", "content": "positive"},
        ]})],
    );
    let import = project.limbeck().args(import);
    let import = import.args(["--format", "messages", "--source", "elsewhere"]);
    let import = import.args(["--license", "proprietary", "--provider", "openai"]);
    import.args(["--model", "gpt-4o-mini"]).run().succeeds();
    project
}

#[test]
fn a_model_is_judged_by_what_went_into_it_and_a_work_folder_by_all_that_is_there() {
    let project = with_another_answer();
    let all = found(&project, &["work"], 33);
    let told = codes(&all);
    for code in ["terms::declaration-missing", "privacy::secret-by-prefix"] {
        assert!(told.contains(&code), "no {code} in {told:?}");
    }
    assert!(
        all.iter()
            .any(|finding| finding["code"] == "conduct::not-seen")
    );
    for folder in ["work/export", "work/student"] {
        let of_model = found(&project, &[folder], 0);
        assert_eq!(codes(&of_model), [""; 0], "{folder}");
        assert!(
            of_model
                .iter()
                .all(|finding| finding["code"] != "conduct::not-seen")
        );
    }
    let audit = project
        .limbeck()
        .args(["audit", "terms", "work/export", "--format", "json"]);
    let value = audit.run().succeeds().json();
    for part in ["dataset", "curation", "model", "export"] {
        assert!(value["model"][part].is_string(), "{part} in {value:#}");
    }
    let whole = project
        .limbeck()
        .args(["audit", "terms", "work", "--format", "json"]);
    assert_eq!(whole.run().exits(1).json()["model"], Value::Null);
    let text = project
        .limbeck()
        .args(["audit", "terms", "work/export"])
        .run()
        .succeeds();
    assert!(
        text.stdout
            .starts_with("What went into the model, by dataset "),
        "{}",
        text.stdout
    );
    // Training and export judge what goes into the model, so that the answer beside it stops neither.
    project.edit("formats = [", "formats = [\"gguf:f16\", ");
    project.stage("run").arg("--no-gates").run().succeeds();

    // Integrity knows no parts.
    Sql::open(&project.work("limbeck.db")).execute(
        "UPDATE traces SET text = 'x' WHERE id NOT IN (SELECT trace_id FROM dataset_traces)",
    );
    assert!(codes(&found(&project, &["work/export"], 8)).contains(&"integrity::trace-changed"));
}

#[test]
fn an_export_says_of_itself_what_an_audit_of_it_finds() {
    let project = with_another_answer();
    project.edit(
        "[harvest]\n",
        "[[audit.rule]]\ncode = \"licences::declared\"\nlevel = \"warn\"\nreason = \"to be looked at\"\n\n[harvest]\n",
    );
    project.stage("run").arg("--no-gates").run().succeeds();
    let predicate = verdict(&project.work("export"));
    let audited = found(&project, &["work/export"], 0);
    let short = |findings: &[Value]| -> Vec<(String, String)> {
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let folder = crate::support::teacher::tiny_teacher();
        let folder = format!("{}/", folder.parent().unwrap().display());
        findings
            .iter()
            .map(|finding| {
                (
                    text(finding, "code"),
                    text(finding, "message").replace(&folder, ""),
                )
            })
            .collect()
    };
    let stated = predicate["findings"].as_array().unwrap();
    assert_eq!(short(stated), short(&audited));
    assert!(codes(stated).contains(&"licences::declared"), "{stated:#?}");
    assert_eq!(
        properties(&predicate),
        [
            "LIMBECK_TERMS_ALLOW_WITH_DUTIES",
            "LIMBECK_LICENCES_PASSED",
            "LIMBECK_PROVENANCE_PASSED",
            "LIMBECK_INTEGRITY_PASSED",
            "LIMBECK_CONDUCT_PASSED",
            "LIMBECK_PRIVACY_PASSED",
            "LIMBECK_FOR_TRAIN",
            "LIMBECK_FOR_RELEASE_MODEL",
        ]
    );
    let areas = predicate["areas"].as_array().unwrap();
    let named: Vec<&str> = areas
        .iter()
        .map(|area| area["area"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "terms",
            "licences",
            "provenance",
            "integrity",
            "conduct",
            "privacy"
        ]
    );
    assert_eq!(areas[3]["about"], "the whole store");
    // Nobody gave a key or a checkpoint, and the record of the export is made last.
    let open = predicate["notEvaluated"].to_string();
    for said in [
        "no key was given",
        "no checkpoint",
        "the record of this export itself",
    ] {
        assert!(open.contains(said), "no `{said}` in {open}");
    }
    let card = fs::read_to_string(project.work("export/README.md")).unwrap();
    assert!(card.contains("privacy passes"), "{card}");
}

/// What is denied in areas that are about more than terms stops training and export as well, and a waiver is told.
#[test]
fn what_any_area_denies_of_a_model_is_refused_and_a_waiver_does_not_make_it_pass() {
    let project = Project::choices(10);
    let mut rows: Vec<Value> = (0..10)
        .map(|i| json!({"text": format!("a message, the {i}th")}))
        .collect();
    rows[3] = json!({"text": "my key is AKIAIOSFODNN7EXAMPLE"});
    project.rows("prompts.jsonl", &rows);
    project.edit(
        "[harvest]\n",
        "[audit]\nbanned_models = [\"BANNED\"]\n\n[harvest]\n",
    );
    project.stage("train").run().fails_saying([
        "`train` is refused",
        "privacy::secret-by-prefix",
        "inputs of the dataset",
    ]);
    let model = crate::support::teacher::tiny_teacher()
        .display()
        .to_string();
    project.edit("BANNED", &model);
    project
        .stage("train")
        .run()
        .fails_saying(["conduct::banned-model", "privacy::secret-by-prefix"]);
    let waiver = |code: &str| {
        format!(
            "[[waiver]]\ncode = \"{code}\"\nreviewer = \"R. Viewer\"\nreason = \"the example of a handbook\"\nexpires = \"9999-01-01\"\n\n"
        )
    };
    let waivers = waiver("privacy::secret-by-prefix") + &waiver("conduct::banned-model");
    let without = fs::read_to_string(project.path().join("recipe.toml")).unwrap();
    project.edit("[harvest]\n", &format!("{waivers}[harvest]\n"));
    project.sign();
    project.stage("run").arg("--no-gates").run().succeeds();
    let predicate = verdict(&project.work("export"));
    let told = properties(&predicate);
    assert!(
        told.contains(&"LIMBECK_TERMS_ALLOW_WITH_DUTIES"),
        "{told:?}"
    );
    for wrong in [
        "LIMBECK_PRIVACY_PASSED",
        "LIMBECK_CONDUCT_PASSED",
        "LIMBECK_FOR_TRAIN",
    ] {
        assert!(!told.contains(&wrong), "{told:?}");
    }
    assert_eq!(predicate["verdict"], "deny");
    assert_eq!(predicate["waivers"].as_array().unwrap().len(), 2);
    assert_eq!(
        codes(&found(&project, &["work/export"], 48)),
        ["conduct::banned-model", "privacy::secret-by-prefix",]
    );
    // What redaction takes out of the dataset is not held against the model, only against the work folder.
    let redact = "[redact]\nreplace = [\"secret-by-prefix\"]\n\n[harvest]\n";
    let recipe = without.replace(&model, "BANNED");
    let recipe = recipe.replacen("model = 'BANNED'", &format!("model = '{model}'"), 1);
    project.file("recipe.toml", &recipe);
    project.edit("[harvest]\n", redact);
    project.stage("run").arg("--no-gates").run().succeeds();
    assert_eq!(codes(&found(&project, &["work/export"], 0)), [""; 0]);
    assert_eq!(
        codes(&found(&project, &["privacy", "work"], 32)),
        ["privacy::secret-by-prefix"]
    );
}

#[test]
fn a_model_that_the_ledger_does_not_tell_of_never_passes() {
    let project = Project::choices(10);
    project.stage("run").arg("--no-gates").run().succeeds();
    fs::create_dir(project.path().join("strange")).unwrap();
    project.file("strange/model.safetensors", "weights");
    let audit = |words: &[&str]| {
        let mut audit = project.limbeck().arg("audit");
        for word in words {
            audit = audit.arg(word);
        }
        audit.args(["strange", "--workdir", "work"]).run()
    };
    audit(&["terms"]).exits(64).says([
        "does not tell what the model in `strange` learned from",
        "look at `provenance` as well",
    ]);
    audit(&["privacy", "integrity"]).exits(64);
    audit(&["integrity"]).succeeds();
    let denied = audit(&[]).exits(4);
    assert!(
        denied.stdout.contains("deny[provenance::model-unknown]"),
        "{}",
        denied.stdout
    );

    // A copy elsewhere is known by its files, and one that lost its dataset is not.
    copy(&project.work("export"), &project.path().join("shipped"));
    let shipped = ["audit", "shipped", "--workdir", "work"];
    project.limbeck().args(shipped).run().succeeds();
    let mut sql = Sql::open(&project.work("limbeck.db"));
    sql.execute("PRAGMA foreign_keys = OFF; DELETE FROM datasets");
    sql.close();
    project
        .limbeck()
        .args(["audit", "terms", "shipped", "--workdir", "work"])
        .run()
        .exits(64);
}

fn copy(from: &Path, to: &PathBuf) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn answers_that_were_erased_since_are_still_those_that_a_model_learned_from() {
    let project = Project::twenty_openai_labels();
    project.edit(
        "[harvest]\n",
        "[[waiver]]\ncode = \"terms::declaration-missing\"\nreviewer = \"R. Viewer\"\nreason = \"a test\"\nexpires = \"9999-01-01\"\n\n[harvest]\n",
    );
    project.sign();
    project.stage("train").run().succeeds();
    let traces = Sql::open(&project.work("limbeck.db")).texts::<1>("SELECT id FROM traces");
    for [trace] in &traces {
        let erase = project.limbeck().args(["traces", "erase", trace]);
        erase
            .args(["--workdir", "work", "--reason", "asked for"])
            .run()
            .succeeds();
    }
    assert_eq!(
        codes(&found(&project, &["terms", "work"], 0)),
        ["terms::waiver-unused"]
    );
    assert_eq!(
        codes(&found(&project, &["terms", "work/student"], 1)),
        ["terms::declaration-missing"]
    );
}
