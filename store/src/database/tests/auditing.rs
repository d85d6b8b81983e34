//! What an audit finds in a store.

use super::*;
use crate::audit::conduct::ConductPolicy;
use crate::audit::privacy::detectors;

/// An attempt at a service, `second` seconds into a minute.
fn call(answered: &Answered, second: u32, status: u16, headers: &[(&str, &str)]) -> Attempt {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Attempt {
        started_at: format!("2026-03-01T10:00:{second:02}Z"),
        call: Some(Box::new(Call {
            endpoint: "api.example/v1/chat".to_owned(),
            key_alias: Some("mine".to_owned()),
            http_status: Some(status),
            headers,
            ..Call::default()
        })),
        ..answered.attempts[0].clone()
    }
}

#[tokio::test]
async fn conduct_is_read_from_attempts_and_receipts() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let prompts = [prompt(1), prompt(2)];
    store.add_prompts(&prompts).await.unwrap();
    let mut answers = prompts.each_ref().map(|prompt| answer(prompt, 0));
    for (answered, second) in answers.iter_mut().zip([0, 40]) {
        answered.attempts = vec![call(answered, second, 200, &[])];
        answered.receipt.limits = serde_json::json!({"requests_per_minute": 2});
    }
    store.record(&answers).await.unwrap();
    let policy = ConductPolicy::default();
    assert_eq!(store.audit_conduct(&policy, None).await.unwrap(), []);

    let mut failed = call(&answers[0], 20, 429, &[("retry-after", "30")]);
    failed.trace_id = "never answered".to_owned();
    failed.status = AttemptStatus::Failed {
        kind: "rate-limited".to_owned(),
        message: "wait".to_owned(),
    };
    store.record_failures(&[failed]).await.unwrap();
    let policy = ConductPolicy {
        banned_providers: ["local".to_owned()].into(),
        ..policy
    };
    let found = store.audit_conduct(&policy, None).await.unwrap();
    let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "conduct::banned-provider",
            "conduct::over-requests-per-minute",
            "conduct::retry-after-ignored"
        ]
    );
    assert!(
        found[2]
            .message
            .contains("the first at 2026-03-01T10:00:40Z")
    );
}

#[tokio::test]
async fn what_went_in_a_batch_is_held_against_no_limit_of_pace() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let prompts: Vec<_> = (1..=5).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let mut answers: Vec<_> = prompts.iter().map(|prompt| answer(prompt, 0)).collect();
    for (index, answered) in answers.iter_mut().enumerate() {
        let mut attempt = call(answered, 0, 200, &[]);
        let in_batch = index > 0;
        if let (true, Some(call)) = (in_batch, &mut attempt.call) {
            call.endpoint = "api.example/v1/batches".to_owned();
        }
        answered.attempts = vec![attempt];
        answered.receipt.limits = serde_json::json!({"requests_per_minute": 2});
    }
    store.record(&answers).await.unwrap();
    let found = store.audit_conduct(&ConductPolicy::default(), None).await;
    assert_eq!(found.unwrap(), []);
}

#[tokio::test]
async fn privacy_is_counted_in_every_text_that_is_kept() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let turn = |role: &str, content: &str| Message {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    let body = PromptBody::Chat {
        messages: vec![
            turn("system", "Ask bo@example.com."),
            turn("user", "@ann waits"),
        ],
    };
    let asked = Prompt::new(body, "@ann waits", "main", "rows.csv", 1);
    let mut answered = answer(&asked, 0);
    answered.trace.reasoning = Some("from 10.0.0.7".to_owned());
    answered.trace.retracted = Some("see https://t.example/x".to_owned());
    store.add_prompts(&[asked]).await.unwrap();
    store.record(&[answered]).await.unwrap();
    let found = store.audit_privacy(detectors().unwrap()).await.unwrap();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|finding| (finding.code.as_str(), finding.path[0].as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("privacy::email", "prompts"),
            ("privacy::handle", "inputs"),
            ("privacy::handle", "prompts"),
            ("privacy::ipv4", "answers"),
            ("privacy::link", "answers"),
        ]
    );
}
