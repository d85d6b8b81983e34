//! What a line of a batch's input asks: a chat, a completion or a response.

use limbeck_store::{Message, PromptBody, SamplingParameters};
use serde_json::{Map, Value, json};

use super::batch::Request;
use super::conversation::{chat, row_id};

/// Reads the line of a request.
pub fn request(line: Map<String, Value>) -> Result<Request, String> {
    let asked = line.get("body").and_then(Value::as_object);
    let asked = asked.ok_or("it has no `body`")?;
    let body = match (asked.get("messages"), asked.get("prompt")) {
        (Some(Value::Array(messages)), _) => PromptBody::Chat {
            messages: chat(messages)?,
        },
        (_, Some(Value::String(text))) => PromptBody::Completion { text: text.clone() },
        _ if asked.contains_key("input") => PromptBody::Chat {
            messages: input(asked)?,
        },
        _ => return Err("its `body` has neither `messages`, an `input` nor a `prompt`".to_owned()),
    };
    Ok(Request {
        body,
        parameters: parameters(asked)?,
        model: row_id(asked, "model"),
        endpoint: row_id(&line, "url").unwrap_or_else(|| "batch".to_owned()),
        line: Value::Object(line),
    })
}

/// The turns that a response is asked for with: `instructions` stand before the `input`, which is a text or a list of
/// turns. What refers to something that the file does not hold cannot be known as a question.
fn input(asked: &Map<String, Value>) -> Result<Vec<Message>, String> {
    for elsewhere in ["previous_response_id", "conversation", "prompt"] {
        if asked.get(elsewhere).is_some_and(|value| !value.is_null()) {
            return Err(format!(
                "`{elsewhere}` names what was asked before, which is not in the file"
            ));
        }
    }
    let mut turns = match asked.get("input") {
        Some(Value::String(text)) => vec![Message::new("user", text)],
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let kind = item.get("type").and_then(Value::as_str);
                if let Some(kind) = kind.filter(|kind| *kind != "message") {
                    let kind: String = kind.chars().take(40).collect();
                    let turn = index + 1;
                    return Err(format!(
                        "turn {turn} of the question is no text but `{kind}`"
                    ));
                }
            }
            chat(items)?
        }
        _ => return Err("`input` is neither a text nor a list of turns".to_owned()),
    };
    if let Some(instructions) = asked.get("instructions").and_then(Value::as_str) {
        turns.insert(0, Message::new("system", instructions));
    }
    Ok(turns)
}

/// How it was asked. `OpenAI`'s defaults: temperature and top-p 1, as many tokens as there is room for (here 0).
fn parameters(asked: &Map<String, Value>) -> Result<SamplingParameters, String> {
    let given = |name: &str| asked.get(name).filter(|value| !value.is_null());
    let fraction = |name: &str, highest: f64| match given(name) {
        None => Ok(1.0),
        Some(value) => value
            .as_f64()
            .filter(|value| (0.0..=highest).contains(value))
            .map(|value| value as f32)
            .ok_or_else(|| format!("`{name}` is no number from 0 to {highest}")),
    };
    let count = |name: &str| match given(name) {
        None => Ok(None),
        Some(value) => match value.as_u64().and_then(|value| u32::try_from(value).ok()) {
            Some(count) => Ok(Some(count)),
            None => Err(format!("`{name}` is no count")),
        },
    };
    let stop = match given("stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(stops) => serde_json::from_value(stops.clone())
            .map_err(|_| "`stop` is neither a text nor a list of texts".to_owned())?,
    };
    let effort = given("reasoning_effort").or_else(|| given("reasoning")?.get("effort"));
    let effort = match effort.and_then(Value::as_str) {
        Some("none") => Some("off"),
        effort => effort,
    };
    let schema = given("response_format")
        .and_then(|format| format.get("json_schema")?.get("schema"))
        .or_else(|| given("text")?.get("format")?.get("schema"));
    let most = ["max_output_tokens", "max_completion_tokens", "max_tokens"]
        .into_iter()
        .find(|name| given(name).is_some());
    Ok(SamplingParameters {
        temperature: fraction("temperature", 100.0)?,
        top_p: fraction("top_p", 1.0)?,
        max_tokens: most.map(&count).transpose()?.flatten().unwrap_or(0),
        top_logprobs: count("top_logprobs")?.unwrap_or(0),
        seed: given("seed").and_then(Value::as_u64).unwrap_or(0),
        stop,
        json_schema: schema.cloned(),
        reasoning: effort.and_then(|effort| serde_json::from_value(json!(effort)).ok()),
        ..SamplingParameters::choose(Vec::new())
    })
}
