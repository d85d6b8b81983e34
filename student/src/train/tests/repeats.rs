//! The same run gives the same numbers, also with other threads and across interruptions.

use super::*;

#[test]
fn a_seed_repeats_the_curve_bit_for_bit_and_another_does_not() {
    let examples = labels(60);
    let (first, second) = (run(&everything(), &examples), run(&everything(), &examples));
    assert_eq!(first.report.curve, second.report.curve);
    assert_eq!(first.weights, second.weights);
    let other = run(
        &TrainPlan {
            seed: 2,
            ..everything()
        },
        &examples,
    );
    assert_ne!(first.weights, other.weights);
}

#[test]
fn the_number_of_threads_does_not_change_the_numbers() {
    let examples = labels(40);
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let three = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let inside = |pool: &rayon::ThreadPool| {
        let plan = plan();
        let tokenizer = tiny_tokenizer();
        let data = TrainData {
            tokenizer: &tokenizer,
            teacher_ids: None,
            examples: &examples,
        };
        let corpus = Corpus::new(&plan, &data).unwrap();
        let config = config(&plan, tokenizer.vocab_size()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let mut silent = Stop {
            after: usize::MAX,
            cancel: cancel.clone(),
            losses: Vec::new(),
        };
        pool.install(|| {
            let session = Session::new(
                &plan,
                config,
                corpus,
                &InitialWeights::Random,
                folder.path(),
                String::new(),
            );
            session.unwrap().run(&mut silent, &cancel).unwrap().weights
        })
    };
    assert_eq!(inside(&one), inside(&three));
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_numbers() {
    let examples = labels(60);
    let plan = everything();
    let whole_folder = tempfile::tempdir().unwrap();
    let (whole, losses) = run_until(&plan, &examples, whole_folder.path(), usize::MAX);
    let whole = whole.unwrap();
    // In the warm-up, before and after averaging begins, and before the last step.
    for after in [1, losses.len() / 2, losses.len() * 3 / 4, losses.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        let (interrupted, before) = run_until(&plan, &examples, folder.path(), after);
        let error = interrupted.unwrap_err();
        assert!(
            matches!(error, TrainError::Interrupted { step, .. } if step == after),
            "{error}"
        );
        let (resumed, rest) = run_until(&plan, &examples, folder.path(), usize::MAX);
        let resumed = resumed.unwrap();
        assert_eq!([before, rest].concat(), losses, "interrupted after {after}");
        assert_eq!(resumed.weights, whole.weights);
        assert_eq!(resumed.report.curve, whole.report.curve);
        assert_eq!(resumed.report.best_step, whole.report.best_step);
    }
    // A finished run is not trained again.
    let (again, losses) = run_until(&plan, &examples, whole_folder.path(), usize::MAX);
    assert_eq!(again.unwrap().weights, whole.weights);
    assert!(losses.is_empty());
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let examples = labels(20);
    run_until(&plan(), &examples, folder.path(), 1)
        .0
        .unwrap_err();
    let other = TrainPlan { seed: 9, ..plan() };
    let result = run_until(&other, &examples, folder.path(), usize::MAX).0;
    assert!(matches!(result, Err(TrainError::CheckpointMismatch { .. })));
}

#[test]
fn recomputing_changes_no_bit() {
    let examples = labels(40);
    let kept = run(&everything(), &examples);
    let plan = TrainPlan {
        recompute: true,
        ..everything()
    };
    let recomputed = run(&plan, &examples);
    assert_eq!(recomputed.report.curve, kept.report.curve);
    assert_eq!(recomputed.weights, kept.weights);
}

#[test]
fn a_step_in_passes_is_the_same_step() {
    let examples = [labels(40), texts()].concat();
    let whole = TrainPlan {
        epochs: 1.0,
        input_loss: 0.3,
        ..plan()
    };
    let losses = |pass_tokens| {
        let plan = TrainPlan {
            pass_tokens,
            ..whole.clone()
        };
        run(&plan, &examples).report.curve
    };
    // Documents differ in length and in supervised tokens, so that means of passes would be another mean.
    let expected = losses(None);
    for tokens in [1, 50] {
        let found = losses(Some(tokens));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found.train_loss - expected.train_loss).abs() < 1e-4,
                "step {}: {} and {}",
                found.step,
                found.train_loss,
                expected.train_loss
            );
        }
    }
}
