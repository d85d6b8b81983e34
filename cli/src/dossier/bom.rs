//! The bill of materials: `CycloneDX` 1.6, the part of it that a distilled model needs.

use std::fmt::Display;

use limbeck_store::Clarified;
use limbeck_store::attestation::FileDigest;
use limbeck_student::export::CardScore;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Facts, license_in_words};

const MODEL: &str = "model";
const DATASET: &str = "dataset";

/// A whole bill.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bill {
    bom_format: &'static str,
    spec_version: &'static str,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    timestamp: String,
    tools: Value,
    component: Component,
}

/// A model, a dataset or a file.
#[derive(Debug, Default, Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "modelCard")]
    model_card: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Debug, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Serialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    #[serde(rename = "dependsOn")]
    on: Vec<String>,
}

/// The text of the bill.
pub(super) fn bom(facts: &Facts, weights: &[FileDigest]) -> anyhow::Result<String> {
    let files = weights.iter().map(|file| Component {
        kind: "file",
        reference: format!("file:{}", file.path),
        name: file.path.clone(),
        hashes: vec![sha256(&file.sha256)],
        ..Component::default()
    });
    let mut components: Vec<Component> = files.collect();
    components.push(dataset(facts));
    let taken: Vec<Component> = taken(facts).collect();
    let mut on: Vec<String> = vec![DATASET.to_owned()];
    on.extend(taken.iter().map(|model| model.reference.clone()));
    components.extend(taken);
    let bill = Bill {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        version: 1,
        metadata: Metadata {
            timestamp: facts.training.finished.clone(),
            tools: json!({"components": [{
                "type": "application",
                "name": "limbeck",
                "version": env!("CARGO_PKG_VERSION"),
            }]}),
            component: model(facts),
        },
        components,
        dependencies: vec![Dependency {
            of: MODEL.to_owned(),
            on,
        }],
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&bill)?))
}

fn model(facts: &Facts) -> Component {
    let intent = &facts.intent;
    let mut properties = vec![
        property("limbeck:verdict", facts.rights.verdict.name()),
        property("limbeck:use", facts.uses().join(",")),
        property("limbeck:ledger:origin", &facts.ledger.origin),
        property("limbeck:ledger:size", facts.ledger.size),
        property("limbeck:ledger:root", &facts.ledger.root),
        property("limbeck:parameters", facts.training.parameters),
    ];
    properties.extend(facts.rights.duties.iter().map(|duty| {
        property(
            "limbeck:duty",
            format!("{}: {} ({})", duty.kind.name(), duty.text, duty.terms),
        )
    }));
    Component {
        kind: "machine-learning-model",
        reference: MODEL.to_owned(),
        name: facts.name.clone(),
        description: facts.description.clone(),
        licenses: intent
            .student_license
            .iter()
            .map(|name| license(name, None))
            .collect(),
        model_card: Some(json!({
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": if intent.classifier { "text-classification" } else { "text-generation" },
                "architectureFamily": "transformer",
                "modelArchitecture": "llama",
                "datasets": [{"ref": DATASET}],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": "text"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": facts.scores.iter().map(metric).collect::<Vec<_>>(),
            },
        })),
        properties,
        ..Component::default()
    }
}

fn metric(score: &CardScore) -> Value {
    json!({
        "type": score.metric,
        "value": score.score.to_string(),
        "slice": format!("{}, {} of {} rows", score.name, score.suite, score.n),
        "confidenceInterval": {
            "lowerBound": score.low.to_string(),
            "upperBound": score.high.to_string(),
        },
    })
}

fn dataset(facts: &Facts) -> Component {
    let (id, rows) = &facts.dataset;
    let mut properties = vec![property("limbeck:rows", rows)];
    for way in &facts.ways {
        let words = format!(
            "{} answers of {} by way of {}, {}",
            way.answers,
            way.model,
            way.describe(),
            super::days(way.first, way.last)
        );
        properties.push(property("limbeck:answers", words));
    }
    for prompts in &facts.prompts {
        let license = license_in_words(prompts.license.as_deref(), prompts.clarified.as_ref());
        properties.push(property(
            "limbeck:prompts",
            format!("{} ({license})", prompts.name),
        ));
    }
    Component {
        kind: "data",
        reference: DATASET.to_owned(),
        name: id.clone(),
        data: vec![json!({
            "type": "dataset",
            "name": id,
            "description": "Answers of other models to prompts, each with a record in the ledger.",
        })],
        properties,
        ..Component::default()
    }
}

/// The models that weights, tokenizer or answers are of, each once.
fn taken(facts: &Facts) -> impl Iterator<Item = Component> {
    let mut models: Vec<Component> = Vec::new();
    let digests = facts.weights.iter().zip(&facts.weights_sha256);
    let weights = digests.map(|(weights, digest)| {
        let license = (weights.license.as_ref(), weights.clarified.as_ref());
        (&weights.name, license, digest.as_ref())
    });
    let answering = facts.ways.iter().map(|way| {
        let license = (way.license.as_ref(), way.clarified.as_ref());
        (&way.model, license, None)
    });
    for (name, (its_license, clarified), digest) in weights.chain(answering) {
        let reference = format!("model:{name}");
        if models.iter().any(|known| known.reference == reference) {
            continue;
        }
        models.push(Component {
            kind: "machine-learning-model",
            reference,
            name: name.clone(),
            hashes: digest.map(|digest| sha256(digest)).into_iter().collect(),
            licenses: its_license
                .map(|name| license(name, clarified))
                .into_iter()
                .collect(),
            properties: clarified
                .map(|clarified| property("limbeck:clarification", clarified_in_words(clarified)))
                .into_iter()
                .collect(),
            ..Component::default()
        });
    }
    models.into_iter()
}

/// A licence by the id of the SPDX list, as an expression of several, or by name where it is neither. What a person found
/// by reading a text is concluded, in the words of `CycloneDX`; all else is declared.
fn license(name: &str, clarified: Option<&Clarified>) -> Value {
    let acknowledgement = match clarified {
        Some(_) => "concluded",
        None => "declared",
    };
    let mut known = spdx::identifiers::LICENSES.iter();
    if let Some(known) = known.find(|known| known.name.eq_ignore_ascii_case(name)) {
        return json!({"license": {"id": known.name, "acknowledgement": acknowledgement}});
    }
    match spdx::Expression::parse(name) {
        Ok(_) => json!({"expression": name, "acknowledgement": acknowledgement}),
        Err(_) => json!({"license": {"name": name, "acknowledgement": acknowledgement}}),
    }
}

fn clarified_in_words(clarified: &Clarified) -> String {
    format!(
        "{}, as {} declares by {} (SHA-256 {})",
        clarified.license, clarified.reviewer, clarified.text, clarified.sha256
    )
}

fn sha256(digest: &str) -> Hash {
    Hash {
        alg: "SHA-256",
        content: digest.to_owned(),
    }
}

fn property(name: &str, value: impl Display) -> Property {
    Property {
        name: name.to_owned(),
        value: value.to_string(),
    }
}
