//! `limbeck audit terms licences`: what a store holds, judged by what the recipe means to do.

use std::fs;

use serde_json::{Value, json};

use crate::support::store::Sql;
use crate::support::{Limbeck, Project};

fn harvested() -> Project {
    let project = Project::choices(3);
    project.stage("harvest").run().succeeds();
    project
}

/// A store with answers of `OpenAI`'s.
fn of_openai() -> Project {
    let project = Project::openai_labels(&[("It broke.", "negative")]);
    project.stage("harvest").run().succeeds();
    project
}

fn audit<const N: usize>(project: &Project, arguments: [&str; N]) -> Limbeck {
    project.limbeck().arg("audit").args(arguments)
}

/// Levels and codes of what is found, without notes.
fn codes(audit: Limbeck, code: i32) -> Vec<String> {
    let value = audit.args(["--format", "json"]).run().exits(code).json();
    let findings = value["findings"].as_array().unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .iter()
        .filter(|finding| finding["level"] != "note")
        .map(|finding| format!("{} {}", text(finding, "level"), text(finding, "code")))
        .collect()
}

fn rights(project: &Project, target: &str, code: i32) -> Vec<String> {
    codes(audit(project, ["terms", "licences", target]), code)
}

#[test]
fn a_permissive_store_passes_whether_recipe_work_folder_or_model_is_named() {
    let project = harvested();
    assert_eq!(rights(&project, "work", 0), [""; 0]);
    let recipe = audit(
        &project,
        ["terms", "licences", "recipe.toml", "--workdir", "work"],
    );
    assert_eq!(codes(recipe, 0), [""; 0]);
    let told = audit(&project, ["licences", "work"]).run().succeeds();
    assert!(
        told.stdout.contains("Owed for train, release-model:"),
        "{}",
        told.stdout
    );
    let given = audit(&project, ["licences", "work", "--intent", "train,evaluate"]);
    let value = given.args(["--format", "json"]).run().succeeds().json();
    assert_eq!(value["intent"], json!(["train", "evaluate"]));
}

#[test]
fn what_the_store_holds_is_judged_by_the_day_route_and_declarations() {
    let project = of_openai();
    assert_eq!(
        rights(&project, "work", 1),
        ["deny terms::declaration-missing"]
    );
    project.declare("openai-api-2026-01-01", "not-competing");
    // The copy that the run keeps still says nothing of it; the recipe itself does.
    assert_eq!(
        rights(&project, "work", 1),
        ["deny terms::declaration-missing"]
    );
    let recipe = audit(&project, ["terms", "recipe.toml", "--workdir", "work"]);
    assert_eq!(codes(recipe, 0), [""; 0]);
    project.stage("harvest").run().succeeds();
    assert_eq!(rights(&project, "work", 0), [""; 0]);

    // Whoever writes a declaration into the copy alone has not declared anything.
    let copy = project.work("recipe-as-run.toml");
    let text = fs::read_to_string(&copy).unwrap();
    fs::write(&copy, text.replace("R. Viewer", "Nobody")).unwrap();
    assert_eq!(
        rights(&project, "work", 3),
        [
            "deny terms::declaration-changed",
            "deny terms::declaration-missing",
            "deny terms::recipe-changed",
            "deny licences::recipe-changed"
        ]
    );
}

#[test]
fn answers_of_tomorrow_and_licences_that_nobody_knows_are_denied() {
    let project = harvested();
    let mut sql = Sql::open(&project.work("limbeck.db"));
    sql.execute("UPDATE traces SET recorded_at = '2999-01-01T00:00:00Z' WHERE number = 1");
    assert_eq!(rights(&project, "work", 1), ["deny terms::clock"]);
    sql.execute("UPDATE traces SET recorded_at = 'yesterday' WHERE number = 1");
    audit(&project, ["terms", "work"])
        .run()
        .exits(64)
        .says(["`recorded_at` begins with `yesterday`"]);
    let denied = harvested();
    Sql::open(&denied.work("limbeck.db")).execute("UPDATE receipts SET license = 'nobody-knows'");
    // The receipts tell which terms were found in force then, which are not those of that licence.
    assert_eq!(
        rights(&denied, "work", 1),
        ["deny terms::unknown", "warning terms::recorded-otherwise"]
    );
}

#[test]
fn a_licence_text_beside_the_weights_that_says_something_else_is_found() {
    let project = Project::choices(3);
    let model = project.path().join("model/tiny.gguf");
    fs::create_dir(project.path().join("model")).unwrap();
    fs::copy(crate::support::teacher::tiny_teacher(), &model).unwrap();
    project.teacher(&model);
    // The file itself says MIT.
    project.file("model/LICENSE", include_str!("../LICENSE-APACHE"));
    project.stage("harvest").run().succeeds();
    assert_eq!(
        rights(&project, "work", 2),
        ["deny licences::tag-disagrees"]
    );
}

#[test]
fn what_cannot_be_judged_ends_with_64_and_says_why() {
    let project = harvested();
    let says = |arguments: &[&str], text: &str| {
        let mut audit = project.limbeck().arg("audit");
        for argument in arguments {
            audit = audit.arg(argument);
        }
        audit.run().exits(64).says([text]);
    };
    says(&[], "nothing is named that could be looked at");
    says(&["licenses", "work"], "did you mean `licences`?");
    says(&["everything", "work"], "the areas are `terms`, `licences`");
    says(
        &["work", "terms"],
        "is no area, and no recipe, work folder or model folder",
    );
    says(
        &["nowhere"],
        "is no area, and no recipe, work folder or model folder",
    );
    says(
        &["work", "--workdir", "other"],
        "`--workdir` names another, `other`",
    );
    says(&["config"], "is no recipe, no work folder");
    says(&["recipe.toml"], "runs/tiny/limbeck.db");
    says(&["work", "--intent", "sell"], "invalid value 'sell'");
    fs::create_dir(project.path().join("model")).unwrap();
    project.file("model/model.safetensors", "weights");
    says(&["model"], "`model` is in no work folder");

    fs::remove_file(project.work("recipe-as-run.toml")).unwrap();
    says(&["terms", "work"], "keeps no copy of its recipe");
    says(&["licences", "work"], "limbeck audit RECIPE --workdir work");
    // What needs no recipe is looked at all the same.
    audit(&project, ["integrity", "work"]).run().succeeds();
    project.file("work/recipe-as-run.toml", "[recipe]\nname = 1\n");
    says(&["terms", "work"], "recipe-as-run.toml:2");

    let twice = "[[terms]]\nkind = \"route\"\nid = \"mine\"\ntitle = \"Mine\"\nproviders = [\"openai\"]\nplan = \"api\"\nclass = \"any\"\neffective = \"2026-01-01\"\nbasis = \"secondary\"\nsummary = \"Mine.\"\n\n[harvest]\n";
    project.edit("[harvest]\n", twice);
    says(
        &["terms", "recipe.toml", "--workdir", "work"],
        "two records of terms are for the same route `openai`",
    );
    project.edit("class = \"any\"", "class = \"whatever\"");
    says(
        &["terms", "recipe.toml", "--workdir", "work"],
        "unknown value `whatever`",
    );
}

#[test]
fn a_store_without_ledger_an_older_and_a_foreign_one_never_pass() {
    let project = harvested();
    let path = project.work("limbeck.db");
    let mut sql = Sql::open(&path);
    sql.execute("DROP TRIGGER ledger_leaves_stay; DROP TRIGGER ledger_nodes_stay; DROP TRIGGER ledger_checkpoints_stay");
    sql.execute("DELETE FROM ledger; DELETE FROM ledger_leaves; DELETE FROM ledger_nodes; DELETE FROM ledger_checkpoints");
    sql.close();
    let told = codes(audit(&project, ["work"]), 15);
    for code in [
        "deny terms::recipe-changed",
        "deny licences::recipe-changed",
        "deny provenance::trace-unrecorded",
        "deny integrity::no-ledger",
    ] {
        assert!(told.contains(&code.to_owned()), "no {code} in {told:?}");
    }
    let mut sql = Sql::open(&path);
    sql.execute("DELETE FROM _sqlx_migrations WHERE version > 4");
    sql.close();
    audit(&project, ["work"])
        .run()
        .exits(64)
        .says(["limbeck.db` has version 4"]);
    fs::remove_file(&path).unwrap();
    for log in ["limbeck.db-wal", "limbeck.db-shm"] {
        fs::remove_file(project.work(log)).ok();
    }
    fs::write(&path, "").unwrap();
    let mut sql = Sql::open(&path);
    sql.execute("CREATE TABLE diary (day TEXT)");
    sql.close();
    audit(&project, ["work"])
        .run()
        .exits(64)
        .says(["is a database, but not one of limbeck"]);
}

#[test]
fn the_licence_of_prompts_is_told_to_be_declared_and_not_observed() {
    let told = audit(&harvested(), ["licences", "work"]).run().succeeds();
    assert!(
        told.stdout.contains("note[licences::declared]"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout
            .contains("are under `cc0-1.0` is declared and was not observed"),
        "{}",
        told.stdout
    );
}
