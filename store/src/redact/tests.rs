use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::curate::ChoiceDistribution;
use crate::record::FinishReason;

static ALL: LazyLock<Redactor> = LazyLock::new(|| {
    let all = privacy::replaceable().unwrap();
    let names: Vec<String> = all.iter().map(|one| one.name().to_owned()).collect();
    Redactor::new(&names).unwrap()
});

fn redacted(text: &str) -> String {
    ALL.text(text, &mut Counts::default()).into_owned()
}

#[test]
fn each_kind_has_its_placeholder() {
    for (text, expected) in [
        ("write to ann.lee+x@mail.example.org.", "write to [email]."),
        ("@ann and @bo_2: thanks", "[handle] and [handle]: thanks"),
        (
            "see https://t.example/x1?mail=a@b.example now",
            "see [link] now",
        ),
        (
            "call +44 20 7946 0958 or 555-010-4478",
            "call [phone] or [phone]",
        ),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [iban]"),
        ("card 4111 1111 1111 1111, please", "card [card], please"),
        (
            "from 192.168.0.1. and 2001:db8::8a2e:370:7334",
            "from [ip]. and [ip]",
        ),
        ("password = 'q8Zr2Lk9Xv7Tn4Wp'", "password = '[secret]'"),
        ("order 12345678, 3 for 5 USD", "order [number], 3 for 5 USD"),
        ("flight DL1234 on 10/12/15", "flight DL[number] on [number]"),
        ("Grüße von @jürgen 🙂", "Grüße von [handle] 🙂"),
        ("nothing here", "nothing here"),
        ("", ""),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn a_private_key_goes_whole() {
    let body = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn".repeat(2);
    for line in ["\n", "\\n"] {
        let text = format!(
            "a -----BEGIN RSA PRIVATE KEY-----{line}{body}{line}{body}{line}q8Z={line}-----END RSA PRIVATE KEY----- b"
        );
        assert_eq!(redacted(&text), "a [secret] b");
    }
}

#[test]
fn what_a_replacement_lays_bare_is_replaced_too() {
    assert_eq!(redacted("bo@example.com@ann"), "[email][handle]");
    let key = format!("AKIA{}", "B".repeat(16)).repeat(3);
    assert_eq!(redacted(&key), "[secret][secret][secret]");
    assert_eq!(redacted("https://[email] x"), "[link] x");
}

#[test]
fn only_what_is_asked_for_is_replaced_and_counts_are_by_item() {
    let redactor = Redactor::new(&["link".to_owned(), "handle".to_owned()]).unwrap();
    assert_eq!(
        redactor.identity(),
        [json!(["handle", 1]), json!(["link", 1])]
    );
    let mut counts = Counts::default();
    for texts in [["@a @b bo@example.com", "@c"], ["none", ""]] {
        counts.item(|counts| texts.map(|text| redactor.text(text, counts).into_owned()));
    }
    let replaced = redactor.replaced(&counts);
    assert_eq!(counts.items(), 2);
    assert_eq!((replaced[0].matches, replaced[0].items), (3, 1));
    assert_eq!((replaced[1].matches, replaced[1].items), (0, 0));
    let unknown = Redactor::new(&["handles".to_owned()]).err().unwrap();
    assert_eq!(unknown.to_string(), "there is no detector `handles`");
    assert!(Redactor::default().is_off());
}

#[test]
fn a_label_and_its_probabilities_stay_as_they_are() {
    let choices = ["@yes".to_owned(), "12345".to_owned()];
    let mut candidate = Candidate {
        trace_id: "t".to_owned(),
        item: Candidate::item_of("from @ann"),
        input: "from @ann".to_owned(),
        phrasing: "main".to_owned(),
        sample: 0,
        answer: "@yes".to_owned(),
        choices: Some(ChoiceDistribution {
            choices: choices.to_vec(),
            log_probabilities: vec![-0.1, -2.0],
        }),
        redacted: false,
        finish: FinishReason::Choice,
        completion_tokens: 1,
        mean_log_probability: None,
    };
    let before = candidate.clone();
    ALL.candidate(&mut candidate, &mut Counts::default());
    assert_eq!(candidate.input, "from [handle]");
    assert_eq!(candidate.item, Candidate::item_of("from [handle]"));
    assert_eq!(candidate.choices, before.choices);
    assert_eq!(candidate.answer, "@yes");
    assert!(!candidate.redacted);
    candidate.choices = None;
    ALL.candidate(&mut candidate, &mut Counts::default());
    assert_eq!(candidate.answer, "[handle]");
    assert!(candidate.redacted);
}

#[test]
fn placeholders_are_met_by_nothing() {
    for detector in ALL.detectors.iter() {
        let placeholder = detector.placeholder();
        assert_eq!(redacted(&placeholder.repeat(3)), placeholder.repeat(3));
        for other in ALL.detectors.iter() {
            assert!(other.look(placeholder).is_empty(), "{}", other.name());
        }
    }
}

#[test]
fn long_texts_take_time_by_their_length() {
    let pieces = [
        format!("AKIA{}", "B".repeat(16)),
        "@a ".to_owned(),
        "a@b.cc@d.".to_owned(),
        "www.".to_owned(),
        "key=".to_owned(),
        "4111 1111 1111 1111 ".to_owned(),
        "-----BEGIN PRIVATE KEY-----".to_owned(),
        "1.".to_owned(),
        "https://".to_owned(),
        "a.".to_owned(),
    ];
    for piece in pieces {
        let time = |bytes: usize| {
            let text = piece.repeat(bytes / piece.len());
            let begun = Instant::now();
            let out = redacted(&text);
            assert!(out.len() <= 4 * text.len());
            begun.elapsed()
        };
        let (short, long) = (time(1 << 15), time(1 << 19));
        // Sixteen times the text: 256 times the time would be quadratic.
        let most = 80 * short + Duration::from_millis(200);
        assert!(long < most, "{piece}: {short:?}, then {long:?}");
    }
}

/// Texts of pieces that detectors look for, in each other's way.
pub(super) fn awkward() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[@:/.+ 0-9a-fA-F=_-]{0,12}",
        "\\PC{0,4}",
        Just("https://".to_owned()),
        Just("www.x.".to_owned()),
        Just("bo@example.com".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("password=q8Zr2Lk9Xv7Tn4Wp".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----".to_owned()),
        Just("[handle]".to_owned()),
        Just("[secret]".to_owned()),
        Just("192.168.0.1".to_owned()),
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_is_left_and_a_second_time_changes_nothing(text in awkward()) {
        let once = redacted(&text);
        prop_assert!(once.len() <= 4 * text.len());
        for detector in ALL.detectors.iter() {
            prop_assert_eq!(detector.count(&once), 0, "{}: {}", detector.name(), &once);
        }
        prop_assert!(matches!(ALL.text(&once, &mut Counts::default()), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_in_nobodys_way_stays(words in proptest::collection::vec("[a-z]{1,9}|[0-9]{1,3}[a-z]", 0..20)) {
        // `key 123a` and the like are no secrets: nothing stands between them but a space.
        let text = words.join(" ");
        prop_assert_eq!(redacted(&text), text);
    }
}
