//! Statements of in-toto about the training and the verdict, signed by the ledger's key.

use limbeck_store::attestation::{FileDigest, Statement, TRAINING, VERDICT};
use limbeck_store::audit::{Area, Finding, Level};
use limbeck_store::ledger::SecretKey;
use serde_json::{Value, json};

use super::Facts;

/// SLSA provenance.
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// Simple Verification Result.
const RESULT: &str = "https://in-toto.io/attestation/svr/v0.1";

/// The statements by the names of their files.
pub(super) fn statements(
    facts: &Facts,
    weights: &[FileDigest],
    key: &SecretKey,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let training = Statement::about(weights, PROVENANCE, training(facts));
    let verdict = Statement::about(weights, RESULT, verdict(facts));
    [(TRAINING, training), (VERDICT, verdict)]
        .into_iter()
        .map(|(name, statement)| {
            let text = serde_json::to_string_pretty(&statement.signed(key))?;
            Ok((name, format!("{text}\n")))
        })
        .collect()
}

fn training(facts: &Facts) -> Value {
    let training = &facts.training;
    let (dataset, rows) = &facts.dataset;
    let mut dependencies = vec![json!({
        "name": "dataset",
        "uri": format!("urn:x-limbeck:dataset:{dataset}"),
        "annotations": {"rows": rows, "answers": facts.answers()},
    })];
    for (weights, sha256) in facts.weights.iter().zip(&facts.weights_sha256) {
        let mut dependency =
            json!({"name": weights.name, "annotations": {"license": weights.license}});
        if let Some(sha256) = sha256 {
            dependency["digest"] = json!({"sha256": sha256});
        }
        dependencies.push(dependency);
    }
    json!({
        "buildDefinition": {
            "buildType": "urn:x-limbeck:training:v1",
            "externalParameters": {
                "recipe": {"name": facts.name, "digest": {"sha256": facts.recipe_sha256}},
                "sections": training.sections,
            },
            "internalParameters": {"stage": training.hash},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {
                "id": "urn:x-limbeck:cli",
                "version": {"limbeck": env!("CARGO_PKG_VERSION")},
            },
            "metadata": {
                "invocationId": format!("{}#{}", facts.ledger.origin, training.run),
                "startedOn": training.started,
                "finishedOn": training.finished,
            },
            "byproducts": [{
                "name": "ledger",
                "annotations": {
                    "origin": facts.ledger.origin,
                    "size": facts.ledger.size,
                    "root": facts.ledger.root,
                },
            }],
        },
    })
}

/// A simple verification result, with what it rests on in fields that who does not know them passes over.
fn verdict(facts: &Facts) -> Value {
    let rights = &facts.rights;
    let mut properties = Vec::new();
    if rights.terms.permits() {
        let verdict = rights.terms.name().to_uppercase();
        properties.push(format!("LIMBECK_TERMS_{verdict}"));
    }
    // What terms come to is told above.
    let others = Area::ALL.into_iter().filter(|area| *area != Area::Terms);
    properties.extend(
        others
            .filter(|area| rights.passes(*area))
            .map(|area| format!("LIMBECK_{}_PASSED", area.name().to_uppercase())),
    );
    if rights.verdict.permits() {
        for usage in facts.uses() {
            properties.push(format!(
                "LIMBECK_FOR_{}",
                usage.to_uppercase().replace('-', "_")
            ));
        }
    }
    let records = rights.records.iter();
    let records: Vec<Value> = records
        .map(|(id, sha256)| json!({"name": id, "digest": {"sha256": sha256}}))
        .collect();
    let finding = |finding: &Finding| {
        json!({
            "code": finding.code,
            "area": finding.area,
            "level": finding.level,
            "message": finding.message,
            "rule": finding.rule,
            "waiver": finding.waiver,
        })
    };
    let area = |area: Area| {
        json!({
            "area": area,
            "about": if area == Area::Integrity { "the whole store" } else { "what went into the model" },
            "denied": rights.count(area, Level::Deny),
            "warnings": rights.count(area, Level::Warning),
            "notes": rights.count(area, Level::Note),
        })
    };
    let open = |(area, what): &(Area, String)| json!({"area": area, "what": what});
    json!({
        "verifier": {
            "id": "urn:x-limbeck:audit:v1",
            "version": env!("CARGO_PKG_VERSION"),
            "policy": records,
        },
        "timeCreated": format!("{}T00:00:00Z", rights.day),
        "properties": properties,
        "verdict": rights.verdict,
        "intent": {
            "use": facts.uses(),
            "student_license": facts.intent.student_license,
            "commercial": facts.intent.commercial,
        },
        "duties": rights.duties,
        "areas": Area::ALL.map(area),
        "notEvaluated": rights.open().iter().map(open).collect::<Vec<_>>(),
        "findings": rights.findings().map(finding).collect::<Vec<_>>(),
        "declarations": facts.words.declarations,
        "clarifications": facts.words.clarifications,
        "records": facts.words.records,
        "exceptions": facts.words.exceptions,
        "waivers": facts.waivers,
    })
}
