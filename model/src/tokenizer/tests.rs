#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{tiny_parts, tiny_tokenizer};

/// Texts that break tokenizers.
const AWKWARD: [&str; 14] = [
    "",
    " ",
    "   leading and trailing   ",
    "tabs\tand\t\ttabs",
    "lines\nand\n\n\nlines\r\nand returns\r",
    "don't we'll I'M they'RE",
    "1234567890 3.14 ½ Ⅷ 四十二",
    "emoji 🙂👩‍👩‍👧‍👦🏳️‍🌈 flags 🇫🇷",
    "漢字とかな、한국어 العربية עברית",
    "e\u{301} combining, \u{200B}zero width\u{FEFF}",
    "control \u{0}\u{1}\u{7F} bytes",
    "<|im_start|>user<|im_end|> <|endoftext|",
    "ĠĊ characters of the alphabet itself",
    "the the there singing all  a",
];

#[test]
fn awkward_text_comes_back_with_every_pre_tokenizer() {
    for pre in PreTokenizer::ALL {
        let tokenizer = Tokenizer::from_parts(TokenizerParts {
            pre,
            ..tiny_parts()
        })
        .unwrap();
        for text in AWKWARD {
            let ids = tokenizer.encode(text, false);
            assert_eq!(tokenizer.decode(&ids), text, "{pre:?}");
            assert!(!ids.iter().any(|&id| tokenizer.is_control(id)));
        }
    }
}

#[test]
fn merges_apply_in_order_and_within_words() {
    let tokenizer = tiny_tokenizer();
    let tokens = |text: &str| -> Vec<String> {
        let ids = tokenizer.encode(text, false);
        ids.iter()
            .map(|&id| tokenizer.token(id).unwrap().to_owned())
            .collect()
    };
    assert_eq!(tokens(" the"), ["Ġthe"]);
    assert_eq!(tokens("singing"), ["s", "ing", "ing"]);
    // Digits stand alone, with their space before them.
    assert_eq!(tokens("a 12"), ["a", "Ġ", "1", "2"]);
    assert_eq!(tokens("a   b"), ["a", "ĠĠ", "Ġ", "b"]);
}

#[test]
fn control_tokens_are_recognised_only_on_demand() {
    let tokenizer = tiny_tokenizer();
    let text = "<|im_start|>the<|im_end|><|im_end|";
    let parsed = tokenizer.encode(text, true);
    assert_eq!((parsed[0], parsed[3]), (1, 2));
    assert_eq!(
        parsed
            .iter()
            .filter(|&&id| tokenizer.is_control(id))
            .count(),
        2
    );
    assert_eq!(tokenizer.decode(&parsed), "the<|im_end|");
    let plain = tokenizer.encode(text, false);
    assert_eq!(tokenizer.decode(&plain), text);
    assert!(tokenizer.token_bytes(2).is_empty());
}

#[test]
fn the_longest_control_token_wins() {
    let mut parts = tiny_parts();
    parts.tokens.extend(["<|im_start|>x".to_owned()]);
    let longest = parts.tokens.len() as u32 - 1;
    parts.control.insert(longest);
    let tokenizer = Tokenizer::from_parts(parts).unwrap();
    assert_eq!(tokenizer.encode("<|im_start|>x", true), [longest]);
}

#[test]
fn a_vocabulary_may_lack_bytes() {
    let mut parts = tiny_parts();
    parts.tokens.retain(|token| token != "z");
    let tokenizer = Tokenizer::from_parts(parts).unwrap();
    assert_eq!(tokenizer.decode(&tokenizer.encode("azb", false)), "ab");
    assert_eq!(tokenizer.decode(&[u32::MAX]), "");
}

#[test]
fn the_fallback_to_bytes_decodes_to_the_same_text() {
    let tokenizer = tiny_tokenizer();
    for text in AWKWARD {
        let mut ids = vec![7, 8, 9];
        tokenizer.encode_bytes(text, 1, &mut ids);
        assert_eq!(ids[0], 7);
        assert_eq!(tokenizer.decode(&ids[1..]), text);
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |change: fn(&mut TokenizerParts)| {
        let mut parts = tiny_parts();
        change(&mut parts);
        Tokenizer::from_parts(parts).unwrap_err().to_string()
    };
    assert!(refused(|p| p.eos = 9_999).contains("the eos token is 9999, but there are 268 tokens"));
    assert!(refused(|p| p.bos = Some(u32::MAX)).contains("the bos token"));
    assert!(refused(|p| _ = p.control.insert(5_000)).contains("the control token is 5000"));
    assert!(refused(|p| p.merges[0].0 = "the".into()).contains("needs the ordinary token"));
    assert!(refused(|p| p.tokens[9] = p.tokens[10].clone()).contains("there twice"));
    assert!(refused(|p| p.tokens[260] = String::new()).contains("token 260 is empty"));
    assert!(refused(|p| p.tokens.clear()).contains("there are 0 tokens"));
    let long = refused(|p| p.merges[0].0 = "Ġtheee".repeat(20));
    assert!(long.contains("needs the ordinary token"), "{long}");
    // A merge must not make a control token out of text.
    assert!(
        refused(|p| _ = p.control.insert(p.tokens.len() as u32 - 1))
            .contains("needs the ordinary token")
    );
}

#[test]
fn parts_survive_serde() {
    let parts = tiny_parts();
    let json = serde_json::to_string(&parts).unwrap();
    assert_eq!(
        serde_json::from_str::<TokenizerParts>(&json).unwrap(),
        parts
    );
}

/// Hugging Face's own library, given our `tokenizer.json`, agrees on every id.
#[test]
fn hugging_face_loads_our_json_to_the_same_ids() {
    for pre in PreTokenizer::ALL {
        let ours = Tokenizer::from_parts(TokenizerParts {
            pre,
            ..tiny_parts()
        })
        .unwrap();
        let json = ours.hugging_face_json().to_string();
        let theirs: tokenizers::Tokenizer = json.parse().unwrap();
        for text in AWKWARD {
            let encoding = theirs.encode(text, false).unwrap();
            assert_eq!(
                ours.encode(text, true),
                encoding.get_ids(),
                "{pre:?} {text:?}"
            );
            let decoded = theirs.decode(encoding.get_ids(), true).unwrap();
            assert_eq!(ours.decode(encoding.get_ids()), decoded, "{pre:?} {text:?}");
        }
    }
}

#[test]
fn hugging_face_json_reads_back() {
    let mut parts = tiny_parts();
    parts.bos = Some(1);
    parts.pad = Some(2);
    let ours = Tokenizer::from_parts(parts).unwrap();
    let names = ours.hugging_face_config(64, Some("template"));
    assert_eq!(names["chat_template"], "template");
    let json = ours.hugging_face_json();
    let read = Tokenizer::from_hugging_face_json(&json, &names, &Value::Null).unwrap();
    assert_eq!(read.parts(), ours.parts());
    // Ids of `config.json` do where no token is named; several ends of an answer mean the first.
    let ids = json!({"eos_token_id": [0, 2], "bos_token_id": 1, "pad_token_id": 2});
    let read = Tokenizer::from_hugging_face_json(&json, &Value::Null, &ids).unwrap();
    assert_eq!(read.parts(), ours.parts());
}

#[test]
fn tokenizer_json_that_means_something_else_is_refused() {
    let names = json!({"eos_token": {"content": "<|endoftext|>"}});
    let refused = |pointer: &str, value: Value| {
        let mut json = tiny_tokenizer().hugging_face_json();
        *json.pointer_mut(pointer).unwrap() = value;
        Tokenizer::from_hugging_face_json(&json, &names, &Value::Null)
            .unwrap_err()
            .to_string()
    };
    assert!(refused("/model/type", json!("Unigram")).contains("\"Unigram\""));
    assert!(refused("/model/byte_fallback", json!(true)).contains("byte_fallback"));
    assert!(refused("/model/ignore_merges", json!(true)).contains("ignore_merges"));
    assert!(refused("/normalizer", json!({"type": "NFC"})).contains("normalizer"));
    assert!(refused("/pre_tokenizer", json!({"type": "Whitespace"})).contains("Whitespace"));
    assert!(refused("/model/merges", json!([["a"]])).contains("not two tokens"));
    assert!(refused("/model/merges", json!(["a b c"])).contains("needs the ordinary token"));
    assert!(refused("/model/vocab/he", json!(400)).contains("without a gap"));
    assert!(refused("/added_tokens/0/id", json!(-1)).contains("no content or id"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_comes_back_and_spells_no_control_token(text in "(\\PC|\\s|<\\|im_end\\|>|[0-9 ]){0,40}") {
        let tokenizer = tiny_tokenizer();
        let ids = tokenizer.encode(&text, false);
        prop_assert_eq!(tokenizer.decode(&ids), text);
        prop_assert!(!ids.iter().any(|&id| tokenizer.is_control(id)));
    }

    #[test]
    fn any_ids_decode(ids in proptest::collection::vec(any::<u32>(), 0..40), small in proptest::collection::vec(0..300_u32, 0..40)) {
        let tokenizer = tiny_tokenizer();
        tokenizer.decode(&ids);
        let bytes: Vec<u8> = small.iter().flat_map(|&id| tokenizer.token_bytes(id)).collect();
        prop_assert_eq!(tokenizer.decode(&small), String::from_utf8_lossy(&bytes));
    }
}
