//! What ends a harvest at once, and what only looks like an end.

use super::*;

#[tokio::test]
async fn authentication_and_quota_stop_at_once_with_what_to_do() {
    for (status, kind, name) in [
        (401, "invalid_api_key", "authentication"),
        (429, "insufficient_quota", "quota"),
    ] {
        let server = FaultServer::start(move |_| error(status, &[], kind)).await;
        let harvested = run(options(&server), 500).await;
        let error = harvested.result.as_ref().unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        let HarvestError::Teacher { source, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(source.kind(), name);
        assert!(server.count() <= 8, "no more than were in flight");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_since_it_could_take_the_key_elsewhere() {
    let elsewhere = FaultServer::start(|seen| answer(&seen.prompt)).await;
    let target = elsewhere.base_url();
    let server = FaultServer::start(move |_| {
        response(307, &[("location", &format!("{target}?token=1"))], b"")
    })
    .await;
    let harvested = run(options(&server), 5).await;
    let error = harvested.result.unwrap_err();
    let HarvestError::Teacher { source, .. } = &error else {
        panic!("{error:?}");
    };
    let told = std::error::Error::source(source).unwrap().to_string();
    assert!(
        told.contains("not followed") && !told.contains("token"),
        "{told}"
    );
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_dead_endpoint_is_left_alone_and_told_of_and_comes_back() {
    let since = std::time::Instant::now();
    let server = FaultServer::start(move |seen| {
        if since.elapsed() < Duration::from_millis(700) {
            vec![Step::Reset]
        } else {
            answer(&seen.prompt)
        }
    })
    .await;
    let notices = Arc::new(Notices::default());
    let options = ApiOptions {
        watcher: notices.clone(),
        retry: RetryPolicy {
            attempts: 12,
            ..options(&server).retry
        },
        ..options(&server)
    };
    let harvested = run(options, 20).await;
    assert_eq!(
        harvested.answers().await.len(),
        20,
        "{:?}",
        harvested.result
    );
    let notices = notices.0.lock().unwrap();
    assert!(
        matches!(&notices[0], ApiNotice::EndpointPaused { pause, .. } if *pause == Duration::from_secs(1)),
        "{notices:?}"
    );
    assert!(
        matches!(notices.last(), Some(ApiNotice::EndpointBack { .. })),
        "{notices:?}"
    );
    let asked_meanwhile = server.count();
    assert!(asked_meanwhile < 20 + 24, "{asked_meanwhile} requests");
}
