//! The cap holds in the worst case, over batches and runs.

use super::*;

/// What one of the questions may cost at most: the bytes of its prompt and 64 tokens, and 20 written.
const MOST: u64 = (10 + 4 + 64) * 500 + 20 * 1000;
/// What it does cost.
const COSTS: u64 = 9 * 500 + 3 * 1000;

fn with_cap(bench: &Bench, nano_usd: u64) -> ApiOptions {
    let mut options = bench.teacher_options();
    options.limits.spend_usd = Some(nano_usd as f64 / 1e9);
    options
}

#[tokio::test]
async fn what_is_handed_over_may_never_cost_more_than_the_cap() {
    let mut bench = Bench::new(Dialect::OpenAi).await;
    bench.options.wait = false;
    bench.service.polls(1000);
    let options = with_cap(&bench, 3 * MOST + 10);
    let summary = bench.run_with(options, plan(9)).await.unwrap();
    assert_eq!(bench.service.sizes(), [3]);
    assert_eq!(summary.open, 3);
    // What an earlier run handed over is still set aside.
    let options = with_cap(&bench, 4 * MOST + 10);
    bench.run_with(options, plan(9)).await.unwrap();
    assert_eq!(bench.service.sizes(), [3, 1]);
}

#[tokio::test]
async fn what_turns_out_cheaper_pays_for_more_until_the_cap_is_reached() {
    let bench = Bench::new(Dialect::Anthropic).await;
    let cap = 3 * MOST;
    let plan = HarvestPlan {
        samples: 10,
        ..plan(9)
    };
    let options = with_cap(&bench, cap);
    let error = bench.run_with(options, plan).await.unwrap_err();
    let HarvestError::Teacher { source, .. } = &error else {
        panic!("{error:?}");
    };
    let reached = matches!(source, crate::AskError::CapReached { .. });
    assert!(reached, "{source:?}");
    let store = Store::open(&bench.path()).await.unwrap();
    let teacher = store.batches().await.unwrap()[0].teacher.clone();
    let cost = store.cost_of(&teacher).await.unwrap();
    assert_eq!(cost, store.count_traces().await.unwrap() as u64 * COSTS);
    assert!(cost <= cap && cost + MOST > cap, "{cost}");
    let batches = bench.service.sizes().len();
    assert!(batches > 2, "{batches}");
}
