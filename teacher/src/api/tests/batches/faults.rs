//! A service that fails, and connections that break.

use super::*;

fn refused(status: u16, code: &str) -> Fault {
    Fault::Instead(error(status, &[], code))
}

#[tokio::test]
async fn calls_that_fail_for_a_while_are_made_again() {
    for dialect in EVERY {
        for (what, status) in [("rate_limit_exceeded", 429), ("server_error", 500)] {
            let bench = Bench::new(dialect).await;
            bench.service.faults(move |route, count| {
                let repeats = route != Route::Create || status == 429;
                (count < 2 && repeats).then(|| refused(status, what))
            });
            bench.run(3).await.unwrap();
            bench.found().await.assert_all_answered(3);
            bench.assert_taken(3, 1);
        }
    }
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_kept() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.faults(|route, count| {
        let slow = || error(429, &[("retry-after", "1")], "rate_limit_exceeded");
        (route == Route::Poll && count == 0).then(|| Fault::Instead(slow()))
    });
    let begun = std::time::Instant::now();
    bench.run(3).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    bench.found().await.assert_all_answered(3);
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_for_long_is_asked_on() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.faults(|route, count| {
        (route == Route::Poll && count < 11).then(|| refused(503, "unavailable"))
    });
    bench.run(3).await.unwrap();
    assert!(bench.told(|notice| matches!(notice, BatchNotice::NotTold { id: Some(_), .. })));
    bench.found().await.assert_all_answered(3);
    bench.assert_taken(3, 1);
}

#[tokio::test]
async fn an_upload_that_fails_is_an_error_and_is_made_good_by_the_next_run() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench
        .service
        .faults(|route, _| (route == Route::Upload).then(|| refused(500, "server_error")));
    let error = bench.run(3).await.unwrap_err();
    assert!(matches!(error, HarvestError::Teacher { .. }), "{error:?}");
    assert_eq!(
        bench.service.count(Route::Upload),
        4,
        "attempts of the recipe"
    );
    assert_eq!(bench.service.taken().len(), 0);
    bench.service.faults(|_, _| None);
    bench.run(3).await.unwrap();
    bench.assert_taken(3, 1);
    bench.found().await.assert_all_answered(3);
}

#[tokio::test]
async fn a_batch_that_was_taken_without_a_word_is_found_and_not_handed_over_again() {
    for dialect in EVERY {
        for after in [
            vec![Step::Reset],
            vec![Step::Stall],
            error(502, &[], "x"),
            answer("x"),
        ] {
            let bench = Bench::new(dialect).await;
            let mut options = bench.teacher_options();
            options.timeouts.total = Duration::from_millis(300);
            bench.service.polls(1).faults(move |route, count| {
                (route == Route::Create && count == 0).then(|| Fault::After(after.clone()))
            });
            // The answer of a chat names an id that is none of a batch.
            bench.run_with(options, plan(3)).await.unwrap();
            bench.assert_taken(3, 1);
            bench.found().await.assert_all_answered(3);
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_listed_late_or_on_a_later_page_is_found() {
    for dialect in EVERY {
        for (late, page) in [(10, 100), (0, 1)] {
            let mut bench = Bench::new(dialect).await;
            bench.options.resend_after = Duration::from_mins(1);
            bench.service.unlisted(late).page(page);
            bench.service.faults(|route, count| {
                let lost = || Fault::After(vec![Step::Reset]);
                (route == Route::Create && count == 0).then(lost)
            });
            bench.run(25).await.unwrap();
            bench.assert_taken(25, 1);
            bench.found().await.assert_all_answered(25);
        }
    }
}

#[tokio::test]
async fn a_batch_of_unknown_fate_keeps_its_questions_and_its_money() {
    for dialect in EVERY {
        let mut bench = Bench::new(dialect).await;
        (bench.options.wait, bench.options.resend_after) = (false, Duration::from_mins(1));
        bench.service.unlisted(usize::MAX).faults(|route, count| {
            let lost = || Fault::After(vec![Step::Reset]);
            (route == Route::Create && count == 0).then(lost)
        });
        for _ in 0..2 {
            let summary = bench.run(3).await.unwrap();
            assert_eq!((summary.unknown_batches, summary.unknown), (1, 3));
            assert!(summary.is_unfinished());
        }
        assert!(bench.told(|notice| matches!(
            notice,
            BatchNotice::Unknown {
                doubt: crate::BatchDoubt::NotListed { .. },
                ..
            }
        )));
        bench.assert_taken(3, 1);
        let store = Store::open(&bench.path()).await.unwrap();
        let batch = store.batches().await.unwrap().remove(0);
        assert!(batch.fate_is_unknown());
        let reserved = store.reserved_in_batches(&batch.teacher).await.unwrap();
        assert!(reserved > 0);
        let given_up = crate::forget_batch(&store, &batch).await.unwrap();
        assert_eq!(given_up, 3);
        assert_eq!(store.cost_of(&batch.teacher).await.unwrap(), reserved);
        store.close().await;
        let found = bench.found().await;
        assert_eq!(found.failures["question 1"], "batch-forgotten");
        let summary = bench.run(3).await.unwrap();
        assert_eq!((summary.open, summary.harvest.left_out), (0, 3));
        bench.assert_taken(3, 1);
    }
}

#[tokio::test]
async fn what_is_gone_from_a_batch_that_expired_is_not_asked_again() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.ends("expired").faults(|route, _| {
        let gone = || refused(404, "not_found");
        (route == Route::Results).then(gone)
    });
    let summary = bench.run(4).await.unwrap();
    assert_eq!(summary.unanswered, 0);
    assert_eq!(bench.found().await.failures["question 1"], "not-found");
    bench.run(4).await.unwrap();
    bench.assert_taken(4, 1);
}

#[tokio::test]
async fn a_batch_that_never_arrived_is_handed_over_again() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.faults(|route, count| {
            (route == Route::Create && count == 0).then(|| Fault::Instead(vec![Step::Reset]))
        });
        bench.run(3).await.unwrap();
        assert!(bench.told(|notice| matches!(notice, BatchNotice::Lost { requests: 3 })));
        bench.assert_taken(3, 1);
        bench.found().await.assert_all_answered(3);
    }
}

#[tokio::test]
async fn a_service_that_takes_no_batch_at_all_is_given_up() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench
        .service
        .faults(|route, _| (route == Route::Create).then(|| refused(500, "server_error")));
    let error = bench.run(3).await.unwrap_err();
    let said = format!("{:#}", std::error::Error::source(&error).unwrap());
    assert!(said.contains("4 times"), "{said}");
    assert_eq!(bench.service.taken().len(), 0);
}

#[tokio::test]
async fn a_file_that_azure_cannot_use_is_an_error_and_no_batch() {
    let bench = Bench::new(Dialect::Azure).await;
    bench.service.unusable();
    let error = bench.run(3).await.unwrap_err();
    let HarvestError::Teacher { source, .. } = error else {
        panic!("another error: {error}");
    };
    let said = source.in_full();
    assert!(said.contains("cannot use the file `file-0`"), "{said}");
    assert_eq!(bench.service.count(Route::Create), 0);
}

#[tokio::test]
async fn a_key_that_is_refused_stops_at_once() {
    let bench = Bench::new(Dialect::Anthropic).await;
    bench
        .service
        .faults(|_, _| Some(refused(401, "authentication_error")));
    let failed = bench.run(3).await.unwrap_err();
    assert!(failed.hint().unwrap().contains("api_key_env"));
    assert_eq!(bench.service.count(Route::Create), 1);
}

#[tokio::test]
async fn results_that_break_off_are_read_again() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        let whole = bench.service.clone();
        // Once in the middle of a line with an error of the connection, once without one, once between two lines.
        let cut = Mutex::new(0);
        bench.service.lines(move |mut lines| {
            let mut cut = cut.lock().unwrap();
            *cut += 1;
            match *cut {
                1 => {
                    let last = lines.pop().unwrap();
                    lines.push(last[..last.len() / 2].to_owned());
                }
                3 => drop(lines.pop()),
                _ => {}
            }
            lines
        });
        bench.service.faults(|route, count| {
            let begun = response(200, &[("content-length", "100000")], b"{\"custom_id\": ");
            let mut steps = begun;
            steps.push(Step::Close);
            (route == Route::Results && count == 0).then_some(Fault::Instead(steps))
        });
        bench.run(5).await.unwrap();
        let found = bench.found().await;
        found.assert_all_answered(5);
        assert_eq!(found.batches[0].odd_lines, 0);
        assert!(whole.count(Route::Results) >= 2);
    }
}

#[tokio::test]
async fn what_no_line_speaks_of_is_a_failure_in_the_end() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.fates(every(2, Fate::Unsaid));
        let summary = bench.run(4).await.unwrap();
        assert!(!summary.is_unfinished());
        let found = bench.found().await;
        assert_eq!(found.answers.len(), 2);
        assert_eq!(found.failures["question 2"], "malformed");
        // It may have been answered and paid for: the prompt's bytes and 64 tokens, and 20 written.
        let most = (10 + 4 + 64) * 500 + 20 * 1000;
        assert_eq!(found.cost, 2 * (9 * 500 + 3 * 1000) + 2 * most);
    }
}

#[tokio::test]
async fn results_that_are_gone_do_not_keep_a_batch_open() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.faults(|route, _| {
        let gone = || refused(404, "not_found");
        (route == Route::Results).then(gone)
    });
    bench.run(4).await.unwrap();
    let found = bench.found().await;
    assert_eq!(found.failures["question 1"], "not-found");
    assert_eq!(found.batches[0].failed, 4);
}

#[tokio::test]
async fn a_batch_that_the_service_rejects_is_an_error_and_each_request_has_the_reason() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.ends("failed");
    let error = bench.run(3).await.unwrap_err();
    let said = format!("{:#}", std::error::Error::source(&error).unwrap());
    assert!(said.contains("invalid_json_line: it is broken"), "{said}");
    assert!(error.hint().is_some());
    let found = bench.found().await;
    assert_eq!(found.failures["question 1"], "batch-rejected");
    assert_eq!((found.failures.len(), found.cost), (3, 0));
    bench.service.ends("completed");
    bench.run(3).await.unwrap();
    bench.found().await.assert_all_answered(3);
}

#[tokio::test]
async fn a_key_that_the_service_repeats_is_kept_nowhere() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.lines(|lines| {
        let repeat = |line: String| line.replace("answer 1", KEY).replace("too fast", KEY);
        lines.into_iter().map(repeat).collect()
    });
    bench.service.fates(every(2, Fate::RateLimited));
    bench.run(2).await.unwrap();
    let found = bench.found().await;
    assert_eq!(found.failures["question 1"], "malformed");
    assert_eq!(found.failures["question 2"], "rate-limited");
    let store = std::fs::read(bench.path()).unwrap();
    let held = store
        .windows(KEY.len())
        .any(|bytes| bytes == KEY.as_bytes());
    assert!(!held, "the key is in the store");
}

#[tokio::test]
async fn a_service_with_enough_to_do_is_given_the_rest_later() {
    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.most(2).polls(2);
    bench.run(50).await.unwrap();
    assert!(bench.told(|notice| matches!(notice, BatchNotice::Crowded { .. })));
    bench.assert_taken(50, 1);
    let found = bench.found().await;
    found.assert_all_answered(50);
    assert_eq!(found.cost, 50 * (9 * 500 + 3 * 1000));

    let bench = Bench::new(Dialect::OpenAi).await;
    bench.service.most(0);
    let error = bench.run(5).await.unwrap_err();
    let said = format!("{:#}", std::error::Error::source(&error).unwrap());
    assert!(said.contains("token_limit_exceeded"), "{said}");
}

#[tokio::test]
async fn a_batch_that_the_service_no_longer_knows_is_an_error_with_a_way_out() {
    let mut bench = Bench::new(Dialect::Anthropic).await;
    bench.options.wait = false;
    bench.service.polls(9);
    bench.run(3).await.unwrap();
    // Between two looks a service is taken for one that does not know everything everywhere at once.
    bench.options.poll = Duration::ZERO;
    bench
        .service
        .faults(|route, _| (route == Route::Poll).then(|| refused(404, "not_found_error")));
    let error = bench.run(3).await.unwrap_err();
    assert!(
        error.hint().unwrap().contains("--send-again ID"),
        "{error:?}"
    );
    assert_eq!(bench.found().await.batches.len(), 1);
    assert_eq!(bench.service.sizes(), [3]);
}

#[tokio::test]
async fn a_batch_that_the_service_does_not_know_at_once_is_waited_for() {
    let mut bench = Bench::new(Dialect::OpenAi).await;
    // So long after it was handed over, at least, a batch may be unknown.
    bench.options.poll = Duration::from_secs(1);
    bench.service.faults(|route, count| {
        (route == Route::Poll && count == 0).then(|| refused(404, "not_found_error"))
    });
    bench.run(3).await.unwrap();
    bench.assert_taken(3, 1);
    bench.found().await.assert_all_answered(3);
}

#[tokio::test]
async fn an_answer_whose_line_breaks_off_has_not_expired() {
    let bench = Bench::new(Dialect::OpenAi).await;
    let cut = std::sync::atomic::AtomicBool::new(false);
    bench.service.ends("expired").lines(move |mut lines| {
        // The file of answers, and only when it is read first.
        if !lines.is_empty() && !cut.swap(true, std::sync::atomic::Ordering::SeqCst) {
            let last = lines.pop().unwrap();
            lines.push(last[..last.len() / 2].to_owned());
        }
        lines
    });
    let summary = bench.run(4).await.unwrap();
    assert_eq!(summary.unanswered, 0);
    bench.found().await.assert_all_answered(4);
}
