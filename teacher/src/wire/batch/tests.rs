//! What is told, and what is read.

use jiff::Timestamp;
use limbeck_store::{Message, Prompt, PromptBody, SamplingParameters};
use serde_json::{Value, json};

use super::*;
use crate::Ask;
use crate::wire::{Preset, WireRequest, preset};

fn service(name: &str) -> &'static Preset {
    preset(name).unwrap()
}

fn request(preset: &Preset, text: &str) -> WireRequest {
    let body = PromptBody::Chat {
        messages: vec![Message::new("user", text)],
    };
    let ask = Ask {
        prompt: Prompt::new(body, text, "main", "test", 1),
        sample: 0,
        parameters: SamplingParameters {
            max_tokens: 9,
            ..SamplingParameters::choose(Vec::new())
        },
    };
    WireRequest::build(preset, "m", &ask, false).unwrap()
}

fn body(preset: &Preset, texts: &[&str]) -> BatchBody {
    let mut body = BatchBody::new(preset.dialect, preset.dialect.batch_limits().unwrap());
    for text in texts {
        assert!(body.push(&format!("id-{text}"), &request(preset, text)));
    }
    body
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn openai_is_given_a_file_of_lines_and_then_a_batch_of_it() {
    let openai = service("openai");
    let (calls, body) = (BatchCalls::new(openai), body(openai, &["a", "b"]));
    let upload = calls.upload(&body, "mark").unwrap();
    assert_eq!(
        (upload.method.as_str(), upload.path.as_str()),
        ("POST", "/files")
    );
    let content_type = upload.headers["content-type"].to_str().unwrap();
    let boundary = content_type.split("boundary=").nth(1).unwrap();
    let form = String::from_utf8(upload.body).unwrap();
    let parts: Vec<&str> = form.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{form}");
    assert!(parts[1].contains("name=\"purpose\"") && parts[1].ends_with("\r\n\r\nbatch\r\n"));
    assert_eq!(parts[3], "--\r\n");
    let (head, file) = parts[2].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("filename=\"limbeck-mark.jsonl\""), "{head}");
    let lines: Vec<Value> = file
        .trim()
        .lines()
        .map(|line| json_of(line.as_bytes()))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["custom_id"], "id-b");
    assert_eq!(lines[1]["url"], "/v1/chat/completions");
    assert_eq!(lines[1]["method"], "POST");
    assert_eq!(lines[1]["body"], json_of(&request(openai, "b").body));

    let create = calls.create(&body, Some("file-1"), "mark");
    assert_eq!(create.path, "/batches");
    let expected = json!({
        "input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "metadata": {"limbeck": "mark"},
    });
    assert_eq!(json_of(&create.body), expected);
}

#[test]
fn anthropic_is_given_all_at_once() {
    let anthropic = service("anthropic");
    let (calls, body) = (BatchCalls::new(anthropic), body(anthropic, &["a", "b"]));
    assert_eq!(calls.upload(&body, "mark"), None);
    let create = calls.create(&body, None, "mark");
    assert_eq!(create.path, "/messages/batches");
    assert_eq!(create.headers["anthropic-version"], "2023-06-01");
    let told = json_of(&create.body);
    assert_eq!(told["requests"].as_array().unwrap().len(), 2);
    assert_eq!(told["requests"][0]["custom_id"], "id-a");
    let params = json_of(&request(anthropic, "a").body);
    assert_eq!(told["requests"][0]["params"], params);
    assert_eq!(
        calls.results("msgbatch_1").path,
        "/messages/batches/msgbatch_1/results"
    );
    assert_eq!(
        calls.list(Some("x")).query[1],
        ("after_id".to_owned(), "x".to_owned())
    );
    assert_eq!(calls.cancel("x").path, "/messages/batches/x/cancel");
}

#[test]
fn a_batch_takes_no_more_than_the_service_does() {
    let openai = service("openai");
    let limits = BatchLimits {
        requests: 2,
        bytes: 1 << 20,
    };
    let mut body = BatchBody::new(openai.dialect, limits);
    assert!(body.push("1", &request(openai, "a")) && body.push("2", &request(openai, "a")));
    assert!(!body.push("3", &request(openai, "a")));
    assert_eq!(body.len(), 2);
    let limits = BatchLimits {
        requests: 9,
        bytes: 600,
    };
    let mut body = BatchBody::new(openai.dialect, limits);
    let mut count = 0;
    while body.push("1", &request(openai, "a")) {
        count += 1;
    }
    assert!((1..9).contains(&count), "{count}");
    let upload = BatchCalls::new(openai).upload(&body, "m").unwrap();
    assert!(upload.body.len() < 600 + 400, "{}", upload.body.len());
}

#[test]
fn the_account_of_a_batch_is_read() {
    let account = json!({
        "id": "batch_1", "object": "batch", "status": "in_progress", "created_at": 1_700_000_000,
        "output_file_id": null, "request_counts": {"total": 5, "completed": 2, "failed": 1},
        "metadata": {"limbeck": "mark"},
    });
    let batch = RemoteBatch::read(service("openai"), &account).unwrap();
    assert_eq!(batch.phase, RemotePhase::Running);
    assert_eq!((batch.total, batch.done), (Some(5), Some(3)));
    assert_eq!(batch.marker.as_deref(), Some("mark"));
    assert_eq!(batch.created.unwrap().as_second(), 1_700_000_000);
    assert!(batch.results.is_empty());

    let ends = [
        ("completed", RemoteEnd::Completed),
        ("expired", RemoteEnd::Expired),
        ("cancelled", RemoteEnd::Cancelled),
    ];
    for (status, end) in ends {
        let account = json!({"id": "batch_1", "status": status, "output_file_id": "file-o", "error_file_id": "file-e"});
        let batch = RemoteBatch::read(service("openai"), &account).unwrap();
        assert_eq!(batch.phase, RemotePhase::Ended(end));
        assert_eq!(batch.results, ["file-o", "file-e"]);
    }
    for (code, crowded) in [("token_limit_exceeded", true), ("invalid_json_line", false)] {
        let errors = json!({"data": [{"code": code, "message": "it is so", "line": 1}]});
        let account = json!({"id": "batch_1", "status": "failed", "errors": errors});
        let batch = RemoteBatch::read(service("openai"), &account).unwrap();
        let why = format!("{code}: it is so");
        let rejected = RemoteEnd::Rejected { why, crowded };
        assert_eq!(batch.phase, RemotePhase::Ended(rejected));
    }

    let account = json!({
        "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": 3, "errored": 1, "canceled": 0, "expired": 2},
        "created_at": "2026-01-01T00:00:00Z", "results_url": "https://elsewhere.example/steal",
    });
    let batch = RemoteBatch::read(service("anthropic"), &account).unwrap();
    assert_eq!(batch.phase, RemotePhase::Ended(RemoteEnd::Completed));
    assert_eq!((batch.total, batch.done), (Some(6), Some(6)));
    assert_eq!(batch.results, ["msgbatch_1"], "the key goes nowhere else");
}

#[test]
fn what_is_no_account_is_an_error_and_no_name_leads_elsewhere() {
    for account in [
        json!({}),
        json!([]),
        json!({"id": 7, "status": "completed"}),
        json!({"id": "../files/x", "status": "completed"}),
        json!({"id": "a?b=c", "status": "completed"}),
        json!({"id": "", "status": "completed"}),
        json!({"id": "a".repeat(500), "status": "completed"}),
        json!({"id": "batch_1"}),
    ] {
        assert!(
            RemoteBatch::read(service("openai"), &account).is_err(),
            "{account}"
        );
    }
    assert!(uploaded_file(&json!({"id": "../../x"})).is_err());
    assert_eq!(uploaded_file(&json!({"id": "file-1"})).unwrap(), "file-1");
    let account =
        json!({"id": "b", "status": "completed", "output_file_id": "../x", "request_counts": -3});
    let batch = RemoteBatch::read(service("openai"), &account).unwrap();
    assert_eq!((batch.results.len(), batch.done), (0, None));
}

#[test]
fn a_list_is_read_page_by_page() {
    let page = json!({"data": [{"id": "b1", "status": "completed"}, {"odd": true}], "has_more": true, "last_id": "b2"});
    let list = RemoteList::read(service("openai"), &page).unwrap();
    assert_eq!((list.batches.len(), list.next.as_deref()), (1, Some("b2")));
    let page = json!({"data": [], "has_more": false, "last_id": null});
    assert_eq!(
        RemoteList::read(service("openai"), &page).unwrap().next,
        None
    );
    assert!(RemoteList::read(service("openai"), &json!({"data": 7})).is_err());
}

fn line(service_name: &str, line: &Value) -> ResultLine {
    let now = Timestamp::UNIX_EPOCH;
    ResultLine::read(service(service_name), line.to_string().as_bytes(), now).unwrap()
}

#[test]
fn lines_of_openai_are_read() {
    let answer = json!({"id": "batch_req_1", "custom_id": "a", "error": null, "response": {
        "status_code": 200, "request_id": "req-1", "body": {
            "id": "chatcmpl-1", "model": "m-1", "usage": {"prompt_tokens": 9, "completion_tokens": 3},
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}],
    }}});
    let read = line("openai", &answer);
    let LineResult::Answer(answer) = read.result else {
        panic!("{read:?}");
    };
    assert_eq!((read.custom_id.as_str(), read.status), ("a", Some(200)));
    assert_eq!(answer.text, "yes");
    assert_eq!(answer.request_id.as_deref(), Some("req-1"));
    assert_eq!(
        (answer.usage.input, answer.usage.output),
        (Some(9), Some(3))
    );

    let failed = json!({"custom_id": "a", "error": null, "response": {"status_code": 429, "request_id": "req-2",
        "body": {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}}});
    let read = line("openai", &failed);
    let LineResult::Failed(failure) = read.result else {
        panic!("{read:?}");
    };
    assert_eq!(
        (failure.kind, read.status),
        (FailureKind::RateLimited, Some(429))
    );
    assert_eq!(failure.request_id.as_deref(), Some("req-2"));

    let of_error = |code: &str| {
        let error = json!({"code": code, "message": "it is so"});
        line(
            "openai",
            &json!({"custom_id": "a", "response": null, "error": error}),
        )
        .result
    };
    assert_eq!(of_error("batch_expired"), LineResult::Expired);
    assert_eq!(of_error("batch_cancelled"), LineResult::Cancelled);
    let LineResult::Failed(failure) = of_error("request_timeout") else {
        panic!("a failure");
    };
    assert_eq!(failure.kind, FailureKind::Timeout);
}

#[test]
fn lines_of_anthropic_are_read() {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "c",
        "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3}});
    let of = |result: Value| line("anthropic", &json!({"custom_id": "a", "result": result})).result;
    let LineResult::Answer(answer) = of(json!({"type": "succeeded", "message": message})) else {
        panic!("an answer");
    };
    assert_eq!(
        (answer.text.as_str(), answer.usage.output),
        ("yes", Some(3))
    );
    let error =
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too hot"}});
    let LineResult::Failed(failure) = of(json!({"type": "errored", "error": error})) else {
        panic!("a failure");
    };
    assert_eq!(failure.kind, FailureKind::InvalidRequest);
    assert!(failure.message.contains("too hot"), "{}", failure.message);
    assert_eq!(of(json!({"type": "expired"})), LineResult::Expired);
    assert_eq!(of(json!({"type": "canceled"})), LineResult::Cancelled);
}

#[test]
fn what_is_no_line_is_told_apart_from_a_line_that_tells_nothing() {
    let now = Timestamp::UNIX_EPOCH;
    for bad in ["", "{", "[]", "{\"custom_id\": 7}", "<html>"] {
        assert!(
            ResultLine::read(service("openai"), bad.as_bytes(), now).is_err(),
            "{bad}"
        );
    }
    for (name, odd) in [
        ("openai", json!({"custom_id": "a"})),
        (
            "openai",
            json!({"custom_id": "a", "response": {"status_code": "x"}}),
        ),
        (
            "openai",
            json!({"custom_id": "a", "response": {"status_code": 200}}),
        ),
        ("anthropic", json!({"custom_id": "a"})),
        (
            "anthropic",
            json!({"custom_id": "a", "result": {"type": "succeeded"}}),
        ),
        (
            "anthropic",
            json!({"custom_id": "a", "result": {"type": "errored"}}),
        ),
    ] {
        let read = line(name, &odd);
        assert!(matches!(read.result, LineResult::Failed(_)), "{read:?}");
    }
}
