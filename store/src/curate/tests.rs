//! What the checks decide, as tables.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::tests_support::{label, text};
use super::*;
use crate::record::FinishReason;

fn curation(checks: Vec<Check>) -> Curation {
    Curation {
        checks,
        ..Curation::default()
    }
}

/// Curates and writes what came of it: verdicts, then rows, then what each check did.
#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better at the call"
)]
fn check(candidates: Vec<Candidate>, curation: Curation, suite: &[&str], expected: Expect) {
    let suite: Vec<String> = suite.iter().map(ToString::to_string).collect();
    let curated = curate(candidates, &curation, &suite);
    let mut out = String::new();
    for verdict in &curated.verdicts {
        let keep = if verdict.keep { "keep" } else { "drop" };
        let value = verdict
            .value
            .map_or(String::new(), |v| format!(" ({v:.3})"));
        writeln!(
            out,
            "{keep} {} {}{value}: {}",
            verdict.trace_id, verdict.check, verdict.reason
        )
        .unwrap();
    }
    for row in &curated.rows {
        let answer = match &row.answer {
            RowAnswer::Text { text, repaired } => {
                format!("{text:?}{}", if *repaired { " repaired" } else { "" })
            }
            RowAnswer::Labels {
                choices,
                probabilities,
            } => {
                let pairs = choices.iter().zip(probabilities);
                pairs
                    .map(|(c, p)| format!("{c} {p:.3}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            }
        };
        writeln!(
            out,
            "row {:?}: {answer} <- {}",
            row.input,
            row.trace_ids.join(" ")
        )
        .unwrap();
    }
    for summary in &curated.checks {
        writeln!(
            out,
            "{}: judged {}, dropped {}, repaired {}",
            summary.check, summary.judged, summary.dropped, summary.repaired
        )
        .unwrap();
    }
    writeln!(out, "kept {}, dropped {}", curated.kept, curated.dropped).unwrap();
    let dropped: usize = curated.checks.iter().map(|c| c.dropped).sum();
    assert_eq!(dropped, curated.dropped, "the drops of the checks add up");
    expected.assert_eq(&out);
}

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
fn confidence_judges_an_item_by_its_merged_distribution() {
    let silent = Candidate {
        mean_log_probability: None,
        ..text("silent", "main", "Hm.")
    };
    let unsure = Candidate {
        mean_log_probability: Some(-2.0),
        ..text("unsure", "main", "Er.")
    };
    check(
        vec![
            label("split", "main", &[0.9, 0.1]),
            label("sure", "main", &[0.1, 0.9]),
            text("plain", "main", "Well."),
            unsure,
            silent,
            // With the first opinion the mean is 0.5, though each alone is sure.
            label("split", "chat", &[0.1, 0.9]),
            label("near", "main", &[0.61, 0.39]),
        ],
        curation(vec![Check::Confidence { at_least: 0.6 }]),
        &[],
        expect![[r#"
            drop split/main confidence (0.500): `yes` has probability 0.500, below 0.6
            keep sure/main confidence (0.900): `no` has probability 0.900
            keep plain/main confidence (0.607): its tokens have the mean probability 0.607
            drop unsure/main confidence (0.135): its tokens have the mean probability 0.135, below 0.6
            drop silent/main confidence: the teacher told no log-probabilities, so its confidence is unknown
            drop split/chat confidence (0.500): `yes` has probability 0.500, below 0.6
            keep near/main confidence (0.610): `yes` has probability 0.610
            row "sure": yes 0.100, no 0.900 <- sure/main
            row "plain": "Well." <- plain/main
            row "near": yes 0.610, no 0.390 <- near/main
            confidence: judged 7, dropped 4, repaired 0
            kept 3, dropped 4
        "#]],
    );
}

#[test]
fn phrasings_are_merged_by_weight_after_their_own_correction() {
    let candidates = || {
        vec![
            label("a", "main", &[0.8, 0.2]),
            label("b", "main", &[0.6, 0.4]),
            label("a", "chat", &[0.4, 0.6]),
            label("b", "chat", &[0.2, 0.8]),
        ]
    };
    // By hand: of `a`, main says 0.8 and chat 0.4, so 3:1 gives 0.7.
    let weighted = Curation {
        phrasing_weights: BTreeMap::from([("main".to_owned(), 3.0)]),
        ..Curation::default()
    };
    check(
        candidates(),
        weighted.clone(),
        &[],
        expect![[r#"
        row "a": yes 0.700, no 0.300 <- a/main a/chat
        row "b": yes 0.500, no 0.500 <- b/main b/chat
        kept 4, dropped 0
    "#]],
    );
    // By hand: main's mean is 0.7/0.3, so its `a` becomes (0.8/0.7) / (0.8/0.7 + 0.2/0.3) = 0.632; chat's mean
    // is 0.3/0.7, so its `a` becomes (0.4/0.3) / (0.4/0.3 + 0.6/0.7) = 0.609; 3:1 gives 0.626.
    check(
        candidates(),
        Curation {
            prior_correction: PriorCorrection::Batch,
            ..weighted
        },
        &[],
        expect![[r#"
            row "a": yes 0.626, no 0.374 <- a/main a/chat
            row "b": yes 0.386, no 0.614 <- b/main b/chat
            kept 4, dropped 0
        "#]],
    );
}

#[test]
fn phrasings_that_count_for_nothing_count_the_same() {
    let weights = ["main", "chat"].map(|name| (name.to_owned(), 0.0));
    check(
        vec![
            label("a", "main", &[0.8, 0.2]),
            label("a", "chat", &[0.4, 0.6]),
        ],
        Curation {
            phrasing_weights: BTreeMap::from(weights),
            ..Curation::default()
        },
        &[],
        expect![[r#"
            row "a": yes 0.600, no 0.400 <- a/main a/chat
            kept 2, dropped 0
        "#]],
    );
}

#[test]
fn agreement_drops_outvoted_texts_but_merges_outvoted_labels() {
    let sample = |sample: u32, candidate: Candidate| Candidate {
        trace_id: format!("{}/{sample}", candidate.trace_id),
        sample,
        ..candidate
    };
    check(
        vec![
            sample(0, text("sum", "main", "42.")),
            sample(1, text("sum", "main", "It is 7")),
            sample(2, text("sum", "main", " 42 ")),
            sample(0, text("open", "main", "Red")),
            sample(1, text("open", "main", "Blue")),
            sample(0, label("tone", "main", &[0.9, 0.1])),
            sample(1, label("tone", "main", &[0.8, 0.2])),
            sample(0, label("tone", "chat", &[0.4, 0.6])),
            text("alone", "main", "Yes"),
        ],
        curation(vec![Check::Agreement { at_least: 0.6 }]),
        &[],
        expect![[r#"
            keep sum/main/0 agreement (0.667): 2 of 3 answers agree
            drop sum/main/1 agreement (0.667): 2 of 3 answers agree, not with this one
            keep sum/main/2 agreement (0.667): 2 of 3 answers agree
            drop open/main/0 agreement (0.500): 1 of 2 answers agree, below 0.6
            drop open/main/1 agreement (0.500): 1 of 2 answers agree, below 0.6
            keep tone/main/0 agreement (0.667): 2 of 3 answers agree
            keep tone/main/1 agreement (0.667): 2 of 3 answers agree
            keep tone/chat/0 agreement (0.667): 2 of 3 answers agree
            keep alone/main agreement (1.000): the only answer
            row "sum": "42." <- sum/main/0
            row "sum": " 42 " <- sum/main/2
            row "tone": yes 0.700, no 0.300 <- tone/main/0 tone/main/1 tone/chat/0
            row "alone": "Yes" <- alone/main
            agreement: judged 9, dropped 3, repaired 0
            kept 6, dropped 3
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
fn labels_over_other_choices_and_lists_of_unequal_length_stay_apart() {
    let mut lame = label("a", "main", &[0.5, 0.5]);
    lame.trace_id = "lame".to_owned();
    lame.answer = "yes".to_owned();
    lame.choices.as_mut().unwrap().log_probabilities.pop();
    check(
        vec![
            label("a", "main", &[0.9, 0.1]),
            label("a", "three", &[0.2, 0.3, 0.5]),
            lame,
        ],
        Curation {
            prior_correction: PriorCorrection::Batch,
            ..curation(vec![Check::Confidence { at_least: 0.1 }])
        },
        &[],
        expect![[r#"
            keep a/main confidence (0.500): `yes` has probability 0.500
            keep a/three confidence (0.333): `no` has probability 0.333
            drop lame confidence: the teacher told no log-probabilities, so its confidence is unknown
            row "a": yes 0.500, no 0.500 <- a/main
            row "a": yes 0.333, no 0.333, maybe 0.333 <- a/three
            confidence: judged 3, dropped 1, repaired 0
            kept 2, dropped 1
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
