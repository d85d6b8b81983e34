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
fn azure_is_told_what_a_batch_is_for_in_words_of_its_own() {
    let azure = service("azure");
    let (calls, body) = (BatchCalls::new(azure), body(azure, &["a"]));
    let upload = calls.upload(&body, "mark").unwrap();
    let form = String::from_utf8(upload.body).unwrap();
    assert!(form.contains(r#""url":"/v1/chat/completions""#), "{form}");
    let create = json_of(&calls.create(&body, Some("file-1"), "mark").body);
    assert_eq!(create["endpoint"], "/chat/completions");
    assert_eq!(calls.file("file-1").path, "/files/file-1");
    assert_eq!(calls.file("file-1").method, "GET");
}

/// The samples of Azure's reference, shortened (`batch-rest.md` and `batch-python.md`, see the module above).
#[test]
fn the_account_of_a_batch_at_azure_is_read() {
    let read = |account: &Value| RemoteBatch::read(service("azure"), account).unwrap();
    let taken = read(&json!({
        "completion_window": "24h", "created_at": "2024-07-19T17:13:57.2491382+00:00", "error_file_id": null,
        "expires_at": "2024-07-20T17:13:57.1918498+00:00", "id": "batch_fe3f047a-de39-4068-9008-346795bfc1db",
        "input_file_id": "file-21006e70789246658b86a1fc205899a4", "errors": null, "metadata": null,
        "object": "batch", "output_file_id": null, "status": "Validating",
        "request_counts": {"total": null, "completed": null, "failed": null},
    }));
    assert_eq!(taken.phase, RemotePhase::Running);
    assert_eq!((taken.total, taken.done, taken.marker), (None, None, None));
    assert_eq!(taken.created.unwrap().as_second(), 1_721_409_237);
    let done = read(&json!({
        "id": "batch_6caaf24d-54a5-46be-b1b7-518884fcbdde", "created_at": 1_722_476_583, "endpoint": null,
        "object": "batch", "status": "Completed", "error_file_id": "file-c795ae52-3ba7-417d-86ec-07eebca57d0b",
        "output_file_id": "file-3304e310-3b39-4e34-9f1c-e1c1504b2b2a", "metadata": null,
        "request_counts": {"completed": 3, "failed": 0, "total": 3},
    }));
    assert_eq!(done.phase, RemotePhase::Ended(RemoteEnd::Completed));
    assert_eq!((done.total, done.results.len()), (Some(3), 2));
}

#[test]
fn how_far_a_service_is_with_a_file_is_read() {
    for (status, state) in [
        ("uploaded", FileState::Ready),
        ("processed", FileState::Ready),
        ("pending", FileState::BeingRead),
        ("running", FileState::BeingRead),
        ("notRunning", FileState::BeingRead),
        ("error", FileState::Unusable("no JSON lines".to_owned())),
    ] {
        let told = json!({"id": "file-1", "status": status, "status_details": "no JSON lines"});
        assert_eq!(UploadedFile::read(&told).unwrap().state, state, "{status}");
    }
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
    assert!(UploadedFile::read(&json!({"id": "../../x"})).is_err());
    let file = UploadedFile::read(&json!({"id": "file-1"})).unwrap();
    assert_eq!((file.id.as_str(), file.state), ("file-1", FileState::Ready));
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

/// As console.groq.com/docs/batch shows it (read on 2026-11-26 in a public copy of that page).
#[test]
fn a_list_of_groq_goes_by_a_cursor() {
    let groq = service("groq");
    let read = |page: Value| {
        let list = RemoteList::read(groq, &page).unwrap();
        (list.is_last, list.next)
    };
    let cursor = "cursor_eyJpZCI6ImJhdGNoXzAxamg2eGE3cmVlbXB2ankifQ";
    let batch = json!({"id": "batch_01jh6xa7reempvjyh6n3yst111", "status": "completed", "created_at": 1_736_472_600});
    let page = json!({"object": "list", "data": [batch], "paging": {"next_cursor": cursor}});
    assert_eq!(read(page), (false, Some(cursor.to_owned())));
    let next = BatchCalls::new(groq).list(Some(cursor));
    assert_eq!(next.query[1], ("cursor".to_owned(), cursor.to_owned()));
    assert_eq!(read(json!({"data": [], "paging": {}})), (true, None));
    let end = json!({"data": [], "paging": {"next_cursor": null}});
    assert_eq!(read(end), (true, None));
    assert_eq!(read(json!({"data": []})), (false, None), "nobody says so");
    let odd = json!({"data": [], "paging": {"next_cursor": 7}});
    assert_eq!(read(odd), (false, None));

    let errors = json!([{"code": "invalid_method", "message": "Invalid value: 'GET'.", "line": 4}]);
    let account = json!({"id": "batch_1", "status": "failed", "errors": errors});
    let batch = RemoteBatch::read(groq, &account).unwrap();
    let why = "invalid_method: Invalid value: 'GET'.".to_owned();
    let rejected = RemoteEnd::Rejected {
        why,
        crowded: false,
    };
    assert_eq!(batch.phase, RemotePhase::Ended(rejected));
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
