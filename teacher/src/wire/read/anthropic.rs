//! What Anthropic's messages say: whole ones and the events of streams.

use serde_json::Value;

use super::draft::Draft;
use super::json::{count, owned_text, text};
use crate::wire::{Finish, Oddity, Usage};

/// Adds what `value` says to the draft.
pub(super) fn feed(draft: &mut Draft, value: &Value) {
    match text(value, "type") {
        Some("message") => {
            feed_message(draft, value);
            draft.done = true;
        }
        Some("message_start") => {
            if let Some(message) = value.get("message") {
                feed_message(draft, message);
            }
        }
        Some("content_block_start") => {
            if let Some(block) = value.get("content_block") {
                feed_block(draft, block);
            }
        }
        Some("content_block_delta") => {
            if let Some(delta) = value.get("delta") {
                feed_block(draft, delta);
            }
        }
        Some("message_delta") => {
            if let Some(delta) = value.get("delta") {
                feed_end(draft, delta);
            }
            feed_usage(draft, value);
        }
        Some("message_stop") => draft.done = true,
        // `ping`, the end of a block, and whatever is yet to be invented.
        _ => {}
    }
}

fn feed_message(draft: &mut Draft, message: &Value) {
    draft.model = owned_text(message, "model");
    draft.response_id = owned_text(message, "id");
    if let Some(blocks) = message.get("content").and_then(Value::as_array) {
        draft.answered = true;
        for block in blocks {
            feed_block(draft, block);
        }
    }
    feed_end(draft, message);
    feed_usage(draft, message);
}

/// A block, or a piece of one: the fields have the same names. Signatures and redacted thoughts are nobody's text.
fn feed_block(draft: &mut Draft, block: &Value) {
    match text(block, "type") {
        Some("text" | "text_delta") => {
            draft.text.push_str(text(block, "text").unwrap_or_default());
        }
        Some("thinking" | "thinking_delta") => {
            draft
                .reasoning
                .push_str(text(block, "thinking").unwrap_or_default());
        }
        _ => {}
    }
}

fn feed_end(draft: &mut Draft, end: &Value) {
    let Some(reason) = text(end, "stop_reason") else {
        return;
    };
    let finish = match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::Refusal,
        "tool_use" => Finish::Tool,
        other => Finish::Other(other.chars().take(40).collect()),
    };
    draft.finish = Some((finish, reason.to_owned()));
    let details = end.get("stop_details");
    if let Some(explanation) = details.and_then(|details| text(details, "explanation")) {
        explanation.clone_into(&mut draft.refusal);
    }
}

/// Counts are totals so far, not what a piece adds. What was read from a cache or written to one is counted apart
/// from the other input.
fn feed_usage(draft: &mut Draft, value: &Value) {
    let Some(usage) = value.get("usage") else {
        return;
    };
    let oddities: &mut Vec<Oddity> = &mut draft.oddities;
    let fresh = count(usage, "input_tokens", oddities);
    let cached = count(usage, "cache_read_input_tokens", oddities).or(draft.usage.cached);
    let written =
        count(usage, "cache_creation_input_tokens", oddities).or(draft.usage.cache_written);
    draft.usage.update(Usage {
        input: fresh.map(|fresh| fresh + cached.unwrap_or(0) + written.unwrap_or(0)),
        cached,
        cache_written: written,
        output: count(usage, "output_tokens", oddities),
        reasoning: None,
    });
}
