//! What services say in `OpenAI`'s dialect: whole answers and pieces of streams, of chats and of completions.

use serde_json::Value;

use super::draft::Draft;
use super::json::{count, note, owned_text, text};
use super::log_probabilities;
use crate::wire::failure::from_error;
use crate::wire::{Failure, FailureKind, Finish, Oddity, Usage};

/// Adds what `value` says to the draft.
pub(super) fn feed(draft: &mut Draft, value: &Value) {
    if draft.model.is_none() {
        draft.model = owned_text(value, "model");
    }
    if draft.response_id.is_none() {
        draft.response_id = owned_text(value, "id");
    }
    if draft.system_fingerprint.is_none() {
        draft.system_fingerprint = owned_text(value, "system_fingerprint");
    }
    // Groq puts the usage of a stream into a corner of its own.
    let usage = value.get("usage").filter(|usage| usage.is_object());
    if let Some(usage) = usage.or_else(|| value.get("x_groq")?.get("usage")) {
        let usage = read_usage(usage, &mut draft.oddities);
        draft.usage.update(usage);
    }
    // And there as well why it ends a stream early.
    if let Some(failure) = value
        .get("x_groq")
        .and_then(|corner| from_error(None, corner, false))
    {
        draft.failure = Some(failure);
        return;
    }
    let choices = value.get("choices").and_then(Value::as_array);
    for (position, choice) in choices.into_iter().flatten().enumerate() {
        let index = choice.get("index").and_then(Value::as_u64);
        let index = index.unwrap_or(position as u64);
        if index > 0 {
            note(&mut draft.oddities, Oddity::SeveralAnswers);
            continue;
        }
        feed_choice(draft, choice);
    }
}

fn feed_choice(draft: &mut Draft, choice: &Value) {
    // OpenRouter tells of an upstream that broke inside the choice.
    if let Some(failure) = from_error(None, choice, false) {
        draft.failure = Some(failure);
        return;
    }
    if let Some(piece) = text(choice, "text") {
        draft.answered = true;
        draft.text.push_str(piece);
    }
    let message = choice.get("delta").or_else(|| choice.get("message"));
    if let Some(message) = message.filter(|message| message.is_object()) {
        draft.answered = true;
        feed_message(draft, message);
    }
    if let Some(told) = choice.get("logprobs").filter(|told| told.is_object()) {
        match log_probabilities::read(told) {
            Ok(tokens) => draft.tokens.extend(tokens),
            Err(what) => draft.broken_tokens = Some(what.to_owned()),
        }
    }
    if let Some(reason) = text(choice, "finish_reason").filter(|reason| !reason.is_empty()) {
        finish(draft, reason);
    }
}

fn feed_message(draft: &mut Draft, message: &Value) {
    // Both names are used, by some servers at once and for the same words.
    let reasoning = text(message, "reasoning_content").or_else(|| text(message, "reasoning"));
    draft.reasoning.push_str(reasoning.unwrap_or_default());
    match message.get("content") {
        Some(Value::String(piece)) => draft.text.push_str(piece),
        Some(Value::Array(parts)) => {
            for part in parts {
                feed_part(draft, part);
            }
        }
        _ => {}
    }
    draft
        .refusal
        .push_str(text(message, "refusal").unwrap_or_default());
}

/// A part of a content that is a list: Mistral's models that reason answer so.
fn feed_part(draft: &mut Draft, part: &Value) {
    match text(part, "type") {
        Some("thinking") => match part.get("thinking") {
            Some(Value::String(thought)) => draft.reasoning.push_str(thought),
            Some(Value::Array(thoughts)) => {
                let thoughts = thoughts.iter().filter_map(|thought| text(thought, "text"));
                draft.reasoning.extend(thoughts);
            }
            _ => {}
        },
        Some("refusal") => draft
            .refusal
            .push_str(text(part, "refusal").unwrap_or_default()),
        _ => draft.text.push_str(text(part, "text").unwrap_or_default()),
    }
}

fn finish(draft: &mut Draft, reason: &str) {
    let finish = match reason {
        "stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "refusal" => Finish::Refusal,
        "tool_calls" | "function_call" => Finish::Tool,
        // DeepSeek's word for a request that it dropped.
        "insufficient_system_resource" => {
            return fail(draft, FailureKind::Overloaded, reason);
        }
        "error" | "abort" | "cancelled" => return fail(draft, FailureKind::Server, reason),
        other => Finish::Other(other.chars().take(40).collect()),
    };
    draft.finish = Some((finish, reason.to_owned()));
}

fn fail(draft: &mut Draft, kind: FailureKind, reason: &str) {
    if draft.failure.is_none() {
        let message = format!("the service broke the answer off (`{reason}`)");
        draft.failure = Some(Failure::transport(kind, &message));
    }
}

fn read_usage(usage: &Value, oddities: &mut Vec<Oddity>) -> Usage {
    let nothing = Value::Null;
    let input_details = usage.get("prompt_tokens_details").unwrap_or(&nothing);
    let output_details = usage.get("completion_tokens_details").unwrap_or(&nothing);
    let input = count(usage, "prompt_tokens", oddities);
    let cached = count(input_details, "cached_tokens", oddities)
        .or_else(|| count(usage, "prompt_cache_hit_tokens", oddities))
        .or_else(|| count(usage, "cached_tokens", oddities));
    let written = count(usage, "completion_tokens", oddities);
    let reasoning = count(output_details, "reasoning_tokens", oddities);
    let total = count(usage, "total_tokens", oddities);
    // Some services (xAI) count reasoning apart from what is written, and in the total alone.
    let output = match (input, written, reasoning, total) {
        (Some(input), Some(written), Some(reasoning), Some(total))
            if total == input + written + reasoning =>
        {
            Some(written + reasoning)
        }
        _ => written,
    };
    Usage {
        input,
        cached,
        cache_written: None,
        output,
        reasoning,
    }
}
