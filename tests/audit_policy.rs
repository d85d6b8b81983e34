//! What a recipe says about findings, and what training and export refuse.

use limbeck_store::audit::{Rule, Waiver};
use serde_json::{Value, json};

use crate::support::store::Sql;
use crate::support::{Finished, Project};

/// A recipe that learns from answers of `OpenAI`'s.
fn learns_from_openai() -> Project {
    let messages: Vec<(String, &str)> = (0..20)
        .map(|i| {
            let (word, label) = [("fine", "positive"), ("bad", "negative")][i % 2];
            (format!("the {i}th thing was {word}"), label)
        })
        .collect();
    let labels: Vec<_> = messages
        .iter()
        .map(|(text, label)| (&**text, *label))
        .collect();
    Project::openai_labels(&labels)
}

fn harvested(texts: &[&str]) -> Project {
    let project = Project::choices(0);
    let rows: Vec<_> = texts.iter().map(|text| json!({"text": text})).collect();
    project.rows("prompts.jsonl", &rows);
    project.stage("harvest").run().succeeds();
    project
}

/// Adds to the recipe.
fn say(project: &Project, text: &str) {
    project.edit("[harvest]\n", &format!("{text}\n\n[harvest]\n"));
}

fn found(project: &Project, area: &str, code: i32) -> Value {
    let audit = project.limbeck().args(["audit", area, "recipe.toml"]);
    let audit = audit.args(["--workdir", "work", "--format", "json"]);
    audit.run().exits(code).json()["findings"].clone()
}

fn codes(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().unwrap().iter();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .map(|finding| format!("{} {}", text(finding, "level"), text(finding, "code")))
        .collect()
}

#[test]
fn a_rule_changes_how_grave_a_finding_is_and_goes_stale_loudly() {
    let project = harvested(&["thanks @ann", "my key is AKIAIOSFODNN7EXAMPLE"]);
    assert_eq!(
        codes(&found(&project, "privacy", 32))[0],
        "deny privacy::secret-by-prefix"
    );
    say(
        &project,
        "[[audit.rule]]\ncode = \"privacy::secret-by-prefix\"\nlevel = \"allow\"\nreason = \"the example of a handbook\"\nexpires = 9999-01-01\n\n[[audit.rule]]\ncode = \"privacy::handle\"\nlevel = \"deny\"\nreason = \"they are people\"\n\n[[audit.rule]]\ncode = \"privacy::card\"\nlevel = \"allow\"\nreason = \"all made up\"",
    );
    // A date is written as text in a recipe.
    project.edit("expires = 9999-01-01", "expires = \"9999-01-01\"");
    let unsigned = codes(&found(&project, "privacy", 32));
    for code in [
        "deny privacy::exception-unsigned",
        "deny privacy::secret-by-prefix",
        "deny privacy::handle",
    ] {
        assert!(unsigned.contains(&code.to_owned()), "{unsigned:?}");
    }
    project.sign();
    let findings = found(&project, "privacy", 32);
    let mut told = codes(&findings);
    told.dedup();
    assert_eq!(
        told,
        [
            "deny privacy::handle",
            "warning privacy::exception-unused",
            "note privacy::secret-by-prefix",
        ]
    );
    assert_eq!(findings[0]["rule"]["was"], "warning");
    let shown = project
        .limbeck()
        .args(["audit", "privacy", "recipe.toml", "--workdir", "work"]);
    let shown = shown.run().exits(32).stdout;
    assert!(
        shown.contains(
            "deny without the recipe's rule: the example of a handbook (signed by `R._Viewer+"
        ),
        "{shown}"
    );
    project.edit("9999-01-01", "2020-01-01");
    let told = codes(&found(&project, "privacy", 32));
    assert!(
        told.contains(&"deny privacy::exception-changed".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"deny privacy::secret-by-prefix".to_owned()),
        "{told:?}"
    );
}

#[test]
fn an_exception_and_a_waiver_that_have_ended_do_not_count() {
    let project = harvested(&["my key is AKIAIOSFODNN7EXAMPLE"]);
    project.add_signed::<Rule>(
        "audit.rule",
        "code = \"privacy::secret-by-prefix\"\nlevel = \"allow\"\nreason = \"the example of a handbook\"\nexpires = \"2020-01-01\"\n",
    );
    let told = codes(&found(&project, "privacy", 32));
    assert_eq!(
        told[..2],
        [
            "deny privacy::exception-expired",
            "deny privacy::secret-by-prefix"
        ]
    );
    let project = learns_from_openai();
    let fields = waiver("2020-01-01", "R. Viewer").replace("[[waiver]]\n", "") + "\n";
    project.add_signed::<Waiver>("waiver", &fields);
    project.stage("curate").run().succeeds();
    project
        .stage("train")
        .run()
        .fails_saying(["terms::declaration-missing", "terms::waiver-expired"]);
}

#[test]
fn what_a_recipe_bans_is_found_where_it_was_asked() {
    let project = harvested(&["the soup was cold"]);
    Sql::open(&project.work("limbeck.db"))
        .execute("UPDATE receipts SET provider = 'far', model = 'Far-1', region = 'xx'");
    assert_eq!(codes(&found(&project, "conduct", 0)), [""; 0]);
    say(
        &project,
        "[audit]\nbanned_providers = [\"far\"]\nbanned_regions = [\"xx\"]\nbanned_models = [\"far-1\"]\naccounts = { ours = [\"a\", \"b\"] }",
    );
    assert_eq!(
        codes(&found(&project, "conduct", 16)),
        [
            "deny conduct::banned-model",
            "deny conduct::banned-provider",
            "deny conduct::banned-region"
        ]
    );
}

fn waiver(expires: &str, reviewer: &str) -> String {
    format!(
        "[[waiver]]\ncode = \"terms::declaration-missing\"\nabout = \"openai-api-2026-01-01\"\nreviewer = \"{reviewer}\"\nreason = \"the contract is being signed\"\nexpires = \"{expires}\""
    )
}

fn refused(stage: Finished) {
    stage.fails_saying([
        "is refused, since the audit denies what the recipe means to do",
        "terms::declaration-missing: ",
        "in: student `tiny` > ",
        "to do: ",
        "a signed `[[waiver]]` with a reviewer, a reason and an end",
    ]);
}

#[test]
fn training_is_refused_until_somebody_declares_or_waives_and_what_is_made_says_so() {
    let project = learns_from_openai();
    // Before anything is kept, where a student is to be trained.
    refused(project.stage("run").run());
    let stages = project.stages();
    assert!(stages.is_empty(), "{stages:?}");
    project.stage("curate").run().succeeds();
    refused(project.stage("train").run());
    assert!(!project.work("student").exists());

    say(&project, &waiver("9999-01-01", "R. Viewer"));
    // What nobody has signed lets nothing go on, nor what was changed since.
    let unsigned = project.stage("train").run();
    unsigned.fails_saying(["terms::declaration-missing", "terms::waiver-unsigned"]);
    project.sign();
    project.edit("9999-01-01", "9998-01-01");
    let changed = project.stage("train").run();
    changed.fails_saying(["terms::declaration-missing", "terms::waiver-changed"]);
    project.edit("9998-01-01", "9999-01-01");
    let run = project.stage("run").arg("--no-gates").run().succeeds();
    let signer = project.signer();
    run.says([&*format!("`terms::declaration-missing` is denied and waived by R. Viewer (`{signer}`) until 9999-01-01: the contract is being signed")]);
    for stage in ["train", "export"] {
        let name = project
            .stages()
            .into_iter()
            .find(|name| name.starts_with(stage));
        let outcome = project
            .work("stages")
            .join(name.unwrap())
            .join("outcome.json");
        let outcome: Value = serde_json::from_slice(&std::fs::read(outcome).unwrap()).unwrap();
        assert_eq!(outcome["waivers"][0]["reviewer"], "R. Viewer", "{stage}");
        assert_eq!(outcome["waivers"][0]["code"], "terms::declaration-missing");
    }
    let card = std::fs::read_to_string(project.work("export/README.md")).unwrap();
    for said in [
        "came to `needs_declaration`",
        "What was denied, and went on by a person's word:",
        "the contract is being signed (R. Viewer; signed with the key R.",
    ] {
        assert!(card.contains(said), "no `{said}` in\n{card}");
    }
    let notes = project.report()["notes"].to_string();
    assert!(
        notes.contains("R. Viewer waived it (`R._Viewer+"),
        "{notes}"
    );
    let counted = Sql::open(&project.work("limbeck.db")).number(
        "SELECT count(*) FROM ledger_leaves WHERE kind IN ('model', 'export')
             AND json_extract(record, '$.waivers[0].reviewer') = 'R. Viewer'",
    );
    assert_eq!(counted, 2, "model and export in the ledger");
    // The audit itself is not waived.
    let findings = found(&project, "terms", 1);
    assert_eq!(codes(&findings)[0], "deny terms::declaration-missing");
    assert_eq!(findings[0]["waiver"]["reviewer"], "R. Viewer");
    let whole = project
        .limbeck()
        .args(["audit", "provenance", "integrity", "work"]);
    whole.run().succeeds();
}

#[test]
fn a_store_that_was_tampered_with_is_not_learned_from() {
    let project = Project::choices(10);
    project.stage("curate").run().succeeds();
    Sql::open(&project.work("limbeck.db")).execute("UPDATE traces SET text = 'x' WHERE number = 1");
    project
        .stage("train")
        .run()
        .fails_saying(["`train` is refused", "integrity::trace-changed"]);
    say(
        &project,
        "[[waiver]]\ncode = \"integrity::trace-changed\"\nreviewer = \"R. Viewer\"\nreason = \"a test\"\nexpires = \"9999-01-01\"",
    );
    project.sign();
    project
        .stage("train")
        .run()
        .succeeds()
        .says(["waived by R. Viewer"]);
}

#[test]
fn an_export_to_others_needs_what_training_at_home_does_not() {
    let project = Project::choices(10);
    project.edit("[\"train\", \"release-model\"]", "[\"train\"]");
    project.edit("student_license = \"apache-2.0\"\n", "");
    project.stage("train").run().succeeds();
    project.edit("[\"train\"]", "[\"train\", \"release-model\"]");
    project
        .stage("export")
        .run()
        .fails_saying(["`export` is refused", "licences::student-unlicensed"]);
    assert!(!project.work("export").exists());
    project.edit("use = ", "student_license = \"apache-2.0\"\nuse = ");
    project.stage("export").run().succeeds();
}
