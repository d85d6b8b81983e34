//! A tiny student with random weights against its decoder's own next-token probabilities.

use std::sync::Arc;

use limbeck_model::testing::{tiny_config, tiny_tokenizer, tiny_weights};
use limbeck_model::{ChatTemplate, Decoder, Precision};
use tokio_util::sync::CancellationToken;

use super::{AskError, Student};
use crate::example::STUDENT_CHAT_TEMPLATE;

/// Start and end of an input, and the end of an answer, in the tiny tokenizer.
const START: u32 = 1;
const END_OF_INPUT: u32 = 2;
const END: u32 = 0;

fn decoder() -> Arc<Decoder> {
    let config = tiny_config();
    let decoder = Decoder::load(&config, &tiny_weights(&config, 9), Precision::F32);
    Arc::new(decoder.expect("loads"))
}

fn student(concurrent: usize) -> Student {
    let template = ChatTemplate::new(STUDENT_CHAT_TEMPLATE).expect("compiles");
    Student::new(decoder(), tiny_tokenizer(), template, concurrent).expect("renders")
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn prompt(input: &str) -> Vec<u32> {
    let mut tokens = vec![START];
    tokens.extend(tiny_tokenizer().encode(input, false));
    tokens.push(END_OF_INPUT);
    tokens
}

/// The sum of log-probabilities of `answer` after `prompt`, one token at a time.
fn log_probability(decoder: &Decoder, prompt: &[u32], answer: &[u32]) -> f32 {
    let mut tokens = prompt.to_vec();
    let mut sum = 0.0;
    for &token in answer {
        sum += decoder.next_token_logits(&tokens).expect("reads")[token as usize];
        tokens.push(token);
    }
    sum
}

#[test]
fn labels_are_the_likeliest_choices() {
    let inputs = strings(["the other", "all in all", "<|im_end|> hostile", ""]);
    let choices = strings(["yes", "no", "the"]);
    let cancel = CancellationToken::new();
    let labelled = student(3)
        .label(&inputs, &choices, &cancel)
        .expect("answers");
    let decoder = decoder();
    for (at, input) in inputs.iter().enumerate() {
        let expected: Vec<f32> = choices
            .iter()
            .map(|choice| {
                // The first token of each tells it apart.
                log_probability(
                    &decoder,
                    &prompt(input),
                    &tiny_tokenizer().encode(choice, false)[..1],
                )
            })
            .collect();
        for (found, expected) in labelled.log_probabilities[at].iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let best = expected.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!((expected[labelled.labels[at]] - best).abs() < 1e-6);
    }
    let read: usize = inputs.iter().map(|input| prompt(input).len()).sum();
    assert_eq!(labelled.tokens, read);
    assert!(labelled.seconds > 0.0);
}

#[test]
fn choices_are_read_until_they_are_told_apart() {
    let choices = strings(["a", "abc", "abd", "x"]);
    let cancel = CancellationToken::new();
    let labelled = student(1)
        .label(&strings(["x"]), &choices, &cancel)
        .expect("answers");
    let decoder = decoder();
    let encode = |text| tiny_tokenizer().encode(text, false);
    let mut ended = encode("a");
    ended.push(END);
    let read = [ended, encode("abc"), encode("abd"), encode("x")];
    for (tokens, found) in read.iter().zip(&labelled.log_probabilities[0]) {
        let expected = log_probability(&decoder, &prompt("x"), tokens);
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn answers_are_greedy() {
    let inputs = strings(["the other thing", "ringing", "a"]);
    let cancel = CancellationToken::new();
    let answers = student(2).answer(&inputs, 6, &cancel).expect("answers");
    let decoder = decoder();
    let mut total = 0;
    for (at, input) in inputs.iter().enumerate() {
        let mut tokens = prompt(input);
        let start = tokens.len();
        while tokens.len() < start + 6 && tokens.last() != Some(&END) {
            let scores = decoder.next_token_logits(&tokens).expect("reads");
            tokens.push(super::most_likely(&scores) as u32);
        }
        total += tokens.len();
        assert_eq!(answers.texts[at], tiny_tokenizer().decode(&tokens[start..]));
        assert_eq!(answers.ended[at], tokens.last() == Some(&END));
    }
    assert_eq!(answers.tokens, total);
}

#[test]
fn nats_are_of_the_answer_and_its_end() {
    let pairs = [
        ("the other".to_owned(), "ringing ünï".to_owned()),
        ("x".to_owned(), String::new()),
    ];
    let cancel = CancellationToken::new();
    let scores = student(1).score(&pairs, &cancel).expect("scores");
    let decoder = decoder();
    for ((input, answer), found) in pairs.iter().zip(&scores.answers) {
        let mut tokens = tiny_tokenizer().encode(answer, false);
        tokens.push(END);
        let expected = -f64::from(log_probability(&decoder, &prompt(input), &tokens));
        assert!((found.nats - expected).abs() < 1e-4, "{found:?} {expected}");
        assert_eq!((found.bytes, found.tokens), (answer.len(), tokens.len()));
    }
}

#[test]
fn long_inputs_lose_their_end_and_keep_their_marks() {
    let long = "ringing ".repeat(100);
    let student = student(2);
    let context = tiny_config().context_length;
    let cancel = CancellationToken::new();
    let tokens = student.prompt(&long, 20).expect("fits");
    assert_eq!(tokens.len(), 20);
    assert_eq!(tokens[..19], prompt(&long)[..19]);
    assert_eq!(tokens[19], END_OF_INPUT);

    let inputs = [long.clone(), "short".to_owned()];
    let labelled = student
        .label(&inputs, &strings(["yes", "no"]), &cancel)
        .expect("answers");
    assert_eq!(labelled.labels.len(), 2);
    let answers = student.answer(&inputs, 1000, &cancel).expect("answers");
    assert_eq!(answers.texts.len(), 2);

    let sequence = student.sequence(&long, "yes").expect("fits");
    assert_eq!(sequence.tokens.len(), context + 1);
    assert_eq!(sequence.bytes, 3);
    let endless = student.sequence("x", &long).expect("fits");
    assert_eq!(endless.tokens.len(), context + 1);
    assert_ne!(
        endless.tokens.last(),
        Some(&END),
        "an answer that is cut does not end"
    );
    assert!(endless.bytes < long.len());
    let scores = student
        .score(&[(long.clone(), long)], &cancel)
        .expect("scores");
    assert!(scores.answers[0].nats.is_finite());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let student = student(1);
    let cancel = CancellationToken::new();
    let label = |choices: &[String]| student.label(&strings(["x"]), choices, &cancel);
    assert!(matches!(label(&[]), Err(AskError::Choices { .. })));
    assert!(matches!(
        label(&strings(["yes", ""])),
        Err(AskError::Choices { .. })
    ));
    assert!(matches!(
        label(&strings(["yes", "yes"])),
        Err(AskError::Choices { .. })
    ));
    let endless = ["no ".repeat(200), "no ".repeat(201)];
    assert!(matches!(label(&endless), Err(AskError::NoRoom { .. })));
    cancel.cancel();
    assert!(matches!(
        label(&strings(["yes", "no"])),
        Err(AskError::Cancelled)
    ));
    assert!(
        student
            .label(&[], &strings(["yes"]), &cancel)
            .expect("nothing to do")
            .labels
            .is_empty()
    );
}
