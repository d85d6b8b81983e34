//! Responses in pieces, cut short, damaged and made up.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::fixtures::{FOLDERS, Fixture, folder, now};
use super::*;
use crate::wire::{FailureKind, preset};

static ALL: LazyLock<Vec<Fixture>> =
    LazyLock::new(|| FOLDERS.iter().flat_map(|name| folder(name)).collect());

fn answered() -> impl Iterator<Item = &'static Fixture> {
    ALL.iter().filter(|fixture| fixture.status == 200)
}

fn in_pieces(fixture: &Fixture, cuts: &[usize]) -> Result<WireAnswer, Failure> {
    let mut stream = AnswerStream::new(fixture.preset, &fixture.headers);
    let mut start = 0;
    for &cut in cuts {
        stream.push(&fixture.body[start..cut]);
        start = cut;
    }
    stream.push(&fixture.body[start..]);
    stream.finish()
}

fn read(fixture: &Fixture, body: &[u8]) -> Result<WireAnswer, Failure> {
    read_answer(
        fixture.preset,
        fixture.status,
        &fixture.headers,
        body,
        now(),
    )
}

#[test]
fn a_response_byte_by_byte_is_the_same() {
    for fixture in answered() {
        let cuts: Vec<usize> = (0..fixture.body.len()).collect();
        assert_eq!(
            in_pieces(fixture, &cuts),
            read(fixture, &fixture.body),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn a_response_cut_short_is_never_taken_for_a_whole_one() {
    for fixture in answered() {
        let Ok(whole) = read(fixture, &fixture.body) else {
            continue;
        };
        // Every place in short ones, and a prime number of bytes apart in long ones.
        let step = if fixture.body.len() < 3000 { 1 } else { 13 };
        for end in (0..fixture.body.len()).step_by(step) {
            match read(fixture, &fixture.body[..end]) {
                Ok(answer) => {
                    // Only what comes after the end of the answer may be missing, such as a last count of tokens.
                    assert_eq!(answer.text, whole.text, "{} at {end}", fixture.name);
                    assert_eq!(
                        answer.reasoning, whole.reasoning,
                        "{} at {end}",
                        fixture.name
                    );
                    assert_eq!(answer.finish, whole.finish, "{} at {end}", fixture.name);
                }
                Err(failure) => {
                    // What a service had already taken back or refused stays so, cut or not.
                    let expected = failure.worth_retrying || whole.retraction.is_some();
                    assert!(expected, "{} at {end}: {failure}", fixture.name);
                }
            }
        }
    }
}

#[test]
fn what_is_read_until_the_service_is_done_is_all() {
    for fixture in answered() {
        let mut stream = AnswerStream::new(fixture.preset, &fixture.headers);
        for byte in &fixture.body {
            if stream.is_done() {
                break;
            }
            stream.push(&[*byte]);
        }
        assert_eq!(
            stream.finish(),
            read(fixture, &fixture.body),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn a_stream_is_told_from_an_answer_by_its_bytes() {
    let preset = preset("openai").unwrap();
    let read = |body: &str| read_answer(preset, 200, &HeaderMap::new(), body.as_bytes(), now());
    let kind = |body: &str| read(body).unwrap_err().kind;
    assert_eq!(kind("data: {}\n\n"), FailureKind::Connection);
    assert_eq!(kind("data: not json\n\n"), FailureKind::Malformed);
    assert_eq!(kind("data: [DONE]\n\n"), FailureKind::Malformed);
    assert_eq!(kind(": keep-alive\n\n"), FailureKind::Connection);
    for body in [
        "",
        "\n\n",
        "{}",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"choices\": 7}",
        "<html>",
    ] {
        assert_eq!(kind(body), FailureKind::Malformed, "{body}");
    }
}

#[test]
fn giants_are_read_or_refused_in_time() {
    let preset = preset("openai").unwrap();
    let read = |body: &str| read_answer(preset, 200, &HeaderMap::new(), body.as_bytes(), now());
    let long = "x".repeat(4_000_000);
    let body =
        format!(r#"{{"choices":[{{"message":{{"content":"{long}"}},"finish_reason":"stop"}}]}}"#);
    assert_eq!(read(&body).unwrap().text.len(), long.len());
    let error = format!(r#"{{"error":{{"message":"{long}","code":"{long}"}}}}"#);
    let failure = read(&error).unwrap_err();
    assert!(failure.message.len() < 2000 && failure.code.unwrap().len() < 2000);
    let deep = "[".repeat(1_000_000);
    assert_eq!(read(&deep).unwrap_err().kind, FailureKind::Malformed);
    assert_eq!(
        read(&format!("data: {deep}\n\n")).unwrap_err().kind,
        FailureKind::Malformed
    );
    // Many tiny pieces of one long line must not cost the square of its length.
    let mut stream = AnswerStream::new(preset, &HeaderMap::new());
    for _ in 0..300_000 {
        stream.push(b"data: ");
    }
    assert!(stream.finish().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_pieces_give_the_same_answer(which: Index, cuts in prop::collection::vec(any::<Index>(), 0..20)) {
        let fixture = answered().nth(which.index(answered().count())).unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(fixture.body.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(in_pieces(fixture, &cuts), read(fixture, &fixture.body));
    }

    #[test]
    fn damaged_responses_are_an_answer_or_a_failure(
        which: Index,
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..12),
        status in prop_oneof![Just(None), (100_u16..600).prop_map(Some)],
    ) {
        let fixture = &ALL[which.index(ALL.len())];
        let mut body = fixture.body.clone();
        for (place, byte) in damage {
            if !body.is_empty() {
                let place = place.index(body.len());
                body[place] = byte;
            }
        }
        let status = status.unwrap_or(fixture.status);
        let result = read_answer(fixture.preset, status, &fixture.headers, &body, now());
        match result {
            Ok(answer) => {
                prop_assert!((200..300).contains(&status));
                prop_assert!(answer.tokens.iter().all(|token| token.log_probability <= 0.0));
            }
            Err(failure) => prop_assert!(!failure.message.is_empty()),
        }
    }

    #[test]
    fn any_bytes_in_any_dialect_are_an_answer_or_a_failure(
        provider in prop_oneof![Just("openai"), Just("anthropic"), Just("gemini"), Just("vllm")],
        start in prop_oneof![Just(""), Just("data: "), Just("{\"choices\":[{\"delta\":{\"content\":"), Just("event: error\n")],
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        status in 100_u16..600,
    ) {
        let preset = preset(provider).unwrap();
        let body = [start.as_bytes(), &bytes].concat();
        for status in [200, status] {
            drop(read_answer(preset, status, &HeaderMap::new(), &body, now()));
        }
    }
}
