//! Questions to Google's `generateContent`.

use limbeck_store::{Message, Reasoning};
use serde_json::{Map, Value, json};

use super::checks::Checked;
use super::openai::seed;
use super::{RequestError, Written, chat_only, number, split_system};
use crate::wire::preset::ReasoningAbility;

pub(super) fn write(checked: &Checked<'_>, stream: bool) -> Written {
    let (system, turns) = split_system(chat_only(checked)?);
    let mut body = Map::new();
    if let Some(system) = system {
        body.insert(
            "systemInstruction".to_owned(),
            json!({"parts": [{"text": system}]}),
        );
    }
    let contents: Vec<Value> = turns.into_iter().map(turn).collect();
    body.insert("contents".to_owned(), Value::Array(contents));
    body.insert(
        "generationConfig".to_owned(),
        Value::Object(generation(checked)?),
    );
    let (method, query) = if stream {
        let events = ("alt".to_owned(), "sse".to_owned());
        ("streamGenerateContent", vec![events])
    } else {
        ("generateContent", Vec::new())
    };
    let model = checked.model.trim_start_matches("models/");
    Ok((format!("/models/{model}:{method}"), query, body))
}

fn turn(message: &Message) -> Value {
    let role = match message.role.as_str() {
        "assistant" => "model",
        _ => "user",
    };
    json!({"role": role, "parts": [{"text": message.content}]})
}

fn generation(checked: &Checked<'_>) -> Result<Map<String, Value>, RequestError> {
    let parameters = &checked.ask.parameters;
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| drop(config.insert(key.to_owned(), value));
    set("maxOutputTokens", json!(checked.max_tokens));
    if let Some(temperature) = checked.temperature {
        set("temperature", number(temperature));
    }
    if let Some(top_p) = checked.top_p {
        set("topP", number(top_p));
    }
    if !parameters.stop.is_empty() {
        set("stopSequences", json!(parameters.stop));
    }
    set("seed", json!(seed(checked)));
    if let Some(top) = checked.top_logprobs {
        set("responseLogprobs", json!(true));
        set("logprobs", json!(top));
    }
    if let Some(schema) = &parameters.json_schema {
        set("responseMimeType", json!("application/json"));
        set("responseJsonSchema", schema.clone());
    }
    if let Some(reasoning) = parameters.reasoning {
        set("thinkingConfig", thinking(checked, reasoning)?);
    }
    Ok(config)
}

/// What is thought is asked for as well: otherwise it is paid for and not told.
fn thinking(checked: &Checked<'_>, reasoning: Reasoning) -> Result<Value, RequestError> {
    match (checked.profile.reasoning, reasoning) {
        (ReasoningAbility::Level, Reasoning::Off | Reasoning::Budget(_)) => {
            let hint = format!("set `reasoning` to {}", checked.efforts());
            Err(checked.unsupported("`reasoning` as a budget or off", &hint))
        }
        (ReasoningAbility::Level, effort) => Ok(json!({
            "thinkingLevel": effort.effort(),
            "includeThoughts": true,
        })),
        (_, Reasoning::Off | Reasoning::Budget(0)) => Ok(json!({"thinkingBudget": 0})),
        (_, Reasoning::Budget(tokens)) => Ok(json!({
            "thinkingBudget": tokens,
            "includeThoughts": true,
        })),
        (_, effort) => {
            let what = format!(
                "an effort of `reasoning` ({})",
                effort.effort().unwrap_or_default()
            );
            Err(checked.unsupported(&what, "give a budget: `reasoning = { budget = 2048 }`"))
        }
    }
}
