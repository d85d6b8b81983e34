//! The forms that findings are written in.

use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use crate::support::Project;

/// A run in which each level occurs, with an exception and text that means harm.
fn audited() -> Project {
    let project = Project::choices(0);
    project.rows(
        "prompts.jsonl",
        &[
            json!({"text": "thanks @ann <b>&\u{1b}[31m"}),
            json!({"text": "my key is AKIAIOSFODNN7EXAMPLE"}),
        ],
    );
    project.edit(
        "[harvest]\n",
        "[[audit.rule]]\ncode = \"privacy::handle\"\nlevel = \"allow\"\nreason = \"<they> & we know\"\n\n[[audit.rule]]\ncode = \"privacy::card\"\nlevel = \"allow\"\nreason = \"all made up\"\n\n[harvest]\n",
    );
    project.stage("harvest").run().succeeds();
    project
}

fn written(project: &Project, form: &str) -> String {
    let audit = project
        .limbeck()
        .args(["audit", "recipe.toml", "--workdir", "work"]);
    audit.args(["--format", form]).run().exits(32).stdout
}

#[test]
fn json_is_as_its_schema_says() {
    let project = audited();
    let value: Value = serde_json::from_str(&written(&project, "json")).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.schema.json");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    let schema: Value = serde_json::from_str(&text).unwrap();
    compiler.add_resource("audit.schema.json", schema).unwrap();
    let index = compiler.compile("audit.schema.json", &mut schemas).unwrap();
    schemas.validate(&value, index).unwrap();
    assert_eq!(value["exit_code"], 32);
    assert_eq!(value["areas"].as_array().unwrap().len(), 6);
    assert_eq!(value["intent"], json!(["train", "release-model"]));
    let mut wrong = value;
    wrong["findings"][0]["level"] = "grave".into();
    assert!(schemas.validate(&wrong, index).is_err());
}

#[test]
fn sarif_has_a_rule_for_every_code_and_a_result_for_every_finding() {
    let project = audited();
    let value: Value = serde_json::from_str(&written(&project, "sarif")).unwrap();
    let findings: Value = serde_json::from_str(&written(&project, "json")).unwrap();
    let findings = findings["findings"].as_array().unwrap();
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    assert_eq!(run["invocations"][0]["exitCode"], 32);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    for (result, finding) in results.iter().zip(findings) {
        assert_eq!(result["ruleId"], finding["code"]);
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], finding["code"]);
        let level = match finding["level"].as_str().unwrap() {
            "deny" => "error",
            level => level,
        };
        assert_eq!(result["level"], level);
    }
    let of = |code: &str| {
        results
            .iter()
            .find(|result| result["ruleId"] == code)
            .unwrap()
    };
    let uri = |code: &str| {
        of(code)["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone()
    };
    assert_eq!(uri("privacy::exception-unused"), "recipe.toml");
    assert_eq!(uri("privacy::secret-by-prefix"), "limbeck.db");
    assert_eq!(
        of("privacy::handle")["properties"]["rule"]["was"],
        "warning"
    );
}

#[test]
fn junit_fails_the_codes_that_are_denied() {
    let project = audited();
    let text = written(&project, "junit");
    for part in [
        "<testsuites name=\"limbeck audit\"",
        "<testsuite name=\"terms\"",
        "<testcase name=\"terms::denied\" classname=\"terms\"",
        "<failure message=\"",
        "type=\"privacy::secret-by-prefix\"",
        "not legal advice",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert_eq!(text.matches("<failure").count(), 1, "{text}");
    assert!(!text.contains("AKIAIOSFODNN7EXAMPLE"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}
