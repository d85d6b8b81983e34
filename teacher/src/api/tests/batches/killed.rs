//! Runs that end in the middle, wherever that is: the next one goes on, and nothing is handed over twice.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Ends the run while the service is busy with `fault`, which happens once.
async fn killed_at(bench: &Bench, at: Route, fault: Fault, prompts: u64) {
    let reached = Arc::new(AtomicBool::new(false));
    let seen = reached.clone();
    bench.service.faults(move |route, _| {
        let first = route == at && !seen.swap(true, Ordering::SeqCst);
        first.then(|| fault.clone())
    });
    let mut options = bench.teacher_options();
    options.timeouts.first_byte = Duration::from_mins(1);
    options.timeouts.idle = Duration::from_mins(1);
    options.timeouts.total = Duration::from_mins(1);
    let wait = async {
        while !reached.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The store of what came before is written by then, or the run has not got so far, which is as well.
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    tokio::select! {
        ended = bench.run_with(options, plan(prompts)) => panic!("it ended: {ended:?}"),
        () = wait => {}
    }
    // Its connection to the store is closed in the background.
    for _ in 0..400 {
        match Store::open(&bench.path()).await {
            Ok(store) => return store.close().await,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("the store stays locked");
}

fn stalls() -> Vec<Step> {
    vec![Step::Stall]
}

/// The head and the first lines of results, and then nothing.
fn half_of_the_results() -> Vec<Step> {
    let mut steps = begun(
        "application/octet-stream",
        &["{\"custom_id\": \"x".to_owned()],
    );
    steps.push(Step::Stall);
    steps
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_is_gone_on_with_and_pays_for_nothing_twice() {
    for dialect in EVERY {
        for (at, fault) in [
            (Route::Upload, Fault::Instead(stalls())),
            (Route::Upload, Fault::After(stalls())),
            (Route::File, Fault::Instead(stalls())),
            (Route::Create, Fault::Instead(stalls())),
            (Route::Create, Fault::After(stalls())),
            (Route::Poll, Fault::Instead(stalls())),
            (Route::Poll, Fault::After(stalls())),
            (Route::Results, Fault::Instead(stalls())),
            (Route::Results, Fault::Instead(half_of_the_results())),
            (Route::Errors, Fault::Instead(stalls())),
        ] {
            let openai_only = matches!(at, Route::Upload | Route::Errors);
            if dialect == Dialect::Anthropic && openai_only
                || dialect != Dialect::Azure && at == Route::File
            {
                continue;
            }
            let bench = Bench::new(dialect).await;
            killed_at(&bench, at, fault.clone(), 25).await;
            bench.service.faults(|_, _| None);
            let summary = bench.run(25).await.unwrap();
            assert!(!summary.is_unfinished(), "{dialect:?} {at:?} {fault:?}");
            bench.found().await.assert_all_answered(25);
            bench.assert_taken(25, 1);
        }
    }
}

#[tokio::test]
async fn a_collection_that_is_killed_between_two_groups_goes_on() {
    let mut bench = Bench::new(Dialect::OpenAi).await;
    bench.options.size = 1000;
    // All answers are read and kept, and then the file of errors does not come.
    killed_at(&bench, Route::Errors, Fault::Instead(stalls()), 600).await;
    let kept = bench.found().await;
    assert_eq!(kept.batches[0].state, limbeck_store::BatchState::Collecting);
    assert_eq!(
        kept.answers.len(),
        512,
        "two groups are kept, and what is left is not"
    );
    bench.service.faults(|_, _| None);
    bench.run(600).await.unwrap();
    bench.found().await.assert_all_answered(600);
    bench.assert_taken(600, 1);
}

#[tokio::test]
async fn a_batch_of_somebody_else_is_not_taken_for_ours() {
    for dialect in [Dialect::Azure, Dialect::Anthropic] {
        a_batch_of_somebody_else(dialect).await;
    }
}

async fn a_batch_of_somebody_else(dialect: Dialect) {
    let bench = Bench::new(dialect).await;
    // Somebody else hands over as many requests while ours never arrives.
    let other = Bench::new(dialect).await;
    killed_at(&bench, Route::Create, Fault::Instead(stalls()), 3).await;
    bench.service.faults(|_, _| None);
    let theirs = ApiOptions {
        model: "another".to_owned(),
        ..bench.teacher_options()
    };
    let store = Store::open(&other.path()).await.unwrap();
    add_prompts(&store, 3).await;
    let teacher = ApiTeacher::new(theirs).unwrap();
    let reporters = BatchReporters {
        harvest: Arc::new(SilentReporter),
        batches: Arc::new(SilentWatcher),
    };
    let never = CancellationToken::new();
    let plan = plan(3);
    let run = harvest_in_batches(&store, &teacher, &plan, other.options, reporters, never);
    run.await.unwrap();
    store.close().await;
    bench.run(3).await.unwrap();
    bench.found().await.assert_all_answered(3);
    assert!(bench.told(|notice| matches!(notice, BatchNotice::Lost { .. })));
    bench.assert_taken(3, 2);
}

#[tokio::test]
async fn a_run_that_is_interrupted_leaves_the_batch_at_the_service() {
    for dialect in EVERY {
        let bench = Bench::new(dialect).await;
        bench.service.polls(1000);
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let service = bench.service.clone();
        let (summary, ()) = tokio::join!(
            bench.run_until(bench.teacher_options(), plan(5), &cancel),
            async {
                while service.count(Route::Poll) < 2 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                stop.cancel();
            }
        );
        let summary = summary.unwrap();
        assert!(summary.harvest.interrupted);
        assert_eq!((summary.open_batches, summary.open), (1, 5));
        assert_eq!(bench.service.count(Route::Cancel), 0);
        bench.service.polls(0);
        bench.run(5).await.unwrap();
        bench.found().await.assert_all_answered(5);
        bench.assert_taken(5, 1);
    }
}
