//! Batches: what is known of them at each moment, and that nothing is kept twice.

use super::*;

fn batch(marker: &str, answers: &[Answered]) -> NewBatch {
    let key = &answers[0].key;
    NewBatch {
        marker: marker.to_owned(),
        teacher: key.teacher.clone(),
        endpoint: "h/v1/batches".to_owned(),
        key_alias: Some("KEY".to_owned()),
        parameters: key.parameters.clone(),
        requests: answers
            .iter()
            .map(|answer| BatchRequest {
                trace_id: answer.key.id(),
                prompt_id: answer.key.prompt_id.clone(),
                sample: answer.key.sample,
                request_sha256: "r".to_owned(),
                most_nano_usd: 10,
                outcome: None,
            })
            .collect(),
    }
}

fn failure(answered: &Answered, kind: &str) -> Attempt {
    Attempt {
        status: AttemptStatus::Failed {
            kind: kind.to_owned(),
            message: "it did not come".to_owned(),
        },
        call: Some(Box::new(Call {
            endpoint: "h/v1/batches".to_owned(),
            ..Call::default()
        })),
        ..answered.attempts[0].clone()
    }
}

/// A store with so many prompts, none of them answered.
async fn asked(path: &Path, count: u64) -> (Store, Vec<Answered>) {
    let store = Store::open(path).await.unwrap();
    let prompts: Vec<_> = (1..=count).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let answers = prompts.iter().map(|prompt| answer(prompt, 0)).collect();
    (store, answers)
}

#[tokio::test]
async fn a_batch_goes_from_state_to_state_and_tells_what_is_open() {
    let folder = folder();
    let (store, answers) = asked(&folder.path, 4).await;
    let teacher = answers[0].key.teacher.clone();
    let number = store.begin_batch(&batch("m1", &answers)).await.unwrap();
    let read = async || store.batch(number).await.unwrap().unwrap();
    let begun = read().await;
    assert_eq!(begun.state, BatchState::Submitting);
    assert_eq!((begun.requests, begun.open()), (4, 4));
    assert_eq!((begun.sent_at, begun.remote_id), (None, None));
    assert_eq!(begun.parameters, answers[0].key.parameters);
    assert_eq!(store.reserved_in_batches(&teacher).await.unwrap(), 40);

    store.batch_is_sent(number).await.unwrap();
    store
        .batch_is_at(number, "too early", None, true)
        .await
        .unwrap();
    assert_eq!(read().await.state, BatchState::Submitting);
    store.batch_is_submitted(number, "batch_1").await.unwrap();
    store
        .batch_is_at(number, "in_progress", Some(3), false)
        .await
        .unwrap();
    let submitted = read().await;
    assert_eq!(submitted.state, BatchState::Submitted);
    assert_eq!(submitted.remote_id.as_deref(), Some("batch_1"));
    assert_eq!(submitted.remote_done, Some(3));
    store
        .batch_is_at(number, "completed", None, true)
        .await
        .unwrap();
    let collecting = read().await;
    assert_eq!(collecting.state, BatchState::Collecting);
    assert_eq!(
        collecting.remote_done,
        Some(3),
        "what was known stays known"
    );

    let results = BatchResults {
        answered: vec![answers[0].clone()],
        failed: vec![failure(&answers[1], "server")],
        unanswered: vec![failure(&answers[2], "expired")],
    };
    let kept = store.record_batch(number, results.clone()).await.unwrap();
    assert_eq!(kept.len(), 3);
    let again = store.record_batch(number, results).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(store.count_traces().await.unwrap(), 1);
    let tried = store.attempts(&answers[1].key.id()).await.unwrap();
    assert_eq!(tried.len(), 1, "a failure is kept once");
    assert_eq!(store.reserved_in_batches(&teacher).await.unwrap(), 10);
    let ids = ids(&answers);
    let outcomes = store.batch_outcomes(&ids).await.unwrap();
    let outcome = |index: usize| outcomes[&ids[index]];
    assert_eq!(outcome(0), Some(BatchOutcome::Answered));
    assert_eq!(outcome(1), Some(BatchOutcome::Failed));
    assert_eq!(outcome(2), Some(BatchOutcome::Unanswered));
    assert_eq!(outcome(3), None);

    assert_eq!(store.open_batches(&teacher).await.unwrap().len(), 1);
    store.end_batch(number, 2).await.unwrap();
    assert_eq!(store.open_batches(&teacher).await.unwrap(), []);
    assert_eq!(store.reserved_in_batches(&teacher).await.unwrap(), 0);
    let ended = read().await;
    assert_eq!((ended.state, ended.open()), (BatchState::Ended, 0));
    assert_eq!((ended.answered, ended.failed, ended.unanswered), (1, 1, 2));
    assert_eq!(ended.odd_lines, 2);
}

#[tokio::test]
async fn what_became_of_a_request_is_told_by_its_last_batch() {
    let folder = folder();
    let (store, answers) = asked(&folder.path, 2).await;
    let first = store.begin_batch(&batch("m1", &answers)).await.unwrap();
    store.end_batch(first, 0).await.unwrap();
    let ids = ids(&answers[..2]);
    let outcomes = store.batch_outcomes(&ids).await.unwrap();
    assert_eq!(outcomes[&ids[0]], Some(BatchOutcome::Unanswered));
    store
        .begin_batch(&batch("m2", &answers[..1]))
        .await
        .unwrap();
    let outcomes = store.batch_outcomes(&ids).await.unwrap();
    assert_eq!(outcomes[&ids[0]], None);
    assert_eq!(outcomes[&ids[1]], Some(BatchOutcome::Unanswered));
    assert_eq!(store.batches().await.unwrap().len(), 2);
}

#[tokio::test]
async fn no_two_batches_have_one_marker() {
    let folder = folder();
    let (store, answers) = asked(&folder.path, 1).await;
    store.begin_batch(&batch("m1", &answers)).await.unwrap();
    assert!(store.begin_batch(&batch("m1", &answers)).await.is_err());
    assert_eq!(store.batches().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_went_in_a_batch_costs_money_and_counts_against_no_limit_of_pace() {
    let folder = folder();
    let (store, mut answers) = asked(&folder.path, 2).await;
    let teacher = answers[0].key.teacher.clone();
    for (answer, endpoint) in answers
        .iter_mut()
        .zip(["h/v1/batches", "h/v1/chat/completions"])
    {
        answer.attempts[0].call = Some(Box::new(Call {
            endpoint: endpoint.to_owned(),
            cost_nano_usd: Some(7),
            ..Call::default()
        }));
    }
    store.record(&answers).await.unwrap();
    assert_eq!(store.cost_of(&teacher).await.unwrap(), 14);
    let mut spent = Vec::new();
    let each = |some: &[Spent]| spent.extend_from_slice(some);
    store.spent_since(&teacher, "2000", each).await.unwrap();
    assert_eq!(spent.len(), 1);
    assert_eq!(spent[0].endpoint, "h/v1/chat/completions");
}
