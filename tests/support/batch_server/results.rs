//! A line of a batch's results, as each service writes it.

use serde_json::{Value, json};

use super::super::fault_server::answer_body;
use super::{Dialect, Fate};

/// What the service says of the request `id`, which asks `text`; nothing, if that is its fate.
pub(super) fn line(dialect: Dialect, id: &str, text: &str, fate: Fate) -> Option<Value> {
    match dialect {
        Dialect::OpenAi | Dialect::Azure => openai_line(id, text, fate),
        Dialect::Anthropic => anthropic_line(id, text, fate),
    }
}

fn openai_line(id: &str, text: &str, fate: Fate) -> Option<Value> {
    let error = |code: &str| {
        json!({"id": "batch_req_1", "custom_id": id, "response": null,
               "error": {"code": code, "message": format!("{code} happened")}})
    };
    let said = |status: u16, body: Value| {
        json!({"id": "batch_req_1", "custom_id": id, "error": null,
               "response": {"status_code": status, "request_id": format!("req-{}", &id[..8.min(id.len())]), "body": body}})
    };
    Some(match fate {
        Fate::Answered => said(200, answer_body(&text.replace("question", "answer"))),
        Fate::Refused => {
            let mut body = answer_body("");
            body["choices"][0]["message"] =
                json!({"role": "assistant", "content": null, "refusal": "I will not"});
            said(200, body)
        }
        Fate::RateLimited => said(
            429,
            json!({"error": {"message": "too fast", "type": "requests", "code": "rate_limit_exceeded"}}),
        ),
        Fate::Expired => error("batch_expired"),
        Fate::Cancelled => error("batch_cancelled"),
        Fate::Unsaid => return None,
    })
}

fn anthropic_line(id: &str, text: &str, fate: Fate) -> Option<Value> {
    let message = |content: Value, stop: &str| {
        json!({"type": "succeeded", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": content,
            "stop_reason": stop, "usage": {"input_tokens": 9, "output_tokens": 3}}})
    };
    let result = match fate {
        Fate::Answered => {
            let text = text.replace("question", "answer");
            message(json!([{"type": "text", "text": text}]), "end_turn")
        }
        Fate::Refused => message(json!([]), "refusal"),
        Fate::RateLimited => json!({"type": "errored", "error": {"type": "error",
            "error": {"type": "rate_limit_error", "message": "too fast"}}}),
        Fate::Expired => json!({"type": "expired"}),
        Fate::Cancelled => json!({"type": "canceled"}),
        Fate::Unsaid => return None,
    };
    Some(json!({"custom_id": id, "result": result}))
}
