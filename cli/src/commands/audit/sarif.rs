//! Findings as SARIF 2.1.0, which code hosts and editors show.

use limbeck_store::audit::{CODES, Finding, Level};
use serde_json::{Value, json};

use super::{Looked, NO_ADVICE, bits};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What the paths of locations are relative to.
const BASE: &str = "WORKDIR";

/// One run of the tool: a rule for every code, a result for every finding.
pub(super) fn value(looked: &Looked) -> Value {
    let rules = CODES.iter().map(|code| {
        json!({
            "id": code.name,
            "shortDescription": {"text": code.about},
            "defaultConfiguration": {"level": level(code.level)},
        })
    });
    let found = looked.areas.iter().flat_map(|(_, found)| found);
    let results = found.map(|finding| result(looked, finding));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "limbeck",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "originalUriBaseIds": {BASE: {"description": {"text": "the work folder"}}},
            "invocations": [{
                "executionSuccessful": true,
                "exitCode": bits(&looked.areas),
            }],
            "results": results.collect::<Vec<_>>(),
            "properties": {
                "areas": looked.areas.iter().map(|(area, _)| area).collect::<Vec<_>>(),
                "intent": looked.intent,
                "notice": NO_ADVICE,
            },
        }],
    })
}

fn result(looked: &Looked, finding: &Finding) -> Value {
    let text = match &finding.help {
        Some(help) => format!("{} To do: {help}", sentence(&finding.message)),
        None => finding.message.clone(),
    };
    let mut properties = json!({"path": finding.path});
    if let Some(rule) = &finding.rule {
        properties["rule"] = json!(rule);
    }
    if let Some(waiver) = &finding.waiver {
        properties["waiver"] = json!(waiver);
    }
    let mut result = json!({
        "ruleId": finding.code,
        "level": level(finding.level),
        "message": {"text": text},
        "locations": [location(looked, finding)],
        "properties": properties,
    });
    if let Some(index) = CODES.iter().position(|code| code.name == finding.code) {
        result["ruleIndex"] = index.into();
    }
    result
}

/// What is about the recipe is in its file, and everything else in the store; the way by which it came in leads on.
fn location(looked: &Looked, finding: &Finding) -> Value {
    let is_of_recipe = finding.path.first().is_some_and(|step| step == "recipe");
    let artifact = match (&looked.recipe, is_of_recipe) {
        (Some(recipe), true) => json!({"uri": uri(recipe)}),
        _ => json!({"uri": "limbeck.db", "uriBaseId": BASE}),
    };
    let mut location = json!({"physicalLocation": {"artifactLocation": artifact}});
    if !finding.path.is_empty() {
        let name = finding.path.join(" > ");
        location["logicalLocations"] = json!([{"fullyQualifiedName": name}]);
    }
    location
}

/// A path as a relative reference, in which only some characters may stand for themselves.
fn uri(path: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    path.bytes()
        .map(|byte| {
            if is_plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Deny => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_a_reference() {
        assert_eq!(uri("recipes/a b/ä.toml"), "recipes/a%20b/%C3%A4.toml");
        assert_eq!(sentence("no."), "no.");
        assert_eq!(sentence("no"), "no.");
    }
}
