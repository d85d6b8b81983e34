//! What came over the network, what it cost, what failed, and stores of before there was any of that.

use std::collections::BTreeMap;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::super::open::MIGRATIONS;
use super::*;

const TEACHER: &str = "openai|m|https";

fn call() -> Call {
    Call {
        endpoint: "api.example.com/v1/chat/completions".to_owned(),
        key_alias: Some("work".to_owned()),
        http_status: Some(429),
        headers: BTreeMap::from([("retry-after".to_owned(), "2".to_owned())]),
        request_id: Some("req-1".to_owned()),
        prompt_tokens: Some(30),
        completion_tokens: None,
        cost_nano_usd: Some(7),
    }
}

fn failed(number: u64, kind: &str, started_at: &str) -> Attempt {
    let key = TraceKey {
        teacher: TEACHER.to_owned(),
        ..answer(&prompt(number), 0).key
    };
    Attempt {
        prompt_id: key.prompt_id.clone(),
        trace_id: key.id(),
        teacher: Some(key.teacher),
        started_at: started_at.to_owned(),
        waited_ms: 1,
        latency_ms: 2,
        status: AttemptStatus::Failed {
            kind: kind.to_owned(),
            message: format!("{kind} happened"),
        },
        call: Some(Box::new(call())),
    }
}

#[tokio::test]
async fn calls_and_receipts_of_services_come_back_as_they_were() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    store.add_prompts(&[prompt(1)]).await.unwrap();
    let mut answered = answer(&prompt(1), 0);
    answered.attempts = vec![failed(1, "rate-limited", "2026-01-01T00:00:00Z")];
    answered.attempts[0].trace_id = answered.key.id();
    answered.receipt.service = Some(Box::new(ServiceReceipt {
        endpoint: "api.example.com/v1/chat/completions".to_owned(),
        plan: Some("tier-2".to_owned()),
        region: None,
        retention: Some("30 days".to_owned()),
        contracting_entity: Some("Example Ltd".to_owned()),
        key_alias: Some("work".to_owned()),
        request_id: Some("req-2".to_owned()),
        answered_model: Some("m-2026".to_owned()),
        system_fingerprint: None,
    }));
    answered.trace.vocabulary = vec![b"\xf0\x9f".to_vec(), b" yes".to_vec()];
    answered.trace.finish_reason = FinishReason::Filtered;
    answered.trace.retracted = Some("I will tell you".to_owned());
    store.record(std::slice::from_ref(&answered)).await.unwrap();
    let id = answered.key.id();
    let detail = store.trace(&id).await.unwrap();
    assert_eq!(detail.receipt, answered.receipt);
    assert_eq!(detail.attempts, answered.attempts);
    assert_eq!(detail.record.finish_reason, FinishReason::Filtered);
    assert_eq!(detail.record.retracted, answered.trace.retracted);
    assert_eq!(
        store.token_vocabulary(&id).await.unwrap(),
        Some(answered.trace.vocabulary)
    );
}

#[tokio::test]
async fn failures_are_listed_once_by_their_last_attempt_until_they_are_answered() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let prompts: Vec<_> = (1..=3).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let attempts = [
        failed(1, "timeout", "2026-01-01T00:00:01Z"),
        failed(2, "policy", "2026-01-01T00:00:02Z"),
        failed(1, "overloaded", "2026-01-01T00:00:03Z"),
        failed(3, "timeout", "2026-01-01T00:00:04Z"),
    ];
    store.record_failures(&attempts).await.unwrap();

    let all = store.failures(&FailureFilter::default()).await.unwrap();
    let shown: Vec<_> = all
        .iter()
        .map(|failure| (failure.input.as_str(), failure.attempts))
        .collect();
    assert_eq!(shown, [("text 2", 1), ("text 1", 2), ("text 3", 1)]);
    assert_eq!(all[1].last, attempts[2]);

    let timeouts = FailureFilter {
        kind: Some("timeout".to_owned()),
        ..FailureFilter::default()
    };
    let timeouts = store.failures(&timeouts).await.unwrap();
    assert_eq!(timeouts.len(), 1, "the last attempt counts");
    assert_eq!(timeouts[0].last, attempts[3]);
    let kinds = store.failure_kinds().await.unwrap();
    let expected = [("overloaded", 1), ("policy", 1), ("timeout", 1)];
    assert_eq!(
        kinds,
        expected
            .map(|(kind, count)| (kind.to_owned(), count))
            .into()
    );

    let mut answered = answer(&prompts[2], 0);
    answered.key.teacher = TEACHER.to_owned();
    let ids = [1, 2, 3].map(|number| {
        let key = TraceKey {
            prompt_id: prompt(number).id,
            ..answered.key.clone()
        };
        key.id()
    });
    let kinds = store.last_failures(&ids).await.unwrap();
    assert_eq!(kinds[&ids[0]], "overloaded");
    assert_eq!(kinds.len(), 3);
    store.record(std::slice::from_ref(&answered)).await.unwrap();
    let left = store.failures(&FailureFilter::default()).await.unwrap();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn what_a_teacher_used_and_cost_adds_up() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    store.add_prompts(&[prompt(1)]).await.unwrap();
    let mut local = failed(1, "timeout", "2026-01-01T00:00:09Z");
    local.call = None;
    let attempts = [
        failed(1, "timeout", "2026-01-01T00:00:05Z"),
        failed(1, "timeout", "2026-01-01T00:00:01Z"),
        failed(1, "timeout", "2026-01-01T00:00:03Z"),
        local,
    ];
    store.record_failures(&attempts).await.unwrap();
    let mut spent = Vec::new();
    store
        .spent_since(TEACHER, "2026-01-01T00:00:02Z", |some| {
            spent.extend_from_slice(some);
        })
        .await
        .unwrap();
    let times: Vec<_> = spent.iter().map(|one| one.started_at.as_str()).collect();
    assert_eq!(times, ["2026-01-01T00:00:03Z", "2026-01-01T00:00:05Z"]);
    assert_eq!(
        (spent[0].prompt_tokens, spent[0].completion_tokens),
        (30, 0)
    );
    assert_eq!(store.cost_of(TEACHER).await.unwrap(), 21);
    assert_eq!(store.cost_of("another").await.unwrap(), 0);
}

#[tokio::test]
async fn what_a_teacher_used_comes_some_at_a_time_and_whole() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    store.add_prompts(&[prompt(1)]).await.unwrap();
    let at = |second: usize| {
        format!(
            "2026-01-01T{:02}:{:02}:{:02}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    };
    let attempts: Vec<Attempt> = (0..2500)
        .map(|second| failed(1, "timeout", &at(second)))
        .collect();
    store.record_failures(&attempts).await.unwrap();
    let (mut times, mut most) = (Vec::new(), 0);
    store
        .spent_since(TEACHER, "2026-01-01T00:00:00Z", |some| {
            most = most.max(some.len());
            times.extend(some.iter().map(|one| one.started_at.clone()));
        })
        .await
        .unwrap();
    assert!(times.iter().cloned().eq((0..2500).map(at)));
    assert_eq!(most, 1000);
}

/// A store as the first version wrote it, with one answer.
async fn first_version(path: &Path) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let first = MIGRATIONS.iter().take(1).cloned().collect();
    let migrations = Migrator::with_migrations(first);
    migrations.run(&mut connection).await.unwrap();
    for statement in [
        "INSERT INTO prompts VALUES ('p', '{\"kind\":\"completion\",\"text\":\"t\"}', 't', 'main', 's', 1, NULL, '[]')",
        "INSERT INTO traces VALUES (5, 'aa', 'p', 0, 'local|m|in-process',
             '{\"temperature\":1,\"top_p\":1,\"max_tokens\":4,\"top_logprobs\":0,\"seed\":1}', 'text', NULL, NULL,
             'stop', 3, 2, -0.5, '2026-01-01T00:00:00Z')",
        "INSERT INTO receipts VALUES ('aa', 'local', 'm', NULL, 'in-process', NULL, '{}', '0.1.0', 'q', 's')",
        "INSERT INTO attempts VALUES (1, 'p', 'aa', '2026-01-01T00:00:00Z', 0, 5, NULL, NULL)",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

async fn assert_brought_up_to_date(path: &Path) {
    let store = Store::open(path).await.unwrap();
    let detail = store.trace("aa").await.unwrap();
    assert_eq!(detail.record.text, "text");
    assert_eq!(detail.record.mean_log_probability, Some(-0.5));
    assert_eq!((detail.attempts.len(), &detail.receipt.service), (1, &None));
    // The table is the one that others refer to, and foreign keys are looked at again.
    let error = store
        .record_failures(&[failed(9, "timeout", "2026-01-01T00:00:00Z")])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::UnknownReference { .. }));
    let dangling: Vec<String> =
        sqlx::query_scalar("SELECT \"table\" FROM pragma_foreign_key_check")
            .fetch_all(store.pool())
            .await
            .unwrap();
    assert!(dangling.is_empty(), "{dangling:?}");
    let mut answered = answer(&prompt(1), 0);
    answered.trace.finish_reason = FinishReason::Filtered;
    store.add_prompts(&[prompt(1)]).await.unwrap();
    store.record(&[answered]).await.unwrap();
    assert_eq!(store.count_traces().await.unwrap(), 2);
    store.close().await;
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date() {
    let folder = folder();
    first_version(&folder.path).await;
    assert_brought_up_to_date(&folder.path).await;
}

#[tokio::test]
async fn a_kill_between_a_migration_and_its_entry_does_no_harm() {
    let folder = folder();
    first_version(&folder.path).await;
    Store::open(&folder.path).await.unwrap().close().await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&folder.path)
        .connect()
        .await
        .unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 3")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert_brought_up_to_date(&folder.path).await;
}
