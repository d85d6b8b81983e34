//! What errors are read as beyond the responses in `fixtures/`.

use http::{HeaderName, HeaderValue};

use super::*;
use crate::wire::preset;

fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    Failure::read(
        preset("openai").unwrap(),
        status,
        &headers,
        body.as_bytes(),
        now,
    )
}

#[test]
fn a_status_alone_says_what_it_can() {
    for (status, kind) in [
        (302, FailureKind::Redirected),
        (304, FailureKind::Server),
        (400, FailureKind::InvalidRequest),
        (401, FailureKind::Authentication),
        (402, FailureKind::Quota),
        (404, FailureKind::NotFound),
        (408, FailureKind::Timeout),
        (413, FailureKind::TooLong),
        (418, FailureKind::InvalidRequest),
        (429, FailureKind::RateLimited),
        (500, FailureKind::Server),
        (503, FailureKind::Overloaded),
        (524, FailureKind::Timeout),
        (529, FailureKind::Overloaded),
        (599, FailureKind::Server),
        (199, FailureKind::Server),
    ] {
        let failure = read(status, &[], "");
        assert_eq!((failure.kind, failure.status), (kind, Some(status)));
        assert_eq!(failure.worth_retrying, kind.is_worth_retrying());
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn the_service_may_say_whether_to_ask_again_but_not_about_a_wrong_key() {
    let advice = |status, advice| read(status, &[("x-should-retry", advice)], "{}").worth_retrying;
    assert!(!advice(500, "false"));
    assert!(advice(400, "true"));
    assert!(advice(500, "perhaps"));
    assert!(!advice(401, "true"));
}

#[test]
fn a_redirect_tells_where_to_without_secrets_and_whether_for_good() {
    let led = |status, target| read(status, &[("location", target)], "");
    for (target, expected) in [
        (
            "https://other.example/v1?token=hunter2",
            "`https://other.example/v1`",
        ),
        (
            "https://user:hunter2@other.example",
            "`https://other.example`",
        ),
        (
            "//user:hunter2@other.example/a@b#hunter2",
            "`//other.example/a@b`",
        ),
        ("/v1/chat/completions/", "`/v1/chat/completions/`"),
        (" ", "without saying where to"),
    ] {
        let failure = led(307, target);
        assert_eq!(failure.kind, FailureKind::Redirected);
        assert!(failure.message.contains(expected), "{}", failure.message);
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        assert!(failure.worth_retrying);
    }
    assert!(!led(301, "/").worth_retrying && !led(308, "/").worth_retrying);
    assert!(
        !FailureKind::Redirected.is_fatal(),
        "it may be one question's alone"
    );
}

#[test]
fn the_header_counts_before_the_words() {
    let body = r#"{"error": {"message": "Rate limit reached. Please try again in 20ms."}}"#;
    let wait = |headers: &[(&str, &str)]| read(429, headers, body).retry_after;
    assert_eq!(wait(&[]), Some(Duration::from_millis(20)));
    assert_eq!(wait(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
    assert_eq!(
        wait(&[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")]),
        Some(Duration::from_mins(1))
    );
}

#[test]
fn an_allowance_of_nothing_is_no_matter_of_pace() {
    let body = r#"{"message": "Rate limit exceeded"}"#;
    assert_eq!(read(429, &[], body).kind, FailureKind::RateLimited);
    let nothing = [("x-ratelimit-limit-req-minute", "0")];
    assert_eq!(read(429, &nothing, body).kind, FailureKind::Quota);
}

#[test]
fn a_key_is_hidden_wherever_it_was_put() {
    let failure = read(
        401,
        &[("x-request-id", "for-hunter2")],
        r#"{"error": "hunter2 is no key"}"#,
    );
    let failure = failure.without_secret("hunter2");
    assert!(!format!("{failure:?}").contains("hunter2"));
    assert_eq!(failure.message, "[hidden] is no key");
}

#[test]
fn what_holds_no_error_is_none() {
    let failed = |text: &str| from_error(None, &serde_json::from_str(text).unwrap(), false);
    for text in [
        r#"{"error": null}"#,
        r#"{"error": {}}"#,
        r#"{"error": ""}"#,
        "{}",
        "[]",
        "7",
    ] {
        assert_eq!(failed(text), None, "{text}");
    }
    let failure = failed(r#"{"error": "it broke"}"#).unwrap();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Server, "it broke")
    );
    let failure = failed(r#"{"error": {"code": 429, "message": ""}}"#).unwrap();
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert_eq!(failure.message, "status 429");
}
