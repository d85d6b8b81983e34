//! What Google's `generateContent` says; the pieces of its streams have the shape of whole answers.

use serde_json::Value;

use super::draft::Draft;
use super::json::{count, note, owned_text, text};
use super::log_probabilities::{bytes_of_text, log_probability, token};
use crate::wire::{Failure, FailureKind, Finish, Oddity, Usage, WireToken};

/// Adds what `value` says to the draft.
pub(super) fn feed(draft: &mut Draft, value: &Value) {
    if draft.model.is_none() {
        draft.model = owned_text(value, "modelVersion");
    }
    if draft.response_id.is_none() {
        draft.response_id = owned_text(value, "responseId");
    }
    if let Some(usage) = value.get("usageMetadata") {
        let usage = read_usage(usage, &mut draft.oddities);
        draft.usage.update(usage);
    }
    let blocked = value
        .get("promptFeedback")
        .and_then(|said| text(said, "blockReason"));
    if let Some(reason) = blocked {
        let message = format!("the prompt was blocked (`{reason}`)");
        let failure = Failure::transport(FailureKind::Policy, &message);
        draft.failure = Some(Failure {
            code: Some(reason.to_owned()),
            ..failure
        });
    }
    let candidates = value.get("candidates").and_then(Value::as_array);
    for (position, candidate) in candidates.into_iter().flatten().enumerate() {
        let index = candidate.get("index").and_then(Value::as_u64);
        let index = index.unwrap_or(position as u64);
        if index > 0 {
            note(&mut draft.oddities, Oddity::SeveralAnswers);
            continue;
        }
        draft.answered = true;
        feed_candidate(draft, candidate);
    }
}

fn feed_candidate(draft: &mut Draft, candidate: &Value) {
    let parts = candidate
        .get("content")
        .and_then(|content| content.get("parts"));
    for part in parts.and_then(Value::as_array).into_iter().flatten() {
        let piece = text(part, "text").unwrap_or_default();
        match part.get("thought").and_then(Value::as_bool) {
            Some(true) => draft.reasoning.push_str(piece),
            _ => draft.text.push_str(piece),
        }
    }
    if let Some(told) = candidate.get("logprobsResult") {
        match read_tokens(told) {
            Ok(tokens) => draft.tokens.extend(tokens),
            Err(what) => draft.broken_tokens = Some(what.to_owned()),
        }
    }
    if let Some(reason) = text(candidate, "finishReason") {
        let finish = match reason {
            "STOP" => Finish::Stop,
            "MAX_TOKENS" => Finish::Length,
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" => {
                Finish::ContentFilter
            }
            other => Finish::Other(other.to_lowercase().chars().take(40).collect()),
        };
        if finish == Finish::ContentFilter {
            draft
                .refusal
                .push_str(text(candidate, "finishMessage").unwrap_or_default());
        }
        draft.finish = Some((finish, reason.to_owned()));
    }
}

fn read_usage(usage: &Value, oddities: &mut Vec<Oddity>) -> Usage {
    let answer = count(usage, "candidatesTokenCount", oddities);
    let reasoning = count(usage, "thoughtsTokenCount", oddities);
    let output = match (answer, reasoning) {
        (None, None) => None,
        (answer, reasoning) => Some(answer.unwrap_or(0) + reasoning.unwrap_or(0)),
    };
    Usage {
        input: count(usage, "promptTokenCount", oddities),
        cached: count(usage, "cachedContentTokenCount", oddities),
        cache_written: None,
        output,
        reasoning,
    }
}

fn read_tokens(told: &Value) -> Result<Vec<WireToken>, &'static str> {
    let list = |key| told.get(key).and_then(Value::as_array);
    let chosen = list("chosenCandidates").map_or(&[][..], Vec::as_slice);
    let positions = list("topCandidates").map_or(&[][..], Vec::as_slice);
    let read = |told: &Value| -> Result<(Vec<u8>, f32), &'static str> {
        let bytes = bytes_of_text(text(told, "token").ok_or("a token has no text")?)?;
        Ok((bytes, log_probability(told.get("logProbability"))?))
    };
    let tokens = chosen.iter().enumerate().map(|(index, told)| {
        let (bytes, value) = read(told)?;
        let alternatives = positions
            .get(index)
            .and_then(|position| position.get("candidates"));
        let alternatives = alternatives.and_then(Value::as_array);
        let top = alternatives.into_iter().flatten();
        let top = top.filter_map(|told| read(told).ok()).collect();
        Ok(token(bytes, value, top))
    });
    tokens.collect()
}
