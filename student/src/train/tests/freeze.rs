//! Frozen parts: the same bits throughout, no gradient, no moments, and the rest learns as it would.

use super::*;
use parameters::Parameters;

fn parts(names: &[&str]) -> Vec<Part> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn frozen(names: &[&str], plan: TrainPlan) -> TrainPlan {
    TrainPlan {
        freeze: parts(names),
        ..plan
    }
}

fn untied() -> TrainPlan {
    let mut plan = everything();
    plan.shape.tied = false;
    plan
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Parameters of the plan, and the gradients that one batch gives them, in their order.
fn gradients(plan: &TrainPlan) -> (Parameters, Vec<Option<Vec<u32>>>) {
    let tokenizer = tiny_tokenizer();
    let examples = [labels(20), texts()].concat();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: None,
        examples: &examples,
    };
    let corpus = Corpus::new(plan, &data).unwrap();
    let config = config(plan, tokenizer.vocab_size()).unwrap();
    let weights = limbeck_model::testing::tiny_weights(&config, 3);
    let parameters = Parameters::new(&config, &weights, &plan.freeze, &Device::Cpu).unwrap();
    let student = decoder::StudentDecoder::new(&config, &parameters, Precision::F32).unwrap();
    let student = student.with_recompute(plan.recompute);
    let batch = timeline::Timeline::new(plan, &corpus).batch(0);
    let dropout = decoder::Dropout {
        share: 0.1,
        seed: 5,
    };
    let loss = student.loss(batch, Some(dropout)).unwrap();
    student.backward(&loss).unwrap();
    let found = parameters.0.iter().map(|parameter| {
        let gradient = &parameter.variable;
        student.gradients().with(gradient, bits)
    });
    let found = found.collect();
    (parameters, found)
}

#[test]
fn what_is_frozen_keeps_every_bit_and_the_rest_moves() {
    let examples = [labels(40), texts()].concat();
    let cases: [(&[&str], TrainPlan); 6] = [
        (&["embeddings"], everything()),
        (&["embeddings", "layers.0"], everything()),
        (&["layers"], everything()),
        (&["layers.1"], everything()),
        (&["head"], untied()),
        // Nothing is left to go back to but the head and the last norm.
        (&["embeddings", "layers"], untied()),
    ];
    for (names, plan) in cases {
        let plan = frozen(names, plan);
        let start = untrained(&plan, &tiny_tokenizer(), &InitialWeights::Random);
        let start = start.unwrap().1;
        let trained = run(&plan, &examples);
        let mut kept = 0;
        for (name, tensor) in &trained.weights {
            let same = bits(&tensor.data) == bits(&start[name].data);
            let expected = plan.freeze.iter().any(|part| part.holds(name));
            assert_eq!(same, expected, "{name} where {names:?} are frozen");
            kept += usize::from(same);
        }
        assert!(kept > 0 && kept < trained.weights.len(), "{names:?}");
        let curve = &trained.report.curve;
        assert!(curve.last().unwrap().train_loss.is_finite());
    }
}

#[test]
fn gradients_of_the_rest_are_the_same_bits_and_of_the_frozen_there_are_none() {
    for plan in [plan(), untied()] {
        for recompute in [false, true] {
            let plan = TrainPlan {
                recompute,
                ..plan.clone()
            };
            let (_, whole) = gradients(&plan);
            for names in [
                &["embeddings"][..],
                &["embeddings", "layers.0"],
                &["layers.0"],
                &["layers"],
            ] {
                let (parameters, found) = gradients(&frozen(names, plan.clone()));
                let mut skipped = 0;
                for (parameter, (found, whole)) in parameters.0.iter().zip(found.iter().zip(&whole))
                {
                    let expected = (!parameter.frozen).then_some(whole.as_ref()).flatten();
                    assert_eq!(found.as_ref(), expected, "{}", parameter.name);
                    skipped += usize::from(parameter.frozen);
                }
                // A block has four matrices and two norms.
                let blocks: usize = match names {
                    ["layers"] => 2,
                    ["embeddings"] => 0,
                    _ => 1,
                };
                assert_eq!(skipped, 6 * blocks + usize::from(names[0] == "embeddings"));
            }
        }
    }
}

#[test]
fn what_is_frozen_has_no_moments_and_no_part_in_the_norm() {
    let plan = frozen(&["embeddings", "layers.0"], plan());
    let (parameters, found) = gradients(&plan);
    let mut optimizer = optimizer::AdamW::new(&parameters);
    let held = |moments: &[Vec<f32>]| moments.iter().map(Vec::len).sum::<usize>();
    let trained: usize = parameters.trained().map(|p| p.variable.elem_count()).sum();
    let all: usize = parameters.0.iter().map(|p| p.variable.elem_count()).sum();
    assert!(trained < all / 2, "{trained} of {all}");
    assert_eq!(
        (held(&optimizer.first), held(&optimizer.second)),
        (trained, trained)
    );

    let collected =
        limbeck_model::differentiable::Gradients::new(parameters.trained().map(|p| &p.variable));
    let mut loss: Option<candle_core::Tensor> = None;
    for (parameter, gradient) in parameters.0.iter().zip(&found) {
        let gradient = match gradient {
            Some(bits) => bits.iter().map(|bits| f32::from_bits(*bits)).collect(),
            // Were it a part of the norm, nothing would be left of the others.
            None => vec![1e6; parameter.variable.elem_count()],
        };
        let variable = &parameter.variable;
        let device = variable.device();
        let gradient = candle_core::Tensor::from_vec(gradient, variable.shape(), device).unwrap();
        let part = (variable.as_tensor() * gradient)
            .unwrap()
            .sum_all()
            .unwrap();
        loss = Some(match loss {
            Some(sum) => (sum + part).unwrap(),
            None => part,
        });
    }
    collected
        .absorb(&loss.unwrap().backward().unwrap())
        .unwrap();
    let update = optimizer::Update {
        learning_rate: 0.0,
        weight_decay: 0.0,
        clip: 1e-3,
    };
    optimizer
        .update(&parameters, &collected, &update, 0)
        .unwrap();
    // The first moment after one update is a tenth of the clipped gradient.
    let squares = optimizer
        .first
        .iter()
        .flatten()
        .map(|m| f64::from(*m).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    assert!((norm / 1e-4 - 1.0).abs() < 1e-4, "{norm}");
}

#[test]
fn an_interrupted_run_goes_on_with_what_is_frozen() {
    let examples = labels(40);
    let plan = frozen(&["embeddings", "layers.0"], everything());
    let folder = tempfile::tempdir().unwrap();
    let (whole, losses) = run_until(&plan, &examples, folder.path(), usize::MAX);
    let whole = whole.unwrap();
    for after in [losses.len() / 2, losses.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        let (interrupted, before) = run_until(&plan, &examples, folder.path(), after);
        interrupted.unwrap_err();
        // With another choice of what is frozen it is another run.
        let other = frozen(&["embeddings"], everything());
        let error = run_until(&other, &examples, folder.path(), usize::MAX).0;
        assert!(matches!(error, Err(TrainError::CheckpointMismatch { .. })));
        let (resumed, rest) = run_until(&plan, &examples, folder.path(), usize::MAX);
        assert_eq!([before, rest].concat(), losses, "interrupted after {after}");
        assert_eq!(resumed.unwrap().weights, whole.weights);
    }
}

#[test]
fn a_checkpoint_holds_no_moments_of_what_is_frozen() {
    let examples = labels(20);
    let size = |names: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let plan = frozen(names, plan());
        run_until(&plan, &examples, folder.path(), 1).0.unwrap_err();
        let file = folder.path().join("checkpoint.safetensors");
        std::fs::metadata(file).unwrap().len() as usize
    };
    let table = 4 * tiny_tokenizer().vocab_size() * plan().shape.width;
    let saved = size(&[]) - size(&["embeddings"]);
    assert!(saved.abs_diff(2 * table) < 1000, "{saved} of {table}");
}

#[test]
fn a_plan_that_freezes_what_is_not_there_is_refused() {
    let error = run_until(
        &frozen(&["layers.2"], plan()),
        &labels(20),
        Path::new("/nowhere"),
        1,
    );
    let error = error.0.unwrap_err().to_string();
    assert_eq!(
        error,
        "`freeze` names `layers.2`, and the last of 2 is `layers.1`"
    );
}
