//! One fault at a time.

use super::*;

type Script = fn(&Seen) -> Vec<Step>;

/// Ten prompts, of which every third meets `fault`; `first_only`: only at its first attempt.
async fn with_fault(fault: Script, first_only: bool, stream: bool) -> (Harvested, Vec<Seen>) {
    let server = FaultServer::start(move |seen| {
        let number: u64 = seen.prompt["question ".len()..].parse().unwrap();
        if number.is_multiple_of(3) && (seen.before == 0 || !first_only) {
            return fault(seen);
        }
        let text = seen.prompt.replace("question", "answer");
        if seen.body["stream"] == true {
            streamed(&text)
        } else {
            answer(&text)
        }
    })
    .await;
    let options = ApiOptions {
        stream,
        ..options(&server)
    };
    (run(options, 10).await, server.seen())
}

fn streamed(text: &str) -> Vec<Step> {
    let (one, other) = text.split_at(3);
    let events = [
        event(one, None),
        event(other, Some("stop")),
        "data: [DONE]\n\n".to_owned(),
    ];
    let mut steps = begun("text/event-stream", &events);
    steps.push(end());
    steps
}

/// A fault that passes is got over: everything is answered, and each attempt is on record.
async fn assert_got_over(name: &str, fault: Script, kind: &str) {
    for stream in [false, true] {
        let (harvested, seen) = with_fault(fault, true, stream).await;
        let answers = harvested.answers().await;
        assert_eq!(answers.len(), 10, "{name}: {:?}", harvested.result);
        for (asked, (text, _)) in &answers {
            assert_eq!(*text, asked.replace("question", "answer"), "{name}");
        }
        assert_eq!(seen.len(), 13, "{name}: three attempts more");
        assert!(harvested.failures().await.is_empty(), "{name}");
        let id = trace_id(3);
        let attempts = harvested.store.attempts(&id).await.unwrap();
        let kinds: Vec<_> = attempts
            .iter()
            .map(|attempt| kind_of(&attempt.status))
            .collect();
        assert_eq!(kinds, [kind, "answered"], "{name}");
        let call = attempts[1].call.as_deref().unwrap();
        assert_eq!(call.key_alias.as_deref(), Some("TEST_KEY"));
        assert_eq!(call.http_status, Some(200));
        if !stream {
            assert_eq!(call.request_id.as_deref(), Some("req-1"), "{name}");
            assert_eq!(call.cost_nano_usd, Some(9 * 1000 + 3 * 2000), "{name}");
        }
    }
}

/// A fault that stays ends among the failures, after `attempts`, and the rest is answered.
async fn assert_recorded(name: &str, fault: Script, kind: &str, attempts: usize) {
    let (harvested, seen) = with_fault(fault, false, false).await;
    let failures = harvested.failures().await;
    let expected = [3, 6, 9].map(|number| (format!("question {number}"), kind.to_owned()));
    assert_eq!(failures, BTreeMap::from(expected), "{name}");
    assert_eq!(harvested.answers().await.len(), 7, "{name}");
    assert_eq!(seen.len(), 7 + 3 * attempts, "{name}");
    let summary = harvested.result.unwrap();
    assert_eq!((summary.asked, summary.failed), (10, 3), "{name}");
    let kept = harvested.store.attempts(&trace_id(3)).await.unwrap();
    assert_eq!(kept.len(), attempts, "{name}: every attempt is a row");
}

fn trace_id(number: u64) -> String {
    let plan = plan(number);
    let ask = Ask {
        prompt: prompt(number),
        sample: 0,
        parameters: plan.parameters,
    };
    ask.trace_key("openai|m|test").id()
}

fn kind_of(status: &limbeck_store::AttemptStatus) -> &str {
    match status {
        limbeck_store::AttemptStatus::Answered => "answered",
        limbeck_store::AttemptStatus::Failed { kind, .. } => kind,
    }
}

#[tokio::test]
async fn faults_that_pass_are_got_over() {
    let cases: [(&str, Script, &str); 13] = [
        (
            "429",
            |_| error(429, &[], "rate_limit_exceeded"),
            "rate-limited",
        ),
        (
            "429 with Retry-After",
            |_| error(429, &[("retry-after", "0.2")], "rate_limit_exceeded"),
            "rate-limited",
        ),
        ("500", |_| error(500, &[], "server_error"), "server"),
        (
            "502 in HTML",
            |_| {
                response(
                    502,
                    &[("content-type", "text/html")],
                    b"<html>Bad gateway</html>",
                )
            },
            "server",
        ),
        ("503", |_| error(503, &[], "overloaded"), "overloaded"),
        ("reset", |_| vec![Step::Reset], "connection"),
        ("closed", |_| vec![Step::Close], "connection"),
        ("stall", |_| vec![Step::Stall], "timeout"),
        (
            "stall in the body",
            |_| {
                let mut steps = begun("application/json", &["{\"choices\":".to_owned()]);
                steps.push(Step::Stall);
                steps
            },
            "timeout",
        ),
        (
            "JSON that is cut",
            |_| response(200, &[], &answer_body("x").to_string().as_bytes()[..60]),
            "malformed",
        ),
        (
            "JSON that is none",
            |_| response(200, &[], b"{]"),
            "malformed",
        ),
        ("an empty body", |_| response(200, &[], b""), "malformed"),
        (
            "a stream that is cut",
            |_| {
                let mut steps = begun("text/event-stream", &[event("ans", None)]);
                steps.push(Step::Close);
                steps
            },
            "connection",
        ),
    ];
    for (name, fault, kind) in cases {
        assert_got_over(name, fault, kind).await;
    }
}

#[tokio::test]
async fn faults_that_stay_are_recorded_with_their_kind() {
    let cases: [(&str, Script, &str, usize); 8] = [
        (
            "gzip that is none",
            |_| response(200, &[("content-encoding", "gzip")], b"no gzip at all"),
            "malformed",
            4,
        ),
        ("500", |_| error(500, &[], "server_error"), "server", 4),
        (
            "JSON that is none",
            |_| response(200, &[], b"[1, 2"),
            "malformed",
            4,
        ),
        ("an empty answer", |_| answer("  "), "malformed", 4),
        (
            "400",
            |_| error(400, &[], "invalid_request_error"),
            "invalid-request",
            1,
        ),
        (
            "a filter",
            |_| error(400, &[], "content_filter"),
            "policy",
            1,
        ),
        (
            "a context that is too short",
            |_| error(400, &[], "context_length_exceeded"),
            "too-long",
            1,
        ),
        (
            "a hundred megabytes",
            |_| {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n";
                vec![
                    Step::Send(head.as_bytes().to_vec()),
                    Step::Send(b"{\"a\":\"".to_vec()),
                    Step::Spaces(100 << 20),
                    Step::Close,
                ]
            },
            "malformed",
            1,
        ),
    ];
    for (name, fault, kind, attempts) in cases {
        assert_recorded(name, fault, kind, attempts).await;
    }
}

#[tokio::test]
async fn oddities_do_no_harm() {
    let cases: [(&str, Script); 6] = [
        ("another content type", |seen| {
            let body = answer_body(&seen.prompt).to_string();
            response(
                200,
                &[("content-type", "text/plain; charset=utf-8")],
                body.as_bytes(),
            )
        }),
        ("blank lines that keep the connection alive", |seen| {
            let mut steps = begun("application/json", &["\n".to_owned(), "\n\n".to_owned()]);
            for _ in 0..5 {
                steps.push(Step::Wait(Duration::from_millis(100)));
                steps.push(Step::Send(b"1\r\n\n\r\n".to_vec()));
            }
            let body = answer_body(&seen.prompt).to_string();
            steps.push(Step::Send(
                format!("{:x}\r\n{body}\r\n", body.len()).into_bytes(),
            ));
            steps.push(end());
            steps
        }),
        ("slow bytes", |seen| {
            let body = answer_body(&seen.prompt).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let mut steps = vec![Step::Send(head.into_bytes())];
            for piece in body.as_bytes().chunks(60) {
                steps.push(Step::Send(piece.to_vec()));
                steps.push(Step::Wait(Duration::from_millis(60)));
            }
            steps
        }),
        ("gzip", |seen| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(
                &mut encoder,
                answer_body(&seen.prompt).to_string().as_bytes(),
            )
            .unwrap();
            response(
                200,
                &[("content-encoding", "gzip")],
                &encoder.finish().unwrap(),
            )
        }),
        ("wrong usage", |seen| {
            let mut body = answer_body(&seen.prompt);
            body["usage"] = serde_json::json!({"prompt_tokens": -4, "completion_tokens": 1e300});
            response(200, &[], body.to_string().as_bytes())
        }),
        ("the same id for all", |seen| {
            let body = answer_body(&seen.prompt).to_string();
            response(200, &[("x-request-id", "always-the-same")], body.as_bytes())
        }),
    ];
    for (name, fault) in cases {
        let (harvested, seen) = with_fault(fault, false, false).await;
        let answers = harvested.answers().await;
        assert_eq!(
            answers.len(),
            10,
            "{name}: {:?} {:?}",
            harvested.result,
            harvested.failures().await
        );
        assert_eq!(answers["question 3"].0, "question 3", "{name}");
        assert_eq!(seen.len(), 10, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_taken_back_is_kept_with_what_was_said_before() {
    let server = FaultServer::start(|_| {
        let events = [
            event("I will tell you", None),
            event("", Some("content_filter")),
            "data: [DONE]\n\n".to_owned(),
        ];
        let mut steps = begun("text/event-stream", &events);
        steps.push(end());
        steps
    })
    .await;
    let options = ApiOptions {
        stream: true,
        ..options(&server)
    };
    let harvested = run(options, 1).await;
    let answers = harvested.answers().await;
    assert_eq!(answers["question 1"].1, FinishReason::Filtered);
    let detail = harvested.store.trace(&trace_id(1)).await.unwrap();
    assert_eq!(detail.record.retracted.as_deref(), Some("I will tell you"));
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_kept_as_such_and_not_asked_again() {
    let server = FaultServer::start(|_| {
        let mut body = answer_body("The begin");
        body["choices"][0]["finish_reason"] = "length".into();
        response(200, &[], body.to_string().as_bytes())
    })
    .await;
    let harvested = run(options(&server), 3).await;
    assert!(
        harvested
            .answers()
            .await
            .values()
            .all(|(_, finish)| *finish == FinishReason::Length)
    );
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_wait_of_days_in_an_error_of_status_200_is_not_waited_for() {
    let server =
        FaultServer::start(|_| error(200, &[("retry-after", "200000")], "rate_limit_exceeded"))
            .await;
    let harvested = run(options(&server), 1).await;
    assert_eq!(server.count(), 1, "{:?}", harvested.result);
    assert!(
        harvested.result.is_err(),
        "nothing else can be asked either"
    );
    assert_eq!(harvested.failures().await["question 1"], "rate-limited");
}
