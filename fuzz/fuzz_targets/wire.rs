//! Any response of any service, whole or in pieces, is an answer or a failure, and what its headers ask for has bounds.
//!
//! The first byte names the service, the second the size of the pieces; then comes a response as the fixtures of the
//! teacher's crate hold it: a status line, headers, an empty line and the body.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use limbeck_teacher::wire::{
    AnswerStream, Failure, Preset, RateSignals, RemoteBatch, RemoteList, ResultLine, UploadedFile,
    Usage, WireAnswer, preset, preset_names, read_answer, read_response,
};
use serde_json::Value;

/// No header makes anybody wait longer.
const LONGEST_WAIT: Duration = Duration::from_hours(32 * 24);
/// No count of tokens above it is believed.
const MOST_TOKENS: u64 = 100_000_000;

fuzz_target!(|data: &[u8]| {
    let [service, piece, response @ ..] = data else {
        return;
    };
    let names: Vec<&str> = preset_names().collect();
    let name = names[usize::from(*service) % names.len()];
    let preset = preset(name).expect("a preset that is listed");
    let (status, headers, body) = parts(response);
    let now = Timestamp::UNIX_EPOCH + Duration::from_secs(1_767_225_600);

    check_signals(&RateSignals::read(preset, &headers, now));
    let whole = read_answer(preset, status, &headers, body, now);
    check(&whole);
    if (200..300).contains(&status) {
        assert_eq!(in_pieces(preset, &headers, body, *piece), whole);
    }
    check(&read_response(body));
    check_batches(preset, body, now);
});

/// The status, the headers and the body of a response; what is missing or broken of its head is left out.
fn parts(response: &[u8]) -> (u16, HeaderMap, &[u8]) {
    let end = response.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&response[..end], &response[end + 2..]),
        None => (&response[..0], response),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| {
        let status = line.split(|byte| *byte == b' ').nth(1)?;
        std::str::from_utf8(status).ok()?.parse().ok()
    });
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    (status.unwrap_or(200), headers, body)
}

fn in_pieces(
    preset: &Preset,
    headers: &HeaderMap,
    body: &[u8],
    size: u8,
) -> Result<WireAnswer, Failure> {
    let mut stream = AnswerStream::new(preset, headers);
    for piece in body.chunks(usize::from(size).max(1)) {
        stream.push(piece);
    }
    stream.finish()
}

fn check(result: &Result<WireAnswer, Failure>) {
    match result {
        Ok(answer) => {
            check_usage(&answer.usage);
            for token in &answer.tokens {
                assert!(token.log_probability <= 0.0);
                assert!(token.top.iter().all(|(_, value)| *value <= 0.0));
            }
            check_choice(answer);
        }
        Err(failure) => check_failure(failure),
    }
}

fn check_choice(answer: &WireAnswer) {
    let choices = ["positive", "negative", "not sure", "not at all"].map(str::to_owned);
    match answer.choose(&choices) {
        Ok(chosen) => {
            assert!(chosen.index < choices.len());
            if let Some(told) = chosen.log_probabilities {
                assert_eq!(told.len(), choices.len());
                assert!(told.iter().all(|value| *value <= 0.0), "{told:?}");
            }
        }
        Err(failure) => check_failure(&failure),
    }
}

fn check_failure(failure: &Failure) {
    assert!(!failure.message.is_empty());
    assert!(!failure.message.contains(char::is_control));
    assert!(failure.message.chars().count() < 1000);
    if let Some(usage) = &failure.usage {
        check_usage(usage);
    }
}

fn check_usage(usage: &Usage) {
    let counts = [usage.input, usage.cached, usage.output, usage.reasoning];
    assert!(
        counts
            .into_iter()
            .flatten()
            .all(|count| count <= 2 * MOST_TOKENS)
    );
}

fn check_signals(signals: &RateSignals) {
    let resets = signals.windows.iter().map(|window| window.reset);
    let waits = resets.chain([signals.retry_after]);
    assert!(waits.flatten().all(|wait| wait <= LONGEST_WAIT));
}

fn check_batches(preset: &Preset, body: &[u8], now: Timestamp) {
    for line in body.split(|byte| *byte == b'\n').take(8) {
        // Whatever it is, it is said.
        drop(ResultLine::read(preset, line, now));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        for failure in [
            RemoteBatch::read(preset, &value).err(),
            RemoteList::read(preset, &value).err(),
            UploadedFile::read(&value).err(),
        ] {
            failure.iter().for_each(check_failure);
        }
    }
}
