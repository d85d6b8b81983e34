//! Whole harvests with a tiny model.

use limbeck_store::{Store, TraceFilter, id_bytes};

use super::*;
use crate::{HarvestPlan, Limits, SilentReporter, harvest};

/// The log-probabilities of a harvest's choices, by trace id.
async fn harvested(concurrent: usize, prompts: Vec<Prompt>) -> BTreeMap<String, Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("limbeck.db"))
        .await
        .unwrap();
    store.add_prompts(&prompts).await.unwrap();
    let ids = prompts.iter().map(|prompt| id_bytes(&prompt.id).unwrap());
    let parameters = choose(completion("x")).parameters;
    let plan = HarvestPlan {
        prompts: Arc::new(ids.collect()),
        samples: 1,
        parameters,
        truncated_max_tokens: None,
        retry_failed: Vec::new(),
    };
    let limits = Limits::concurrent(concurrent);
    harvest(
        &store,
        teacher(concurrent),
        plan,
        limits,
        Arc::new(SilentReporter),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let all = TraceFilter {
        limit: None,
        ..TraceFilter::default()
    };
    let ids: Vec<String> = store
        .list_traces(&all)
        .await
        .unwrap()
        .into_iter()
        .map(|trace| trace.id)
        .collect();
    let traces = store.traces(&ids).await.unwrap();
    traces
        .into_iter()
        .map(|trace| (trace.id, trace.choice_log_probabilities.unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harvest_gives_the_same_answers_in_any_order_and_at_any_width() {
    let mut prompts: Vec<Prompt> = (0..50)
        .map(|item| completion(format!("{HEAD}Message: item {item}\nSentiment:")))
        .collect();
    let wide = harvested(16, prompts.clone()).await;
    prompts.reverse();
    let narrow = harvested(3, prompts).await;
    assert_eq!(wide.len(), 50);
    assert!(wide.keys().eq(narrow.keys()));
    for (wide, narrow) in wide.values().zip(narrow.values()) {
        assert_near(wide, narrow);
    }
}
