//! What a service says about limits is obeyed, by all that use the key.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn retry_after_stops_every_worker_to_the_second() {
    let server = FaultServer::start(|seen| {
        if seen.prompt == "question 4" && seen.before == 0 {
            error(429, &[("retry-after", "1")], "rate_limit_exceeded")
        } else {
            let mut steps = vec![Step::Wait(Duration::from_millis(20))];
            steps.extend(answer(&seen.prompt));
            steps
        }
    })
    .await;
    let harvested = run(options(&server), 40).await;
    assert_eq!(harvested.answers().await.len(), 40);
    let seen = server.seen();
    let refused = seen
        .iter()
        .find(|seen| seen.prompt == "question 4")
        .unwrap()
        .at;
    let meanwhile = seen
        .iter()
        .filter(|seen| {
            let after = seen.at.saturating_duration_since(refused);
            after > Duration::from_millis(150) && after < Duration::from_millis(995)
        })
        .count();
    assert_eq!(meanwhile, 0, "nothing is sent inside the wait");
    let last = seen.last().unwrap().at - refused;
    assert!(
        last < Duration::from_secs(3),
        "it goes on right after: {last:?}"
    );
}

#[tokio::test]
async fn a_storm_of_refusals_ends_with_everything_answered() {
    for headers in [&[][..], &[("retry-after-ms", "30")][..]] {
        let since = Instant::now();
        let server = FaultServer::start(move |seen| {
            if since.elapsed() < Duration::from_millis(400) {
                error(429, headers, "rate_limit_exceeded")
            } else {
                answer(&seen.prompt)
            }
        })
        .await;
        let retry = RetryPolicy {
            attempts: 8,
            first_wait_s: 0.02,
            longest_wait_s: 0.1,
        };
        let options = ApiOptions {
            retry,
            ..options(&server)
        };
        let harvested = run(options, 60).await;
        assert_eq!(
            harvested.answers().await.len(),
            60,
            "{:?}",
            harvested.result
        );
    }
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_waited_for_even_if_the_clocks_differ() {
    // The service's clock is an hour ahead; by its own account the wait is half a second to a second and a half.
    let server = FaultServer::start(|seen| {
        let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let date = ahead.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let reset = (ahead + jiff::SignedDuration::from_secs(1))
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let remaining = if seen.prompt == "question 1" {
            "0"
        } else {
            "50"
        };
        let headers = [
            ("date", date.as_str()),
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", remaining),
            ("anthropic-ratelimit-requests-reset", reset.as_str()),
        ];
        response(
            200,
            &headers,
            answer_body(&seen.prompt).to_string().as_bytes(),
        )
    })
    .await;
    let one_at_a_time = ApiOptions {
        limits: Limits::concurrent(1),
        ..options(&server)
    };
    let harvested = run(one_at_a_time, 3).await;
    assert_eq!(harvested.answers().await.len(), 3);
    let seen = server.seen();
    let waited = seen[1].at - seen[0].at;
    assert!(
        waited >= Duration::from_millis(900) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
}

#[tokio::test]
async fn the_cap_on_spending_holds_and_says_so() {
    let server = FaultServer::start(|seen| answer(&seen.prompt)).await;
    // At most (11 + 4 + 64) tokens in and 20 out are 119,000 billionths; 15,000 are used.
    let limits = Limits {
        spend_usd: Some(0.000_5),
        ..Limits::concurrent(8)
    };
    let options = ApiOptions {
        limits,
        ..options(&server)
    };
    let teacher = Arc::new(ApiTeacher::new(options).unwrap());
    let harvested = harvested(teacher.clone(), plan(100)).await;
    let error = harvested.result.as_ref().unwrap_err();
    assert!(
        matches!(
            error,
            HarvestError::Teacher {
                source: crate::AskError::CapReached { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("spend_usd"));
    let cost = harvested.store.cost_of("openai|m|test").await.unwrap();
    assert_eq!(teacher.pace().spent, cost);
    assert!(cost <= 500_000 && cost > 350_000, "{cost}");
    assert!(
        harvested.failures().await.is_empty(),
        "what was not asked has not failed"
    );

    // A second teacher over the same store remembers.
    let again = ApiTeacher::new(teacher.options.clone()).unwrap();
    again.remember_cost(cost);
    assert_eq!(again.pace().spent, cost);
}

#[tokio::test]
async fn a_restart_does_not_begin_the_minute_anew() {
    let server = FaultServer::start(|seen| answer(&seen.prompt)).await;
    let limits = Limits {
        requests_per_minute: Some(1200),
        tokens_per_minute: Some(100_000),
        ..Limits::concurrent(8)
    };
    let options = ApiOptions {
        limits,
        ..options(&server)
    };
    let harvested = run(options.clone(), 10).await;
    harvested.result.as_ref().unwrap();
    let again = ApiTeacher::new(options).unwrap();
    harvested
        .store
        .spent_since("openai|m|test", "2000-01-01T00:00:00Z", |some| {
            again.remember(some);
        })
        .await
        .unwrap();
    let limits = again.pace().limits;
    assert_eq!(
        limits,
        [
            ("requests_per_minute", 10, 1200),
            ("tokens_per_minute", 120, 100_000)
        ]
    );
}

#[tokio::test]
async fn as_the_server_sees_it_the_rate_holds_and_is_used() {
    let server = FaultServer::start(|seen| {
        let mut steps = vec![Step::Wait(Duration::from_millis(10))];
        steps.extend(answer(&seen.prompt));
        steps
    })
    .await;
    let limits = Limits {
        requests_per_minute: Some(6000),
        ..Limits::concurrent(32)
    };
    let options = ApiOptions {
        limits,
        ..options(&server)
    };
    let harvested = run(options, 300).await;
    harvested.result.as_ref().unwrap();
    let seen = server.seen();
    let took = (seen[299].at - seen[0].at).as_secs_f64();
    // A hundred a second; what a late moment saves up may be a second's worth.
    assert!(took > 1.9 && took < 3.6, "{took}");
}
