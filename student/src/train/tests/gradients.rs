//! The whole model against finite differences, and every parameter in reach of the loss.

use super::*;

#[test]
fn every_parameter_gets_a_gradient_and_learns() {
    for (tied, key_value_heads) in [(true, Some(2)), (false, None)] {
        let mut plan = TrainPlan {
            held_out: 0.0,
            weight_decay: 0.0,
            epochs: 1.0,
            ..plan()
        };
        plan.shape.tied = tied;
        plan.shape.key_value_heads = key_value_heads;
        let tokenizer = tiny_tokenizer();
        let examples = [labels(20), texts()].concat();
        let data = TrainData {
            tokenizer: &tokenizer,
            teacher_ids: None,
            examples: &examples,
        };
        let corpus = Corpus::new(&plan, &data).unwrap();
        let config = config(&plan, tokenizer.vocab_size()).unwrap();
        let start = parameters::initial_weights(&config, &InitialWeights::Random, 1).unwrap();
        let parameters = parameters::Parameters::new(&config, &start, &[], &Device::Cpu).unwrap();
        let student = decoder::StudentDecoder::new(&config, &parameters, Precision::F32).unwrap();
        let batch = timeline::Timeline::new(&plan, &corpus).batch(0);
        student
            .backward(&student.loss(batch, None).unwrap())
            .unwrap();
        for parameter in &parameters.0 {
            let values = student
                .gradients()
                .with(&parameter.variable, <[f32]>::to_vec)
                .unwrap_or_else(|| panic!("{}", parameter.name));
            assert!(
                values.iter().all(|value| value.is_finite()),
                "{}",
                parameter.name
            );
            assert!(
                values.iter().any(|value| *value != 0.0),
                "{} has a zero gradient",
                parameter.name
            );
        }
        let trained = run(&plan, &examples);
        for (name, tensor) in &trained.weights {
            assert_ne!(tensor, &start[name], "{name} never moved");
        }
    }
}

#[test]
fn the_whole_gradient_agrees_with_finite_differences() {
    let plan = TrainPlan {
        input_loss: 0.3,
        ..plan()
    };
    let tokenizer = tiny_tokenizer();
    let examples = [labels(6), texts()].concat();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: None,
        examples: &examples,
    };
    let corpus = Corpus::new(&plan, &data).unwrap();
    let config = config(&plan, tokenizer.vocab_size()).unwrap();
    // Larger weights than at the start of a run, so that second-order effects would show.
    let weights = limbeck_model::testing::tiny_weights(&config, 3);
    let parameters = parameters::Parameters::new(&config, &weights, &[], &Device::Cpu).unwrap();
    let student = decoder::StudentDecoder::new(&config, &parameters, Precision::F32).unwrap();
    let batch = timeline::Timeline::new(&plan, &corpus).batch(0);
    student
        .backward(&student.loss(batch.clone(), None).unwrap())
        .unwrap();
    let values = parameters.values().unwrap();
    for (index, parameter) in parameters.0.iter().enumerate() {
        let gradient = student
            .gradients()
            .with(&parameter.variable, <[f32]>::to_vec)
            .unwrap();
        // Along the gradient itself the derivative is its norm.
        let norm = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        let at = |step: f64| {
            let mut moved = values.clone();
            for (value, gradient) in moved[index].iter_mut().zip(&gradient) {
                *value += (step * f64::from(*gradient) / norm) as f32;
            }
            parameters.set_values(&moved).unwrap();
            f64::from(
                student
                    .loss(batch.clone(), None)
                    .unwrap()
                    .to_scalar::<f32>()
                    .unwrap(),
            )
        };
        let difference = (at(5e-3) - at(-5e-3)) / 1e-2;
        parameters.set_values(&values).unwrap();
        assert!(
            (difference - norm).abs() < 0.01 * norm + 1e-3,
            "{}: {difference}, expected {norm}",
            parameter.name
        );
    }
}
