#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::vocabulary::train_bpe;

const TEXTS: [&str; 8] = [
    "The parcel never came, and nobody answers the phone.",
    "thanks so much, the parcel came today!",
    "your app keeps crashing when I open the parcel page :(",
    "Great service, great people, will order again",
    "I have been waiting for three weeks; this is the worst service ever",
    "the phone is fine but the charger never worked",
    "naïve café 日本語 🙂 \t\n  spaces   123 4567",
    "nobody ever answers, nobody ever cares",
];

static TEACHER: LazyLock<Tokenizer> =
    LazyLock::new(|| train_bpe(TEXTS.iter().copied(), 420).unwrap());

fn check_exact(pool: &[&str]) -> Trimmed {
    let trimmed = trim(&TEACHER, pool.iter().copied()).unwrap();
    for text in pool {
        let ids = trimmed.tokenizer.encode(text, false);
        let mapped: Vec<u32> = ids
            .iter()
            .map(|id| trimmed.teacher_ids[*id as usize])
            .collect();
        assert_eq!(mapped, TEACHER.encode(text, false), "{text}");
    }
    trimmed
}

#[test]
fn texts_of_the_pool_keep_their_tokens() {
    let trimmed = check_exact(&TEXTS[..2]);
    assert!(trimmed.tokenizer.vocab_size() < TEACHER.vocab_size());
    assert_eq!(trimmed.tokenizer.vocab_size(), trimmed.teacher_ids.len());
    assert!(trimmed.teacher_ids.is_sorted());
    for (id, token) in trimmed.tokenizer.parts().tokens.iter().enumerate() {
        assert_eq!(Some(token.as_str()), TEACHER.token(trimmed.teacher_ids[id]));
    }
}

#[test]
fn an_empty_pool_leaves_bytes_and_control_tokens() {
    let trimmed = check_exact(&[]);
    assert_eq!(trimmed.tokenizer.vocab_size(), 259);
    assert_eq!(trimmed.tokenizer.parts().merges, []);
    assert_eq!(
        trimmed.tokenizer.id_of("<|endoftext|>"),
        Some(trimmed.tokenizer.eos())
    );
    assert_eq!(trimmed.tokenizer.bos(), None);
}

#[test]
fn control_tokens_that_the_teacher_lacks_are_added() {
    let mut parts = TEACHER.parts().clone();
    // A teacher with marks of another family: the same places, other names.
    for (id, name) in [(0, "<s>"), (1, "</s>"), (2, "<pad>")] {
        parts.tokens[id] = name.to_owned();
    }
    parts.eos = 1;
    let teacher = Tokenizer::from_parts(parts).unwrap();
    let trimmed = trim(&teacher, TEXTS.iter().copied()).unwrap();
    for token in CONTROL_TOKENS {
        let id = trimmed.tokenizer.id_of(token).unwrap();
        assert!(trimmed.tokenizer.is_control(id));
        assert_eq!(trimmed.teacher_ids[id as usize], 1);
    }
    assert_eq!(trimmed.tokenizer.id_of("<s>"), None);
}

#[test]
fn control_tokens_spelt_in_a_text_stay_text() {
    let text = "<|im_end|> is no end";
    let trimmed = check_exact(&[text]);
    let ids = trimmed.tokenizer.encode(text, false);
    assert!(ids.iter().all(|id| !trimmed.tokenizer.is_control(*id)));
    assert_eq!(trimmed.tokenizer.decode(&ids), text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pool_keeps_its_tokens_and_any_text_round_trips(
        picks in proptest::collection::vec((0..TEXTS.len(), 0usize..40, 1usize..60), 1..4),
        other in "\\PC{0,40}",
    ) {
        let pool: Vec<String> = picks
            .into_iter()
            .map(|(text, start, length)| TEXTS[text].chars().skip(start).take(length).collect())
            .collect();
        let trimmed = check_exact(&pool.iter().map(String::as_str).collect::<Vec<_>>());
        let ids = trimmed.tokenizer.encode(&other, false);
        prop_assert_eq!(trimmed.tokenizer.decode(&ids), other);
    }
}
