//! bfloat16 products against f32 ones: the same way down, to the same place.

use limbeck_model::testing::tiny_weights;

use super::*;

#[test]
fn the_whole_gradient_in_bfloat16_points_where_that_in_f32_does() {
    let plan = TrainPlan {
        input_loss: 0.3,
        ..plan()
    };
    let tokenizer = tiny_tokenizer();
    let examples = [labels(40), texts()].concat();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: None,
        examples: &examples,
    };
    let corpus = Corpus::new(&plan, &data).unwrap();
    let config = config(&plan, tokenizer.vocab_size()).unwrap();
    let parameters =
        parameters::Parameters::new(&config, &tiny_weights(&config, 3), &[], &Device::Cpu).unwrap();
    let batch = timeline::Timeline::new(&plan, &corpus).batch(0);
    let gradients = |precision| {
        let student = decoder::StudentDecoder::new(&config, &parameters, precision).unwrap();
        student
            .backward(&student.loss(batch.clone(), None).unwrap())
            .unwrap();
        let values = parameters.0.iter().map(|parameter| {
            let gradient = &parameter.variable;
            student.gradients().with(gradient, <[f32]>::to_vec).unwrap()
        });
        values.collect::<Vec<_>>()
    };
    let dot = |a: &[f32], b: &[f32]| {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum::<f64>()
    };
    let (exact, rounded) = (gradients(Precision::F32), gradients(Precision::Bf16));
    assert_ne!(exact, rounded, "bfloat16 was not used");
    for (parameter, (exact, rounded)) in parameters.0.iter().zip(exact.iter().zip(&rounded)) {
        let (length, other) = (dot(exact, exact).sqrt(), dot(rounded, rounded).sqrt());
        let cosine = dot(exact, rounded) / (length * other);
        assert!(
            cosine > 0.999 && (other / length - 1.0).abs() < 0.02,
            "{}: cosine {cosine}, length {other} instead of {length}",
            parameter.name
        );
    }
}

/// Over several seeds, training in bfloat16 ends as near to training in f32 as seeds end to each other.
#[test]
fn bfloat16_ends_where_f32_does() {
    let end = |seed, precision| {
        let plan = TrainPlan {
            seed,
            precision,
            epochs: 6.0,
            held_out: 0.3,
            keep_best: false,
            objective: Objective {
                cross_entropy: 0.5,
                forward_kl: 0.5,
            },
            ..plan()
        };
        let report = run(&plan, &labels(200)).report;
        assert_eq!(report.precision, precision);
        f64::from(report.best_held_out.unwrap())
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let exact: Vec<f64> = (1..=6).map(|seed| end(seed, Precision::F32)).collect();
    let rounded: Vec<f64> = (1..=6).map(|seed| end(seed, Precision::Bf16)).collect();
    let middle = mean(&exact);
    let squares: Vec<f64> = exact.iter().map(|loss| (loss - middle).powi(2)).collect();
    let (spread, difference) = (mean(&squares).sqrt(), mean(&rounded) - middle);
    assert!(
        difference.abs() < 0.5 * spread && difference.abs() < 0.02 * middle,
        "held-out losses {exact:.5?} and {rounded:.5?}: bf16 ends {difference:+.5} from {middle:.5}, where seeds \
         spread by {spread:.5}"
    );
}

#[test]
fn what_auto_became_is_reported_and_a_checkpoint_keeps_to_it() {
    let plan = TrainPlan {
        precision: Precision::Auto,
        epochs: 1.0,
        ..plan()
    };
    let examples = labels(20);
    let used = Precision::Auto.for_training().unwrap();
    let unused = if used == Precision::F32 {
        Precision::Bf16
    } else {
        Precision::F32
    };
    assert_eq!(run(&plan, &examples).report.precision, used);
    let folder = tempfile::tempdir().unwrap();
    run_until(&plan, &examples, folder.path(), 1).0.unwrap_err();
    let other = TrainPlan {
        precision: unused,
        ..plan.clone()
    };
    let error = run_until(&other, &examples, folder.path(), usize::MAX).0;
    assert!(matches!(
        error,
        Err(TrainError::CheckpointPrecision {
            found,
            expected,
            ..
        }) if (found, expected) == (used, unused)
    ));
    // What was asked for as `auto` and as what it became is the same run.
    let same = TrainPlan {
        precision: used,
        ..plan
    };
    assert!(
        run_until(&same, &examples, folder.path(), usize::MAX)
            .0
            .is_ok()
    );
}
