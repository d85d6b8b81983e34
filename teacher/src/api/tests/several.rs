//! Several endpoints, and several teachers.

use super::*;

fn answers_after(milliseconds: u64) -> impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static {
    move |seen| {
        let mut steps = vec![Step::Wait(Duration::from_millis(milliseconds))];
        steps.extend(answer(&seen.prompt));
        steps
    }
}

#[tokio::test]
async fn the_load_is_spread_over_endpoints() {
    let (one, other) = (
        FaultServer::start(answers_after(10)).await,
        FaultServer::start(answers_after(10)).await,
    );
    let options = ApiOptions {
        endpoints: vec![at(&one), at(&other)],
        ..options(&one)
    };
    let harvested = run(options, 100).await;
    assert_eq!(harvested.answers().await.len(), 100);
    let (one, other) = (one.seen().len(), other.seen().len());
    assert_eq!(one + other, 100);
    assert!(one >= 25 && other >= 25, "{one} and {other}");
}

#[tokio::test]
async fn what_one_address_leads_away_from_another_answers() {
    // Moved for good, so that one address alone would be asked but once.
    let away = FaultServer::start(|_| response(301, &[("location", "/elsewhere")], b"")).await;
    let well = FaultServer::start(answers_after(1)).await;
    let notices = Arc::new(Notices::default());
    let options = ApiOptions {
        endpoints: vec![at(&away), at(&well)],
        watcher: notices.clone(),
        ..options(&away)
    };
    let harvested = run(options, 60).await;
    assert_eq!(
        harvested.answers().await.len(),
        60,
        "{:?}",
        harvested.result
    );
    assert_eq!(well.count(), 60);
    assert!((5..60).contains(&away.count()), "{} requests", away.count());
    let notices = notices.0.lock().unwrap();
    assert!(
        notices.iter().any(|notice| matches!(
            notice,
            ApiNotice::EndpointPaused { why, .. } if why.contains("/elsewhere")
        )),
        "{notices:?}"
    );
}

#[tokio::test]
async fn a_receipt_tells_the_limits_of_its_endpoint() {
    let (one, other) = (
        FaultServer::start(answers_after(5)).await,
        FaultServer::start(answers_after(5)).await,
    );
    let own = ApiEndpoint {
        limits: Some(Limits {
            requests_per_minute: Some(9000),
            ..Limits::concurrent(4)
        }),
        ..at(&other)
    };
    let options = ApiOptions {
        endpoints: vec![at(&one), own],
        ..options(&one)
    };
    let harvested = run(options, 40).await;
    let all = TraceFilter {
        limit: None,
        ..TraceFilter::default()
    };
    let mut with_own = 0;
    for trace in harvested.store.list_traces(&all).await.unwrap() {
        let receipt = harvested.store.trace(&trace.id).await.unwrap().receipt;
        let endpoint = receipt.service.unwrap().endpoint;
        if receipt.limits["requests_per_minute"] == 9000 {
            assert_eq!(receipt.limits["endpoint"], *endpoint);
            with_own += 1;
        } else {
            assert!(receipt.limits.get("endpoint").is_none());
        }
    }
    assert_eq!((with_own, one.count() + with_own), (other.count(), 40));
    assert!(with_own > 0);
}

#[tokio::test]
async fn a_dead_endpoint_is_failed_over() {
    let (dead, alive) = (
        FaultServer::start(|_| vec![Step::Reset]).await,
        FaultServer::start(answers_after(2)).await,
    );
    let options = ApiOptions {
        endpoints: vec![at(&dead), at(&alive)],
        ..options(&dead)
    };
    let harvested = run(options, 100).await;
    assert_eq!(
        harvested.answers().await.len(),
        100,
        "{:?}",
        harvested.result
    );
    assert!(dead.seen().len() < 30, "{}", dead.seen().len());
}

#[tokio::test]
async fn a_key_that_is_asked_to_wait_leaves_its_work_to_another() {
    let waits =
        FaultServer::start(|_| error(429, &[("retry-after", "5")], "rate_limit_exceeded")).await;
    let works = FaultServer::start(answers_after(2)).await;
    let other_key = ApiEndpoint {
        key: Some(ApiKey::new("OTHER_KEY", "sk-other-0123456789").unwrap()),
        ..at(&works)
    };
    let options = ApiOptions {
        endpoints: vec![at(&waits), other_key],
        ..options(&waits)
    };
    let begun = std::time::Instant::now();
    let harvested = run(options, 50).await;
    assert_eq!(harvested.answers().await.len(), 50);
    // Those that were waiting for the first key when it was told to wait stay with it.
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert!(works.seen().len() >= 30);
}

#[tokio::test]
async fn two_teachers_share_a_store_side_by_side() {
    let (one, other) = (
        FaultServer::start(answers_after(5)).await,
        FaultServer::start(answers_after(5)).await,
    );
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("limbeck.db"))
        .await
        .unwrap();
    add_prompts(&store, 40).await;
    let run = |server: &FaultServer, route: &str| {
        let options = ApiOptions {
            route: Some(route.to_owned()),
            ..options(server)
        };
        let (teacher, store) = (Arc::new(ApiTeacher::new(options).unwrap()), store.clone());
        async move {
            let limits = Limits::concurrent(4);
            harvest(
                &store,
                teacher,
                plan(40),
                limits,
                Arc::new(SilentReporter),
                CancellationToken::new(),
            )
            .await
        }
    };
    let (first, second) = tokio::join!(run(&one, "a"), run(&other, "b"));
    assert_eq!((first.unwrap().asked, second.unwrap().asked), (40, 40));
    assert_eq!(store.count_traces().await.unwrap(), 80);
    assert_eq!((one.seen().len(), other.seen().len()), (40, 40));
}
