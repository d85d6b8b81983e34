//! Several answers to one item: merging, confidence, agreement.

use expect_test::expect;

use super::*;

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
