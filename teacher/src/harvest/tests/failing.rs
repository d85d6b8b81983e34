//! Questions without an answer, and answers without an end.

use super::*;

#[tokio::test]
async fn failures_are_kept_with_their_reasons_and_asked_again_by_the_next_harvest() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let plan = plan(30, 1);
    let teacher = Scripted::new(|ask, _| {
        if ask.prompt.row % 3 == 0 {
            Err(failure(false))
        } else {
            Ok(())
        }
    });
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((summary.asked, summary.failed), (30, 10));
    assert_eq!(texts(&store).await.len(), 20);
    let failed = plan.trace_key(question(2), &teacher.identity().key()).id();
    let attempts = store.attempts(&failed).await.unwrap();
    let reason = AttemptStatus::Failed {
        kind: "timeout".to_owned(),
        message: "no answer within 60 s".to_owned(),
    };
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].status, reason);

    let mended = Scripted::new(|_, _| Ok(()));
    let again = run(&store, &mended, plan).await.unwrap();
    assert_eq!((again.asked, again.reused, again.failed), (10, 20, 0));
    assert_eq!(
        store.attempts(&failed).await.unwrap().len(),
        2,
        "the failure stays on record"
    );
}

#[tokio::test]
async fn lasting_failures_are_asked_again_only_on_request_and_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut plan = plan(60, 1);
    let teacher = Scripted::new(|ask, _| match ask.prompt.row {
        1..=50 => Err(AskError::Other {
            kind: "policy".to_owned(),
            message: "a filter refused the question".to_owned(),
            fatal: false,
        }),
        51 => Err(failure(false)),
        _ => Ok(()),
    });
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((summary.asked, summary.failed), (60, 51));

    let mended = Scripted::new(|_, _| Ok(()));
    let again = run(&store, &mended, plan.clone()).await.unwrap();
    assert_eq!((again.asked, again.left_out, again.reused), (1, 50, 9));

    plan.retry_failed = vec!["policy".to_owned()];
    let again = run(&store, &mended, plan).await.unwrap();
    assert_eq!((again.asked, again.left_out, again.reused), (50, 0, 10));
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_asked_for_once_more_with_the_larger_limit() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::cutting_off(20);
    let mut plan = plan(10, 1);
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!(summary.asked, 10, "nothing is asked again blindly");

    // 10 tokens are cut off again, and that is that.
    plan.truncated_max_tokens = Some(10);
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((summary.asked, summary.reused), (10, 0));
    plan.truncated_max_tokens = Some(40);
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((summary.asked, summary.reused), (10, 0));
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((summary.asked, summary.reused), (0, 10));
    assert_eq!(
        texts(&store).await.len(),
        30,
        "the answers that were cut off are kept as well"
    );

    // In one run, the second try follows the first.
    plan.parameters.seed += 1;
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!((summary.asked, summary.reused), (20, 0));
    plan.parameters.max_tokens = 40;
    let summary = run(&store, &teacher, plan).await.unwrap();
    assert_eq!((summary.asked, summary.reused), (0, 10));
}

#[tokio::test]
async fn twenty_failures_in_a_row_end_the_harvest() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, before| {
        if before < 10 {
            Ok(())
        } else {
            Err(failure(false))
        }
    });
    let error = run(&store, &teacher, plan(500, 1)).await.unwrap_err();
    assert!(
        matches!(&error, HarvestError::TooManyFailures { count: 20, teacher, .. } if teacher == "scripted")
    );
    assert!(error.hint().is_some());
    let asked = teacher.asked().len();
    assert!((30..=30 + 8 + 32).contains(&asked), "{asked} were asked");
    assert_eq!(texts(&store).await.len(), 10, "answers before it are kept");
}

#[tokio::test]
async fn scattered_failures_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, before| {
        if before % 12 == 0 {
            Ok(())
        } else {
            Err(failure(false))
        }
    });
    let plan = plan(120, 1);
    let limits = at_most(1);
    let summary = harvest(
        &store,
        teacher,
        plan,
        limits,
        Arc::new(SilentReporter),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    assert_eq!((summary.asked, summary.failed), (120, 110));
}

#[tokio::test]
async fn a_failure_that_all_would_share_ends_the_harvest_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, before| {
        if before == 30 {
            Err(failure(true))
        } else {
            Ok(())
        }
    });
    let error = run(&store, &teacher, plan(500, 1)).await.unwrap_err();
    assert!(matches!(
        error,
        HarvestError::Teacher {
            source: AskError::Other { fatal: true, .. },
            ..
        }
    ));
    let asked = teacher.asked().len();
    assert!((31..=31 + 8).contains(&asked), "{asked} were asked");
    assert_eq!(
        texts(&store).await.len(),
        asked - 1,
        "what was in flight is kept"
    );
}

#[tokio::test]
async fn what_was_erased_is_not_asked_again_in_any_form() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let teacher = Scripted::new(|_, _| Ok(()));
    let mut plan = plan(10, 1);
    run(&store, &teacher, plan.clone()).await.unwrap();
    let erased = plan.trace_key(question(3), &teacher.identity().key()).id();
    store
        .erase_trace(&erased, "asked by a customer")
        .await
        .unwrap();

    plan.samples = 2;
    let summary = run(&store, &teacher, plan.clone()).await.unwrap();
    assert_eq!(
        (summary.asked, summary.erased, summary.interrupted),
        (9, 1, false)
    );
    let again = (plan.prompts.get(3), 1);
    assert!(!teacher.asked().contains(&again));
}
