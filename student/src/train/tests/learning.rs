//! What students learn from labels, texts and candidates, and what they refuse.

use super::*;

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
    let parameters =
        parameters::Parameters::new(&trained.config, &trained.weights, &[], &Device::Cpu).unwrap();
    let student =
        decoder::StudentDecoder::new(&trained.config, &parameters, Precision::F32).unwrap();
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
