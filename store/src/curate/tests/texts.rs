//! Checks of one answer, or of one against another: length, ends, duplicates, overlap.

use expect_test::expect;

use super::*;
use crate::record::FinishReason;

#[test]
fn without_checks_everything_is_kept() {
    check(
        vec![text("a", "main", "One."), label("b", "main", &[0.25, 0.75])],
        Curation::default(),
        &["a"],
        expect![[r#"
            row "a": "One." <- a/main
            row "b": yes 0.250, no 0.750 <- b/main
            kept 2, dropped 0
        "#]],
    );
}

#[test]
fn length_has_ends_included() {
    check(
        vec![
            text("a", "main", "é é"),
            text("b", "main", "é é é"),
            text("c", "main", "é é é é"),
            text("d", "main", "longwordhere"),
        ],
        curation(vec![Check::Length {
            min_characters: Some(5),
            max_characters: None,
            min_tokens: Some(2),
            max_tokens: Some(3),
        }]),
        &[],
        expect![[r#"
            drop a/main length (3.000): 3 characters, fewer than 5
            keep b/main length (5.000): 5 characters, 3 tokens
            drop c/main length (7.000): 4 tokens, more than 3
            drop d/main length (12.000): 1 tokens, fewer than 2
            row "b": "é é é" <- b/main
            length: judged 4, dropped 3, repaired 0
            kept 1, dropped 3
        "#]],
    );
}

#[test]
fn sentences_past_those_asked_for_are_removed() {
    check(
        vec![
            text("a", "main", "One. Two. Three."),
            text("b", "main", "One. Two."),
            text("c", "main", "One. Two. Thr"),
            label("d", "main", &[0.25, 0.75]),
        ],
        curation(vec![Check::Sentences { at_most: 2 }]),
        &[],
        expect![[r#"
            keep a/main sentences (1.000): cut back to its first 2 sentences, 1 removed
            keep b/main sentences (0.000): at most 2 sentences
            keep c/main sentences (1.000): cut back to its first 2 sentences, 1 removed
            row "a": "One. Two." repaired <- a/main
            row "b": "One. Two." <- b/main
            row "c": "One. Two." repaired <- c/main
            row "d": yes 0.250, no 0.750 <- d/main
            sentences: judged 3, dropped 0, repaired 2
            kept 4, dropped 0
        "#]],
    );
}

#[test]
fn exact_duplicates_are_fewer_than_normalised_ones() {
    let candidates = || {
        let renamed = |id: &str, candidate: Candidate| Candidate {
            trace_id: id.to_owned(),
            ..candidate
        };
        vec![
            renamed("t1", text("Tell me.", "main", "A story.")),
            renamed("t2", text("Tell me.", "chat", "A story.")),
            renamed("t3", text("tell me", "main", "a STORY")),
            renamed("t4", text("Tell me.", "main", "Another.")),
            renamed("l1", label("Great!", "main", &[0.9, 0.1])),
            renamed("l2", label("Great!", "chat", &[0.9, 0.1])),
            renamed("l3", label("great", "main", &[0.3, 0.7])),
        ]
    };
    check(
        candidates(),
        curation(vec![Check::Duplicates { normalised: false }]),
        &[],
        expect![[r#"
            keep t1 duplicates: the first of its kind
            drop t2 duplicates: the same as trace t1
            keep t3 duplicates: the first of its kind
            keep t4 duplicates: the first of its kind
            keep l1 duplicates: the first of its kind
            keep l2 duplicates: the first of its kind
            keep l3 duplicates: the first of its kind
            row "Tell me.": "A story." <- t1
            row "tell me": "a STORY" <- t3
            row "Tell me.": "Another." <- t4
            row "Great!": yes 0.700, no 0.300 <- l1 l2 l3
            duplicates: judged 7, dropped 1, repaired 0
            kept 6, dropped 1
        "#]],
    );
    check(
        candidates(),
        curation(vec![Check::Duplicates { normalised: true }]),
        &[],
        expect![[r#"
            keep t1 duplicates: the first of its kind
            drop t2 duplicates: the same as trace t1
            drop t3 duplicates: the same as trace t1
            keep t4 duplicates: the first of its kind
            keep l1 duplicates: the first of its kind
            keep l2 duplicates: the first of its kind
            drop l3 duplicates: the same as trace l1
            row "Tell me.": "A story." <- t1
            row "Tell me.": "Another." <- t4
            row "Great!": yes 0.900, no 0.100 <- l1 l2
            duplicates: judged 7, dropped 3, repaired 0
            kept 4, dropped 3
        "#]],
    );
}

#[test]
fn what_the_suite_holds_is_not_learned() {
    check(
        vec![
            text("Great Flight!!", "main", "x"),
            text(
                "oh: one two three four five six seven eight, nine",
                "main",
                "x",
            ),
            text("one two three four five six seven, and eight", "main", "x"),
            text("flight", "main", "x"),
        ],
        curation(vec![Check::EvaluationOverlap {}]),
        &[
            "great flight",
            "zero One two three, four five six seven eight",
        ],
        expect![[r#"
            drop Great Flight!!/main evaluation-overlap (1.000): the input is in an evaluation suite
            drop oh: one two three four five six seven eight, nine/main evaluation-overlap (0.333): shares `one two three four five six seven eight` with an input of an evaluation suite
            keep one two three four five six seven, and eight/main evaluation-overlap (0.000): in no evaluation suite
            keep flight/main evaluation-overlap (0.000): in no evaluation suite
            row "one two three four five six seven, and eight": "x" <- one two three four five six seven, and eight/main
            row "flight": "x" <- flight/main
            evaluation-overlap: judged 4, dropped 2, repaired 0
            kept 2, dropped 2
        "#]],
    );
}

#[test]
fn cut_off_answers_are_repaired_or_dropped() {
    let cut = |input: &str, answer: &str| Candidate {
        finish: FinishReason::Length,
        ..text(input, "main", answer)
    };
    let candidates = || {
        vec![
            text("whole", "main", "It ended. And"),
            cut("tail", "It was dark. Then the"),
            cut("none", "It was so dark that"),
            cut("exact", "It was dark. "),
            label("label", "main", &[1.0, 0.0]),
        ]
    };
    // The length check that follows sees the repaired answer.
    let band = Check::Length {
        min_characters: None,
        max_characters: Some(12),
        min_tokens: None,
        max_tokens: None,
    };
    check(
        candidates(),
        curation(vec![Check::Finished { repair: true }, band]),
        &[],
        expect![[r#"
            keep whole/main finished: ended by itself
            keep tail/main finished (9.000): cut off; 9 characters after the last full sentence removed
            drop none/main finished: cut off before the end of its first sentence
            keep exact/main finished (0.000): cut off at the end of a sentence
            keep label/main finished: one of the choices
            drop whole/main length (13.000): 13 characters, more than 12
            keep tail/main length (12.000): 12 characters, 5 tokens
            drop exact/main length (13.000): 13 characters, more than 12
            keep label/main length (0.000): 0 characters, 1 tokens
            row "tail": "It was dark." repaired <- tail/main
            row "label": yes 1.000, no 0.000 <- label/main
            finished: judged 5, dropped 1, repaired 1
            length: judged 4, dropped 2, repaired 0
            kept 2, dropped 3
        "#]],
    );
    check(
        candidates(),
        curation(vec![Check::Finished { repair: false }]),
        &[],
        expect![[r#"
            keep whole/main finished: ended by itself
            drop tail/main finished: cut off after 5 tokens
            drop none/main finished: cut off after 5 tokens
            drop exact/main finished: cut off after 3 tokens
            keep label/main finished: one of the choices
            row "whole": "It ended. And" <- whole/main
            row "label": yes 1.000, no 0.000 <- label/main
            finished: judged 5, dropped 3, repaired 0
            kept 2, dropped 3
        "#]],
    );
}

#[test]
fn a_later_check_compares_only_what_is_still_kept() {
    let first = Candidate {
        mean_log_probability: Some(-3.0),
        trace_id: "first".to_owned(),
        ..text("same", "main", "Same.")
    };
    let second = Candidate {
        trace_id: "second".to_owned(),
        ..text("same", "chat", "Same.")
    };
    // The first is dropped by confidence, so the second is no duplicate of anything.
    check(
        vec![first, second],
        curation(vec![
            Check::Confidence { at_least: 0.5 },
            Check::Duplicates { normalised: true },
        ]),
        &[],
        expect![[r#"
            drop first confidence (0.050): its tokens have the mean probability 0.050, below 0.5
            keep second confidence (0.607): its tokens have the mean probability 0.607
            keep second duplicates: the first of its kind
            row "same": "Same." <- second
            confidence: judged 2, dropped 1, repaired 0
            duplicates: judged 1, dropped 0, repaired 0
            kept 1, dropped 1
        "#]],
    );
}

#[test]
fn the_curate_section_is_read_as_it_is_written() {
    let json = r#"{"check":[{"kind":"finished","repair":true}],"prior_correction":"batch"}"#;
    let read: Curation = serde_json::from_str(json).unwrap();
    assert_eq!(read.checks, [Check::Finished { repair: true }]);
    assert_eq!(read.prior_correction, PriorCorrection::Batch);
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert_eq!(
        serde_json::from_str::<Curation>("{}").unwrap(),
        Curation::default()
    );
    assert!(serde_json::from_str::<Curation>(r#"{"checks":[]}"#).is_err());
}
