//! Requests alone and in company.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::test_support::*;
use super::*;
use crate::decoder::test_support::random_tokens;
use crate::kernels::simd::has_bf16_dot_products;
use crate::{DecodeError, ModelError, Precision};

#[test]
fn an_answer_does_not_depend_on_its_company() {
    let precisions = if has_bf16_dot_products() {
        &[Precision::F32, Precision::Bf16][..]
    } else {
        &[Precision::F32]
    };
    for &precision in precisions {
        let decoder = decoder(precision);
        let prefix = decoder.prefix(&random_tokens(70, 1)).unwrap();
        let choices = [vec![3], vec![4, 5, 6], vec![7, 8]];
        let requests: Vec<Request> = (0..40_u64)
            .map(|i| {
                // One prompt is longer than a pass.
                let tokens = random_tokens(
                    if i == 5 {
                        580
                    } else {
                        1 + 13 * i as usize % 70
                    },
                    i,
                );
                let mut request = if i % 4 == 3 {
                    choose(i, tokens, &choices)
                } else {
                    generate(i, tokens, sampling(i))
                };
                request.prefix = (i % 2 == 0).then(|| prefix.clone());
                request
            })
            .collect();
        let together = run(&decoder, 32, requests.clone());
        assert_eq!(together.len(), requests.len());
        for request in requests {
            let id = request.id;
            let alone = run(&decoder, 1, vec![request]);
            assert_eq!(alone[&id], together[&id], "{precision:?}");
        }
    }
}

#[test]
fn greedy_answers_take_the_likeliest_token_each_time() {
    let decoder = decoder(Precision::F32);
    let prompt = random_tokens(20, 4);
    let greedy = Sampling {
        temperature: 0.0,
        ..sampling(0)
    };
    let outputs = run(&decoder, 1, vec![generate(1, prompt.clone(), greedy)]);
    let OutputResult::Generated { tokens, finish } = &outputs[&1].result else {
        panic!("a text was expected")
    };
    assert_eq!(
        (tokens.len(), *finish, outputs[&1].prompt_tokens),
        (12, FinishReason::Length, 20)
    );
    let mut sequence = prompt;
    for token in tokens {
        let expected = decoder.next_token_logits(&sequence).unwrap();
        let best = expected.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!((expected[token.id as usize] - best).abs() < 1e-5);
        assert!((token.log_probability - best).abs() < 1e-4);
        assert_eq!(token.top[0].0, token.id);
        assert!(token.top.windows(2).all(|pair| pair[0].1 >= pair[1].1) && token.top.len() == 3);
        sequence.push(token.id);
    }
}

#[test]
fn the_seed_decides_the_answer() {
    let decoder = decoder(Precision::F32);
    let prompt = random_tokens(9, 2);
    let answers: Vec<Vec<u32>> = [1, 1, 2, 3]
        .map(|seed| {
            generated(
                &run(
                    &decoder,
                    1,
                    vec![generate(0, prompt.clone(), sampling(seed))],
                )[&0],
            )
            .0
        })
        .into();
    assert_eq!(answers[0], answers[1]);
    assert!(
        answers[0] != answers[2] || answers[0] != answers[3],
        "seeds change nothing: {answers:?}"
    );
}

#[test]
fn choices_weigh_what_their_tokens_score() {
    let decoder = decoder(Precision::F32);
    let choices = [
        vec![9],
        vec![10, 11],
        vec![12],
        vec![13, 14, 15, 16],
        vec![10, 17],
    ];
    let prompt = random_tokens(66, 5);
    let expected: Vec<f32> = choices
        .iter()
        .map(|choice| {
            let scores = decoder.score(&[[&prompt[..], choice].concat()]).unwrap();
            scores[0][prompt.len() - 1..].iter().sum()
        })
        .collect();
    let prefix = decoder.prefix(&prompt[..50]).unwrap();
    let mut with_prefix = choose(1, prompt[50..].to_vec(), &choices);
    with_prefix.prefix = Some(prefix);
    let outputs = run(&decoder, 2, vec![choose(0, prompt, &choices), with_prefix]);
    for output in outputs.values() {
        assert_eq!(output.prompt_tokens, 66);
        for (got, expected) in log_probabilities(output).iter().zip(&expected) {
            assert!(
                (got - expected).abs() < 1e-4,
                "{output:?} instead of {expected}"
            );
        }
    }
}

#[test]
fn single_token_choices_cost_one_step_and_no_position() {
    let decoder = decoder(Precision::F32);
    let mut batcher = Batcher::new(decoder, None, 4);
    // The prompt fills the context to the last position.
    batcher
        .submit(choose(
            0,
            random_tokens(512, 1),
            &[vec![1], vec![2], vec![3]],
        ))
        .unwrap();
    let outputs = batcher.step().unwrap();
    assert_eq!(log_probabilities(&outputs[0]).len(), 3);
    assert!(batcher.is_idle());
    batcher
        .submit(choose(0, random_tokens(700, 1), &[vec![1], vec![2]]))
        .unwrap();
    assert!(
        batcher.step().unwrap().is_empty(),
        "700 tokens are more than one pass"
    );
    assert_eq!(batcher.step().unwrap().len(), 1);
}

#[test]
fn stop_tokens_and_stop_strings_end_an_answer() {
    let decoder = decoder(Precision::F32);
    let tokenizer = tokenizer();
    let prompt = random_tokens(9, 2);
    let (free, _) =
        generated(&run(&decoder, 1, vec![generate(0, prompt.clone(), sampling(1))])[&0]);
    let stopped = |stop_tokens: Vec<u32>, stop: Vec<String>| {
        let task = Task::Generate {
            sampling: sampling(1),
            stop_tokens,
            stop,
        };
        generated(
            &run(
                &decoder,
                1,
                vec![Request {
                    id: 0,
                    prefix: None,
                    tokens: prompt.clone(),
                    task,
                }],
            )[&0],
        )
    };
    let first_of = |id: u32| free.iter().position(|token| *token == id).unwrap();

    let (tokens, finish) = stopped(vec![free[4]], vec![]);
    assert_eq!(
        (&tokens[..], finish),
        (&free[..=first_of(free[4])], FinishReason::Stop)
    );

    // A stop string that spans three tokens.
    let stop = vec!["never in it".to_owned(), tokenizer.decode(&free[3..6])];
    let (tokens, finish) = stopped(vec![], stop.clone());
    assert_eq!(finish, FinishReason::Stop);
    assert!(tokens.len() <= 6);
    let text = tokenizer.decode(&tokens);
    assert!(text.ends_with(&stop[1]));
    assert_eq!(
        text_before_stop(&text, &stop),
        &text[..text.len() - stop[1].len()]
    );

    let (tokens, finish) = stopped(vec![], vec!["never in it".to_owned()]);
    assert_eq!((tokens, finish), (free, FinishReason::Length));
}

#[test]
fn the_context_ends_an_answer() {
    let decoder = decoder(Precision::F32);
    let long = Sampling {
        max_tokens: 1000,
        ..sampling(3)
    };
    let (tokens, finish) = generated(
        &run(
            &decoder,
            1,
            vec![generate(0, random_tokens(690, 1), long.clone())],
        )[&0],
    );
    assert_eq!((tokens.len(), finish), (10, FinishReason::Length));
    let too_long = generate(0, random_tokens(700, 1), long);
    assert!(matches!(
        refusal(&decoder, too_long),
        DecodeError::TooLong {
            tokens: 701,
            context_length: 700
        }
    ));
    let too_long = choose(0, random_tokens(699, 1), &[vec![1], vec![2, 3, 4]]);
    assert!(matches!(
        refusal(&decoder, too_long),
        DecodeError::TooLong {
            tokens: 701,
            context_length: 700
        }
    ));
}

#[test]
fn bad_requests_are_refused_and_leave_the_batch_alone() {
    let decoder = decoder(Precision::F32);
    assert!(matches!(
        refusal(&decoder, generate(0, vec![], sampling(0))),
        DecodeError::NoTokens
    ));
    assert!(matches!(
        refusal(&decoder, generate(0, vec![101], sampling(0))),
        DecodeError::TokenOutOfRange { id: 101, .. }
    ));
    assert!(matches!(
        refusal(&decoder, choose(0, vec![1], &[vec![1, 101]])),
        DecodeError::TokenOutOfRange { .. }
    ));
    assert!(matches!(
        refusal(&decoder, choose(0, vec![1], &[vec![1], vec![]])),
        DecodeError::Empty { .. }
    ));
    assert!(matches!(
        refusal(&decoder, choose(0, vec![1], &[])),
        DecodeError::Empty { .. }
    ));
    let hot = Sampling {
        temperature: f32::INFINITY,
        ..sampling(0)
    };
    assert!(matches!(
        refusal(&decoder, generate(0, vec![1], hot)),
        DecodeError::Sampling {
            field: "temperature",
            ..
        }
    ));
    let with_stop = |stop: &str| Request {
        task: Task::Generate {
            sampling: sampling(0),
            stop_tokens: vec![],
            stop: vec![stop.into()],
        },
        ..generate(0, vec![1], sampling(0))
    };
    assert!(matches!(
        refusal(&decoder, with_stop("x")),
        DecodeError::NoTokenizer
    ));
    assert!(matches!(
        refusal(&decoder, with_stop("")),
        DecodeError::Empty { .. }
    ));

    let mut batcher = Batcher::new(decoder, None, 1);
    assert!(batcher.submit(generate(1, vec![], sampling(0))).is_err());
    assert!(batcher.is_idle() && batcher.step().unwrap().is_empty());
    batcher.submit(generate(1, vec![1], sampling(0))).unwrap();
    assert!(!batcher.has_room());
    assert!(matches!(
        batcher.submit(generate(2, vec![1], sampling(0))),
        Err(ModelError::Decode(DecodeError::Full { capacity: 1 }))
    ));
    assert!(!batcher.cancel(2) && batcher.cancel(1) && batcher.is_idle());
}
