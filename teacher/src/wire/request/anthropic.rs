//! Questions as Anthropic's messages.

use limbeck_store::{Message, Reasoning};
use serde_json::{Map, Value, json};

use super::checks::Checked;
use super::{RequestError, Written, chat_only, number, split_system, thinks};
use crate::wire::preset::ReasoningAbility;

/// The smallest budget of thinking that is taken.
const LEAST_BUDGET: u32 = 1024;

pub(super) fn write(checked: &Checked<'_>, stream: bool) -> Written {
    let (system, turns) = split_system(chat_only(checked)?);
    let parameters = &checked.ask.parameters;
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    set("model", json!(checked.model));
    set("max_tokens", json!(checked.max_tokens));
    if let Some(system) = system {
        set("system", json!(system));
    }
    set("messages", json!(turns));
    // A choice's temperature only makes it certain; while a model thinks, there is none to set.
    let thinking_chooser = thinks(parameters.reasoning) && !parameters.choices.is_empty();
    if let Some(temperature) = checked.temperature.filter(|_| !thinking_chooser) {
        set("temperature", number(temperature));
    }
    if let Some(top_p) = checked.top_p {
        set("top_p", number(top_p));
    }
    if !parameters.stop.is_empty() {
        set("stop_sequences", json!(parameters.stop));
    }
    let mut output = Map::new();
    if let Some(schema) = &parameters.json_schema {
        let format = json!({"type": "json_schema", "schema": schema});
        output.insert("format".to_owned(), format);
    }
    match parameters.reasoning {
        Some(reasoning) if thinks(Some(reasoning)) => {
            check_turns(checked, &turns)?;
            set("thinking", thinking(checked, reasoning, &mut output)?);
        }
        // Some of the newer models think unless they are told not to; the older ones think only if they are told to.
        Some(_) if checked.profile.reasoning == ReasoningAbility::Adaptive => {
            set("thinking", json!({"type": "disabled"}));
        }
        _ => {}
    }
    if !output.is_empty() {
        set("output_config", Value::Object(output));
    }
    if stream {
        set("stream", json!(true));
    }
    Ok(("/messages".to_owned(), Vec::new(), body))
}

/// While it thinks, a model draws at its own temperature, and nothing can be put into its mouth.
fn check_turns(checked: &Checked<'_>, turns: &[&Message]) -> Result<(), RequestError> {
    if checked.temperature.is_some() && checked.ask.parameters.choices.is_empty() {
        let hint = "set `temperature = 1`";
        return Err(checked.unsupported("`temperature` beside `reasoning`", hint));
    }
    if turns.last().is_some_and(|turn| turn.role == "assistant") {
        let hint = "end the messages with a turn of the user";
        return Err(checked.unsupported("a last turn of the assistant beside `reasoning`", hint));
    }
    Ok(())
}

fn thinking(
    checked: &Checked<'_>,
    reasoning: Reasoning,
    output: &mut Map<String, Value>,
) -> Result<Value, RequestError> {
    match (checked.profile.reasoning, reasoning) {
        (ReasoningAbility::Adaptive, Reasoning::Budget(_)) => {
            let hint = format!("set `reasoning` to {}", checked.efforts());
            Err(checked.unsupported("a budget of `reasoning`", &hint))
        }
        (ReasoningAbility::Adaptive, effort) => {
            output.insert("effort".to_owned(), json!(effort.effort()));
            // What is thought is paid for, and told only if it is asked for.
            Ok(json!({"type": "adaptive", "display": "summarized"}))
        }
        (_, Reasoning::Budget(budget)) => {
            // What is left of the most tokens is for the answer.
            if !(LEAST_BUDGET..checked.max_tokens).contains(&budget) {
                return Err(RequestError::Invalid {
                    what: "reasoning.budget",
                    value: budget.to_string(),
                    expected: format!(
                        "{LEAST_BUDGET} or more, and less than `max_tokens` ({})",
                        checked.max_tokens
                    ),
                });
            }
            Ok(json!({"type": "enabled", "budget_tokens": budget}))
        }
        (_, effort) => {
            let what = format!(
                "an effort of `reasoning` ({})",
                effort.effort().unwrap_or_default()
            );
            Err(checked.unsupported(&what, "give a budget: `reasoning = { budget = 2048 }`"))
        }
    }
}
