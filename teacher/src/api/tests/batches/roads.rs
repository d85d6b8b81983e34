//! What becomes of requests in a batch.

use super::*;

#[tokio::test]
async fn everything_is_answered_in_batches_of_the_size_that_is_asked_for() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.polls(2);
        let summary = bench.run(25).await.unwrap();
        assert_eq!(bench.service.sizes(), [10, 10, 5]);
        assert_eq!((summary.harvest.asked, summary.harvest.failed), (25, 0));
        assert!(!summary.is_unfinished() && !summary.harvest.interrupted);
        bench.assert_taken(25, 1);
        let found = bench.found().await;
        found.assert_all_answered(25);
        // 9 tokens at 0.5 and 3 at 1 USD a million, which is half the price.
        assert_eq!(found.cost, 25 * (9 * 500 + 3 * 1000));
        let again = bench.run(25).await.unwrap();
        assert_eq!((again.harvest.asked, again.harvest.reused), (0, 25));
        bench.assert_taken(25, 1);
    }
}

#[tokio::test]
async fn an_answer_has_its_receipt_and_no_limits_of_pace() {
    let bench = Bench::new(Dialect::OpenAi).await;
    let mut options = bench.teacher_options();
    options.limits.requests_per_minute = Some(1);
    bench.run_with(options, plan(5)).await.unwrap();
    let store = Store::open(&bench.path()).await.unwrap();
    let traces = store.list_traces(&TraceFilter::default()).await.unwrap();
    let trace = store.trace(&traces[0].id).await.unwrap();
    let receipt = &trace.receipt;
    assert_eq!(receipt.limits, serde_json::json!({"batch": "batch_0"}));
    let service = receipt.service.as_ref().unwrap();
    assert!(
        service.endpoint.ends_with("/v1/batches"),
        "{}",
        service.endpoint
    );
    assert_eq!(service.key_alias.as_deref(), Some("TEST_KEY"));
    assert!(service.request_id.as_ref().unwrap().starts_with("req-"));
    assert_eq!(receipt.request_sha256.len(), 64);
    assert_eq!(receipt.response_sha256.len(), 64);
    let tried = &trace.attempts[0];
    assert_eq!(tried.call.as_ref().unwrap().http_status, Some(200));
}

#[tokio::test]
async fn results_may_come_in_any_order() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.lines(|mut lines| {
            lines.reverse();
            lines.insert(lines.len() / 2, "\n".to_owned());
            lines
        });
        bench.run(12).await.unwrap();
        bench.found().await.assert_all_answered(12);
    }
}

#[tokio::test]
async fn what_failed_has_its_reason_and_is_handed_over_again_on_request() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.fates(every(3, Fate::RateLimited));
        let summary = bench.run(9).await.unwrap();
        assert_eq!((summary.harvest.asked, summary.harvest.failed), (9, 3));
        let found = bench.found().await;
        assert_eq!(found.answers.len(), 6);
        assert_eq!(found.failures["question 3"], "rate-limited");
        assert_eq!(found.failures.len(), 3);
        assert!(!summary.is_unfinished());

        let again = bench.run(9).await.unwrap();
        assert_eq!((again.harvest.asked, again.harvest.left_out), (0, 3));
        bench.service.fates(|_| Fate::Answered);
        let plan = HarvestPlan {
            retry_failed: vec!["rate-limited".to_owned()],
            ..plan(9)
        };
        bench.run_with(bench.teacher_options(), plan).await.unwrap();
        bench.found().await.assert_all_answered(9);
        assert_eq!(bench.service.sizes(), [9, 3]);
    }
}

#[tokio::test]
async fn a_refusal_is_paid_for_and_not_asked_again() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.fates(every(2, Fate::Refused));
        bench.run(4).await.unwrap();
        let found = bench.found().await;
        assert_eq!((found.answers.len(), found.failures.len()), (2, 2));
        assert_eq!(found.failures["question 2"], "refused");
        assert_eq!(found.cost, 4 * (9 * 500 + 3 * 1000));
        bench.run(4).await.unwrap();
        bench.assert_taken(4, 1);
    }
}

#[tokio::test]
async fn what_expired_is_asked_again_by_the_next_run() {
    for (dialect, end) in [
        (Dialect::OpenAi, "expired"),
        (Dialect::OpenAi, "completed"),
        (Dialect::Azure, "expired"),
        (Dialect::Anthropic, "ended"),
    ] {
        let bench = Bench::new(dialect).await;
        bench.service.ends(end).fates(every(2, Fate::Expired));
        let summary = bench.run(6).await.unwrap();
        assert_eq!((summary.unanswered, summary.open), (3, 0));
        assert!(summary.is_unfinished());
        let found = bench.found().await;
        assert_eq!(found.failures["question 2"], "expired");
        bench.service.ends("completed").fates(|_| Fate::Answered);
        bench.run(6).await.unwrap();
        bench.found().await.assert_all_answered(6);
        assert_eq!(bench.service.sizes(), [6, 3]);
    }
}

#[tokio::test]
async fn what_an_expired_batch_says_nothing_of_has_expired() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.ends("expired").fates(every(2, Fate::Unsaid));
    let summary = bench.run(6).await.unwrap();
    assert_eq!(summary.unanswered, 3);
    assert_eq!(bench.found().await.failures["question 2"], "expired");
}

#[tokio::test]
async fn a_batch_that_is_cancelled_keeps_what_was_answered() {
    for dialect in EVERY {
        let mut bench = Bench::new(dialect).await;
        bench.options.wait = false;
        bench.service.polls(1000);
        let open = bench.run(5).await.unwrap();
        assert_eq!((open.open_batches, open.open), (1, 5));
        let store = Store::open(&bench.path()).await.unwrap();
        let teacher = ApiTeacher::new(bench.teacher_options()).unwrap();
        let batch = store.batches().await.unwrap().remove(0);
        let never = CancellationToken::new();
        cancel_batch(&teacher, &batch, &never).await.unwrap();
        store.close().await;
        assert_eq!(bench.service.count(Route::Cancel), 1);
        // The next run collects it, and asks again what was not worked on.
        let summary = bench.run(5).await.unwrap();
        assert_eq!(bench.found().await.batches[0].unanswered, 5);
        assert_eq!((summary.open_batches, summary.open), (1, 5));
        assert_eq!(bench.service.sizes(), [5, 5]);
    }
}

#[tokio::test]
async fn ids_that_are_unknown_or_doubled_are_noted_and_not_kept() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.lines(|mut lines| {
            let Some(first) = lines.first().cloned() else {
                return lines;
            };
            let id = first.split("\"custom_id\":\"").nth(1).unwrap()[..64].to_owned();
            lines.push(first.replace("answer", "other answer"));
            lines.push(first.replace(&id, &"0".repeat(64)));
            lines.push("not JSON at all\n".to_owned());
            lines
        });
        bench.run(4).await.unwrap();
        let found = bench.found().await;
        found.assert_all_answered(4);
        assert_eq!(found.batches[0].odd_lines, 3);
        assert!(bench.told(|notice| matches!(notice, BatchNotice::Ended { odd_lines: 3, .. })));
    }
}

#[tokio::test]
async fn without_waiting_the_service_is_asked_once_and_the_next_run_goes_on() {
    for dialect in EVERY {
        let mut bench = Bench::new(dialect).await;
        bench.options.wait = false;
        bench.service.polls(2);
        let first = bench.run(5).await.unwrap();
        assert_eq!((first.open, first.harvest.asked), (5, 0));
        assert_eq!(bench.service.count(Route::Poll), 1);
        let second = bench.run(5).await.unwrap();
        assert_eq!(second.open, 5);
        let third = bench.run(5).await.unwrap();
        assert_eq!((third.open, third.harvest.asked), (0, 5));
        bench.assert_taken(5, 1);
        bench.found().await.assert_all_answered(5);
    }
}

#[tokio::test]
async fn only_what_is_open_is_collected_where_nothing_is_to_be_handed_over() {
    let mut bench = Bench::new(Dialect::OpenAi).await;
    (bench.options.wait, bench.options.size) = (false, 3);
    bench.service.polls(1);
    bench.run(3).await.unwrap();
    (bench.options.wait, bench.options.submit) = (true, false);
    let summary = bench.run(6).await.unwrap();
    assert_eq!((summary.open, summary.harvest.asked), (0, 3));
    assert_eq!(bench.service.sizes(), [3]);
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_asked_for_with_a_larger_limit() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.lines(|lines| {
        let cut = |line: String| line.replace("\"stop\"", "\"length\"");
        lines.into_iter().map(cut).collect()
    });
    let plan = HarvestPlan {
        truncated_max_tokens: Some(40),
        ..plan(3)
    };
    let summary = bench.run_with(bench.teacher_options(), plan).await.unwrap();
    assert_eq!(summary.harvest.asked, 6);
    bench.assert_taken(3, 2);
    let store = Store::open(&bench.path()).await.unwrap();
    assert_eq!(store.count_traces().await.unwrap(), 6);
    let batches = store.batches().await.unwrap();
    let limits: Vec<u32> = batches.iter().map(|b| b.parameters.max_tokens).collect();
    assert_eq!(limits, [20, 40]);
}

#[tokio::test]
async fn a_batch_outlives_the_prompts_of_its_recipe() {
    let mut bench = Bench::new(Dialect::OpenAi).await;
    bench.options.wait = false;
    bench.service.polls(1);
    bench.run(4).await.unwrap();
    bench.options.wait = true;
    // The recipe asks less now; what was handed over is paid for, so it is kept.
    bench.run(1).await.unwrap();
    bench.found().await.assert_all_answered(4);
    bench.assert_taken(4, 1);
}

#[tokio::test]
async fn what_was_erased_is_not_handed_over_again_in_any_form() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.run(3).await.unwrap();
    let store = Store::open(&bench.path()).await.unwrap();
    let teacher = store.batches().await.unwrap()[0].teacher.clone();
    let ask = Ask {
        prompt: prompt(2),
        sample: 0,
        parameters: plan(1).parameters,
    };
    let erased = ask.trace_key(&teacher).id();
    store
        .erase_trace(&erased, "asked by a customer")
        .await
        .unwrap();
    store.close().await;
    let more = HarvestPlan {
        samples: 2,
        ..plan(15)
    };
    let summary = bench.run_with(bench.teacher_options(), more).await.unwrap();
    let harvest = summary.harvest;
    // The erased answer stays known by its id, so that only the second question about its prompt is passed over.
    assert_eq!((harvest.asked, harvest.reused, harvest.erased), (26, 3, 1));
    assert!(!summary.is_unfinished());
    let sent: usize = bench.service.sizes().iter().sum();
    assert_eq!(sent, 3 + 26);
}
