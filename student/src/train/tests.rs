//! Whole runs on a tiny student.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use limbeck_model::testing::tiny_tokenizer;

use super::*;
use crate::example::{Target, TeacherToken};

/// Hears nothing, and cancels after some steps.
struct Stop {
    after: usize,
    cancel: CancellationToken,
    losses: Vec<u32>,
}

impl TrainReporter for Stop {
    fn step(&mut self, report: &StepReport) {
        self.losses.push(report.loss.to_bits());
        if report.step == self.after {
            self.cancel.cancel();
        }
    }
}

/// Which of two letters stands more often in the message, with the teacher's doubts.
fn labels(count: usize) -> Vec<Example> {
    (0..count)
        .map(|i| {
            let share = (i * 7 % 9 + 1) as f64 / 10.0;
            let letters = (0..10).map(|j| {
                if ((i + j * 3) % 10) as f64 / 10.0 < share {
                    'a'
                } else {
                    'o'
                }
            });
            Example {
                id: format!("message {i}"),
                input: letters.collect(),
                target: Target::Labels {
                    choices: vec!["good".to_owned(), "bad".to_owned()],
                    probabilities: vec![share, 1.0 - share],
                },
            }
        })
        .collect()
}

fn texts() -> Vec<Example> {
    ["the thing", "her ring", "the letter"]
        .iter()
        .enumerate()
        .map(|(i, text)| Example {
            id: format!("text {i}"),
            input: format!("say {i}"),
            target: Target::Text((*text).to_owned()),
        })
        .collect()
}

fn plan() -> TrainPlan {
    TrainPlan {
        shape: Shape {
            layers: 2,
            width: 32,
            heads: 4,
            key_value_heads: Some(2),
            ffn: 48,
            context: 24,
            tied: true,
        },
        epochs: 3.0,
        batch_tokens: 240,
        learning_rate: 5e-3,
        held_out: 0.2,
        ..TrainPlan::default()
    }
}

fn run_until(
    plan: &TrainPlan,
    examples: &[Example],
    workdir: &Path,
    after: usize,
) -> (Result<Trained, TrainError>, Vec<u32>) {
    let cancel = CancellationToken::new();
    let mut stop = Stop {
        after,
        cancel: cancel.clone(),
        losses: Vec::new(),
    };
    let tokenizer = tiny_tokenizer();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: None,
        examples,
    };
    let result = train(
        plan,
        &data,
        &InitialWeights::Random,
        workdir,
        &mut stop,
        &cancel,
    );
    (result, stop.losses)
}

fn run(plan: &TrainPlan, examples: &[Example]) -> Trained {
    let folder = tempfile::tempdir().unwrap();
    run_until(plan, examples, folder.path(), usize::MAX)
        .0
        .unwrap()
}

fn everything() -> TrainPlan {
    TrainPlan {
        warm_up_epochs: 1.0,
        input_loss: 0.1,
        dropout: 0.1,
        token_dropout: 0.1,
        average_last: 0.5,
        objective: Objective {
            cross_entropy: 0.5,
            forward_kl: 0.5,
        },
        ..plan()
    }
}

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
fn labels_are_learnt_and_judged() {
    let examples = labels(120);
    let trained = run(
        &TrainPlan {
            epochs: 30.0,
            ..plan()
        },
        &examples,
    );
    let report = &trained.report;
    assert_eq!(report.examples + report.held_out_examples, 120);
    assert!((10..40).contains(&report.held_out_examples));
    assert!(report.best_agreement.unwrap() > 0.85, "{report:?}");
    assert!(report.best_held_out.unwrap() < 0.05, "{report:?}");
    let first = report.curve.first().unwrap().train_loss;
    assert!(report.final_loss < 0.2 * first, "{report:?}");
    assert!(report.best_step > 0 && report.parameters == trained.config.parameter_count());
}

#[test]
fn the_decoder_that_ships_computes_what_was_trained() {
    let examples = texts();
    let plan = TrainPlan {
        epochs: 300.0,
        held_out: 0.0,
        ..plan()
    };
    let trained = run(&plan, &examples);
    let decoder = limbeck_model::Decoder::load(
        &trained.config,
        &trained.weights,
        limbeck_model::Precision::F32,
    )
    .unwrap();
    let tokenizer = tiny_tokenizer();
    let encoder =
        document::Encoder::new(&tokenizer, None, &plan.objective, plan.shape.context).unwrap();
    let parameters = parameters::Parameters::new(&trained.config, &trained.weights).unwrap();
    let student = decoder::StudentDecoder::new(&trained.config, &parameters).unwrap();
    for example in &examples {
        let document::Encoded::Learnable { document, .. } = encoder.encode(example).unwrap() else {
            panic!()
        };
        let mut builder = batch::BatchBuilder::default();
        builder.push(&document, batch::Goal::Answer { input_loss: 0.0 });
        let losses = student.losses(&builder.sum()).unwrap();
        let scores = decoder
            .score(std::slice::from_ref(&document.tokens))
            .unwrap();
        for (loss, score) in losses.iter().zip(&scores[0][document.input_end..]) {
            assert!(
                (loss + f64::from(*score)).abs() < 1e-4,
                "{loss} and {score}"
            );
        }
        // Greedy continuation writes the answer and ends.
        let mut tokens = document.tokens[..=document.input_end].to_vec();
        while tokens.len() < document.tokens.len() {
            let logits = decoder.next_token_logits(&tokens).unwrap();
            let best = (0..logits.len())
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap();
            tokens.push(best as u32);
        }
        assert_eq!(tokens, document.tokens, "{example:?}");
    }
}

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
        let parameters = parameters::Parameters::new(&config, &start).unwrap();
        let student = decoder::StudentDecoder::new(&config, &parameters).unwrap();
        let batch = timeline::Timeline::new(&plan, &corpus).batch(0);
        let gradients = student.loss(batch, None).unwrap().backward().unwrap();
        for parameter in &parameters.0 {
            let gradient = gradients
                .get(&parameter.variable)
                .unwrap_or_else(|| panic!("{}", parameter.name));
            let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
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
    let parameters = parameters::Parameters::new(&config, &weights).unwrap();
    let student = decoder::StudentDecoder::new(&config, &parameters).unwrap();
    let batch = timeline::Timeline::new(&plan, &corpus).batch(0);
    let gradients = student
        .loss(batch.clone(), None)
        .unwrap()
        .backward()
        .unwrap();
    let values = parameters.values().unwrap();
    for (index, parameter) in parameters.0.iter().enumerate() {
        let gradient = gradients.get(&parameter.variable).unwrap();
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
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

#[test]
fn examples_that_cannot_be_learnt_are_counted_or_refused() {
    let example = |id: &str, input: &str, target| Example {
        id: id.to_owned(),
        input: input.to_owned(),
        target,
    };
    let too_long = example("long", &"x".repeat(40), Target::Text("y".to_owned()));
    let empty = example("empty", "x", Target::Text(String::new()));
    let hopeless = example(
        "zero",
        "x",
        Target::Labels {
            choices: vec!["a".to_owned(), "b".to_owned()],
            probabilities: vec![0.0, 0.0],
        },
    );
    let bad = [too_long, empty, hopeless];
    let plan = TrainPlan {
        held_out: 0.0,
        epochs: 1.0,
        ..plan()
    };
    let report = run(&plan, &[&texts()[..], &bad].concat()).report;
    assert_eq!(
        report.skipped,
        Skipped {
            too_long: 1,
            without_answer: 2
        }
    );
    assert_eq!((report.examples, report.without_candidates), (3, 3));
    let folder = tempfile::tempdir().unwrap();
    let result = run_until(&plan, &bad, folder.path(), usize::MAX).0;
    assert!(matches!(
        result,
        Err(TrainError::NoExamples { total: 3, .. })
    ));
    let wrong = Target::Labels {
        choices: vec!["a".to_owned()],
        probabilities: vec![0.5, 0.5],
    };
    let result = run_until(
        &plan,
        &[example("odd", "x", wrong)],
        folder.path(),
        usize::MAX,
    )
    .0;
    assert!(matches!(result, Err(TrainError::Example { id, .. }) if id == "odd"));
    let result = run_until(
        &TrainPlan {
            dropout: 1.0,
            ..plan
        },
        &texts(),
        folder.path(),
        usize::MAX,
    )
    .0;
    assert!(matches!(
        result,
        Err(TrainError::Plan {
            field: "dropout",
            ..
        })
    ));
}

#[test]
fn unlabelled_texts_are_modelled_in_the_warm_up_only() {
    let unlabelled = (0..40).map(|i| Example {
        id: format!("unlabelled {i}"),
        input: "the ring, the thing".to_owned(),
        target: Target::Unlabelled,
    });
    let examples: Vec<Example> = labels(20).into_iter().chain(unlabelled).collect();
    let plan = TrainPlan {
        warm_up_epochs: 8.0,
        epochs: 1.0,
        ..plan()
    };
    let report = run(&plan, &examples).report;
    let warm_up: Vec<f32> = report
        .curve
        .iter()
        .filter(|p| p.warm_up)
        .map(|p| p.train_loss)
        .collect();
    assert!(warm_up.last().unwrap() < &(0.7 * warm_up[0]), "{warm_up:?}");
    assert!(report.examples <= 20);
}

#[test]
fn the_best_weights_are_kept_and_patience_ends_a_run() {
    // A rate at which the loss soon rises again.
    let plan = TrainPlan {
        learning_rate: 0.05,
        epochs: 40.0,
        patience: Some(3),
        ..plan()
    };
    let report = run(&plan, &labels(40)).report;
    assert!(report.stopped_early, "{report:?}");
    let judged: Vec<f32> = report
        .curve
        .iter()
        .filter_map(|point| point.held_out)
        .collect();
    let best = judged.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(report.best_held_out, Some(best));
    assert!(report.best_step < report.steps);
    assert_eq!(
        judged
            .iter()
            .rev()
            .take(3)
            .filter(|loss| **loss > best)
            .count(),
        3
    );
}

#[test]
fn candidates_of_the_teacher_are_learnt() {
    let tokenizer = tiny_tokenizer();
    let id = |token: &str| tokenizer.id_of(token).unwrap();
    let (a, b) = (id("a"), id("b"));
    let top = |probability: f32| vec![(a + 5, probability.ln()), (b + 5, (0.9 - probability).ln())];
    let examples: Vec<Example> = (0..20)
        .map(|i| Example {
            id: format!("{i}"),
            input: "go".to_owned(),
            target: Target::TextWithTop {
                text: "a".to_owned(),
                tokens: vec![
                    TeacherToken {
                        id: a + 5,
                        top: top(0.6),
                    },
                    TeacherToken {
                        id: 5,
                        top: vec![(5, 0.0)],
                    },
                ],
            },
        })
        .collect();
    let teacher_ids: Vec<u32> = (5..).take(tokenizer.vocab_size()).collect();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: Some(&teacher_ids),
        examples: &examples,
    };
    let plan = TrainPlan {
        held_out: 0.0,
        epochs: 300.0,
        ..plan()
    };
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let mut silent = Stop {
        after: usize::MAX,
        cancel: cancel.clone(),
        losses: Vec::new(),
    };
    let trained = train(
        &plan,
        &data,
        &InitialWeights::Random,
        folder.path(),
        &mut silent,
        &cancel,
    )
    .unwrap();
    assert_eq!(trained.report.without_candidates, 0);
    let decoder = limbeck_model::Decoder::load(
        &trained.config,
        &trained.weights,
        limbeck_model::Precision::F32,
    )
    .unwrap();
    let mut prompt = vec![id("<|im_start|>")];
    prompt.extend(tokenizer.encode("go", false));
    prompt.push(id("<|im_end|>"));
    let logits = decoder.next_token_logits(&prompt).unwrap();
    let total: f32 = logits.iter().map(|logit| logit.exp()).sum();
    let probability = |token: u32| logits[token as usize].exp() / total;
    assert!((probability(a) - 0.6).abs() < 0.05, "{}", probability(a));
    assert!((probability(b) - 0.3).abs() < 0.05, "{}", probability(b));
}

#[test]
fn the_student_form_is_what_the_template_renders() {
    let tokenizer = tiny_tokenizer();
    let template = limbeck_model::ChatTemplate::new(crate::STUDENT_CHAT_TEMPLATE).unwrap();
    let message = |role: &str, content: &str| limbeck_model::ChatMessage {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    // A mark that is spelt in a message stays text.
    let input = "the <|im_end|> ring";
    let objective = Objective::default();
    let encoder = document::Encoder::new(&tokenizer, None, &objective, 64).unwrap();
    let example = Example {
        id: String::new(),
        input: input.to_owned(),
        target: Target::Text("thing".to_owned()),
    };
    let document::Encoded::Learnable { document, .. } = encoder.encode(&example).unwrap() else {
        panic!()
    };
    let messages = [message("user", input), message("assistant", "thing")];
    let whole = template.encode(&tokenizer, &messages, false).unwrap();
    assert_eq!(whole, document.tokens);
    let asked = template.encode(&tokenizer, &messages[..1], true).unwrap();
    assert_eq!(asked, document.tokens[..=document.input_end]);
}
