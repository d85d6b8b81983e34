//! What `OpenAI`'s responses say: the answers of `/v1/responses`, whole ones alone. They are not asked for here, but
//! come in files of batches.

use serde_json::{Value, json};

use super::draft::Draft;
use super::json::{count, owned_text, text};
use super::{json as strangers, log_probabilities};
use crate::wire::failure::from_error;
use crate::wire::{Failure, FailureKind, Finish, Oddity, Usage, WireAnswer};

/// Whether a body is one that [`read_response`] reads.
pub fn is_response(body: &Value) -> bool {
    text(body, "object") == Some("response")
}

/// Reads the body of an answer with a good status: its messages are the text, its summaries and texts of reasoning the
/// reasoning.
///
/// # Errors
/// The [`Failure`] that it tells of; of kind [`Malformed`](FailureKind::Malformed) where it holds no answer, as one that
/// is still in progress does.
pub fn read_response(body: &[u8]) -> Result<WireAnswer, Failure> {
    let mut draft = Draft::default();
    match strangers::parse(body, &mut draft.oddities) {
        Ok(value) => feed(&mut draft, &value),
        Err(error) => {
            let message = strangers::describe(body, &error);
            draft.failure = Some(Failure::transport(FailureKind::Malformed, &message));
        }
    }
    draft.finish(false, None)
}

fn feed(draft: &mut Draft, value: &Value) {
    draft.model = owned_text(value, "model");
    draft.response_id = owned_text(value, "id");
    if let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) {
        draft.usage = read_usage(usage, &mut draft.oddities);
    }
    let output = value.get("output").and_then(Value::as_array);
    for item in output.into_iter().flatten() {
        match text(item, "type") {
            Some("message") => feed_message(draft, item),
            Some("reasoning") => feed_reasoning(draft, item),
            // A tool was called, which is no answer; there may be one beside it.
            _ => draft.finish = Some((Finish::Tool, "tool".to_owned())),
        }
    }
    end(draft, value);
}

/// The answer is a list of parts, each a text with its tokens or a refusal.
fn feed_message(draft: &mut Draft, message: &Value) {
    draft.answered = true;
    let parts = message.get("content").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        draft
            .refusal
            .push_str(text(part, "refusal").unwrap_or_default());
        draft.text.push_str(text(part, "text").unwrap_or_default());
        let Some(told) = part.get("logprobs").filter(|told| told.is_array()) else {
            continue;
        };
        match log_probabilities::read(&json!({"content": told})) {
            Ok(tokens) => draft.tokens.extend(tokens),
            Err(what) => draft.broken_tokens = Some(what.to_owned()),
        }
    }
}

/// Either the thoughts themselves, which models with open weights tell, or what the service makes of them.
fn feed_reasoning(draft: &mut Draft, item: &Value) {
    let thoughts = |key| {
        let parts = item.get(key).and_then(Value::as_array);
        let texts = parts.into_iter().flatten();
        texts.filter_map(|part| text(part, "text"))
    };
    let whole: String = thoughts("content").collect();
    if whole.is_empty() {
        let summary: Vec<&str> = thoughts("summary").collect();
        draft.reasoning.push_str(&summary.join("\n\n"));
    } else {
        draft.reasoning.push_str(&whole);
    }
}

fn end(draft: &mut Draft, value: &Value) {
    let why = value
        .get("incomplete_details")
        .and_then(|details| text(details, "reason"));
    let finish = match (text(value, "status"), why) {
        (Some("completed"), _) if draft.finish.is_none() || draft.has_begun() => Finish::Stop,
        (Some("incomplete"), Some("max_output_tokens")) => Finish::Length,
        (Some("incomplete"), Some("content_filter")) => Finish::ContentFilter,
        (Some("incomplete"), Some(other)) => Finish::Other(other.chars().take(40).collect()),
        (Some(status @ ("failed" | "cancelled" | "in_progress" | "queued")), _) => {
            let message = format!("there is no answer: its status is `{status}`");
            draft.failure = from_error(None, value, false)
                .or_else(|| Some(Failure::transport(FailureKind::Server, &message)));
            return;
        }
        _ => return,
    };
    let word = why.unwrap_or("completed").to_owned();
    draft.finish = Some((finish, word));
}

fn read_usage(usage: &Value, oddities: &mut Vec<Oddity>) -> Usage {
    let nothing = Value::Null;
    let input_details = usage.get("input_tokens_details").unwrap_or(&nothing);
    let output_details = usage.get("output_tokens_details").unwrap_or(&nothing);
    Usage {
        input: count(usage, "input_tokens", oddities),
        cached: count(input_details, "cached_tokens", oddities),
        cache_written: None,
        output: count(usage, "output_tokens", oddities),
        reasoning: count(output_details, "reasoning_tokens", oddities),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<WireAnswer, Failure> {
        assert!(is_response(value));
        read_response(value.to_string().as_bytes())
    }

    fn response(status: &str, output: &Value) -> Value {
        json!({
            "id": "resp_1", "object": "response", "status": status, "model": "m-2025",
            "error": null, "incomplete_details": null, "output": output,
            "usage": {
                "input_tokens": 9, "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 16,
            },
        })
    }

    fn said(text: &str) -> Value {
        json!({
            "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        })
    }

    #[test]
    fn messages_are_the_text_and_summaries_the_reasoning() {
        let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [
            {"type": "summary_text", "text": "Add."}, {"type": "summary_text", "text": "Check."},
        ]});
        let mut answer = said("Fo");
        answer["content"][0]["logprobs"] = json!([
            {"token": "Fo", "bytes": [70, 111], "logprob": -0.5,
             "top_logprobs": [{"token": "Fi", "bytes": [70, 105], "logprob": -1.5}]},
        ]);
        let mut rest = said("ur");
        rest["content"][0]["logprobs"] =
            json!([{"token": "ur", "bytes": [117, 114], "logprob": -0.25, "top_logprobs": []}]);
        let read = read(&response("completed", &json!([thought, answer, rest]))).unwrap();
        assert_eq!((read.text.as_str(), &read.finish), ("Four", &Finish::Stop));
        assert_eq!(read.reasoning.as_deref(), Some("Add.\n\nCheck."));
        let bytes: Vec<_> = read.tokens.iter().map(|token| &token.bytes[..]).collect();
        assert_eq!(bytes, [&b"Fo"[..], b"ur"]);
        assert_eq!(read.tokens[0].top, [(b"Fi".to_vec(), -1.5)]);
        let usage = (read.usage.input, read.usage.cached, read.usage.output);
        assert_eq!(usage, (Some(9), Some(4), Some(7)));
        assert_eq!(read.usage.reasoning, Some(5));
        assert_eq!(read.response_id.as_deref(), Some("resp_1"));
        assert!(read.oddities.is_empty(), "{:?}", read.oddities);
    }

    #[test]
    fn an_answer_that_did_not_end_says_why() {
        let mut cut = response("incomplete", &json!([said("One, two,")]));
        cut["incomplete_details"] = json!({"reason": "max_output_tokens"});
        assert_eq!(read(&cut).unwrap().finish, Finish::Length);
        let mut filtered = response("incomplete", &json!([said("One, two,")]));
        filtered["incomplete_details"] = json!({"reason": "content_filter"});
        let filtered = read(&filtered).unwrap();
        assert_eq!(filtered.finish, Finish::ContentFilter);
        assert!(filtered.retraction.is_some() && filtered.text == "One, two,");
    }

    #[test]
    fn what_is_no_answer_is_a_failure_with_its_kind() {
        let refusal = json!([{"type": "message", "content": [{"type": "refusal", "refusal": "I will not."}]}]);
        let refused = read(&response("completed", &refusal)).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Refused);
        assert_eq!(refused.usage.unwrap().output, Some(7));
        let mut failed = response("failed", &json!([]));
        failed["error"] = json!({"code": "rate_limit_exceeded", "message": "Too many."});
        assert_eq!(read(&failed).unwrap_err().kind, FailureKind::RateLimited);
        let queued = read(&response("queued", &json!([]))).unwrap_err();
        assert_eq!(queued.kind, FailureKind::Server);
        assert!(queued.message.contains("queued"), "{queued}");
        let nothing = read(&response("completed", &json!([]))).unwrap_err();
        assert_eq!(nothing.kind, FailureKind::Malformed);
        let call = json!([{"type": "function_call", "name": "f", "arguments": "{}"}]);
        assert_eq!(
            read(&response("completed", &call)).unwrap_err().kind,
            FailureKind::Malformed
        );
    }
}
