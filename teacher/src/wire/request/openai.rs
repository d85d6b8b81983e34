//! Questions in `OpenAI`'s dialect.

use limbeck_store::{PromptBody, Reasoning, SamplingParameters};
use serde_json::{Map, Value, json};

use super::checks::Checked;
use super::{RequestError, Written, number, thinks};
use crate::wire::preset::ReasoningAbility;

pub(super) fn write(checked: &Checked<'_>, stream: bool) -> Written {
    let parameters = &checked.ask.parameters;
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    set("model", json!(checked.model));
    let path = match &checked.ask.prompt.body {
        PromptBody::Completion { text } => {
            set("prompt", json!(text));
            set("max_tokens", json!(checked.max_tokens));
            // The older completions have one field for both.
            if let Some(top) = checked.top_logprobs {
                set("logprobs", json!(top));
            }
            "/completions"
        }
        PromptBody::Chat { messages } => {
            set("messages", json!(messages));
            set(
                checked.preset.max_tokens_field.name(),
                json!(checked.max_tokens),
            );
            if let Some(top) = checked.top_logprobs {
                set("logprobs", json!(true));
                set("top_logprobs", json!(top));
            }
            "/chat/completions"
        }
    };
    if let Some(temperature) = checked.temperature {
        set("temperature", number(temperature));
    }
    if let Some(top_p) = checked.top_p {
        set("top_p", number(top_p));
    }
    let stop = stop(checked);
    if !stop.is_empty() {
        set("stop", json!(stop));
    }
    if let Some(field) = &checked.preset.seed_field {
        set(field, json!(seed(checked)));
    }
    if let Some(schema) = &parameters.json_schema {
        set("response_format", response_format(schema));
    }
    if stream {
        set("stream", json!(true));
        if checked.preset.stream_usage {
            set("stream_options", json!({"include_usage": true}));
        }
    }
    if let Some(reasoning) = parameters.reasoning {
        write_reasoning(checked, reasoning, &mut body)?;
    }
    Ok((path.to_owned(), Vec::new(), body))
}

/// A text that is to go on with a choice would go on after it, so its line is where it ends.
fn stop<'a>(checked: &'a Checked<'_>) -> Vec<&'a str> {
    let SamplingParameters { choices, stop, .. } = &checked.ask.parameters;
    let completes = matches!(checked.ask.prompt.body, PromptBody::Completion { .. });
    let on_one_line = choices.iter().all(|choice| !choice.trim().contains('\n'));
    if completes
        && !choices.is_empty()
        && on_one_line
        && stop.is_empty()
        && checked.profile.stop > 0
    {
        return vec!["\n"];
    }
    stop.iter().map(String::as_str).collect()
}

/// Services take seeds of 32 to 64 bits with or without a sign; all of them take 31.
pub(super) fn seed(checked: &Checked<'_>) -> u64 {
    checked.ask.seed() >> 33
}

fn response_format(schema: &Value) -> Value {
    json!({
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": true, "schema": schema},
    })
}

fn write_reasoning(
    checked: &Checked<'_>,
    reasoning: Reasoning,
    body: &mut Map<String, Value>,
) -> Result<(), RequestError> {
    let mut set = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    // A budget of nothing is none at all.
    let reasoning = match reasoning {
        Reasoning::Budget(0) => Reasoning::Off,
        reasoning => reasoning,
    };
    match (checked.profile.reasoning, reasoning) {
        (ReasoningAbility::Openrouter, Reasoning::Budget(tokens)) => {
            set("reasoning", json!({"max_tokens": tokens}));
        }
        (ReasoningAbility::Openrouter, effort) => {
            set("reasoning", json!({"effort": effort.effort()}));
        }
        (ReasoningAbility::EffortOrBudget, Reasoning::Budget(tokens)) => {
            set("reasoning_effort", json!(tokens));
        }
        (_, Reasoning::Budget(_)) => {
            let hint = format!("set `reasoning` to {}", checked.efforts());
            return Err(checked.unsupported("a budget of `reasoning`", &hint));
        }
        (ReasoningAbility::Together, effort) => {
            let on = thinks(Some(effort));
            set("reasoning", json!({"enabled": on}));
            if on {
                set("reasoning_effort", json!(effort.effort()));
            }
        }
        (ReasoningAbility::Deepseek, effort) => {
            let on = thinks(Some(effort));
            set(
                "thinking",
                json!({"type": if on { "enabled" } else { "disabled" }}),
            );
            if on {
                set("reasoning_effort", json!(effort.effort()));
            }
        }
        (_, effort) => set("reasoning_effort", json!(effort.effort())),
    }
    Ok(())
}
