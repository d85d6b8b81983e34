//! Headers of every family.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::wire::preset;

const NOW: &str = "2026-01-01T00:00:00Z";

fn read(provider: &str, headers: &[(&str, &str)]) -> RateSignals {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
        })
        .collect();
    RateSignals::read(preset(provider).unwrap(), &headers, NOW.parse().unwrap())
}

fn window(
    signals: &RateSignals,
    measure: Measure,
) -> (Option<u64>, Option<u64>, Option<u64>, Option<f64>) {
    let window = signals
        .windows
        .iter()
        .find(|window| window.measure == measure)
        .unwrap();
    (
        window.span.map(|span| span.as_secs()),
        window.limit,
        window.remaining,
        window.reset.map(|reset| reset.as_secs_f64()),
    )
}

#[test]
fn durations_points_in_time_and_seconds_are_waits() {
    let sent: Timestamp = NOW.parse().unwrap();
    for (value, expected) in [
        ("6m0s", Some(360.0)),
        ("1s", Some(1.0)),
        ("20ms", Some(0.02)),
        ("1h2m3.5s", Some(3723.5)),
        ("2m59.56s", Some(179.56)),
        ("12", Some(12.0)),
        ("0.5", Some(0.5)),
        ("-3", Some(0.0)),
        ("2026-01-01T00:01:00Z", Some(60.0)),
        ("2025-12-31T23:00:00Z", Some(0.0)),
        ("Thu, 01 Jan 2026 00:00:30 GMT", Some(30.0)),
        ("1767225605", Some(5.0)),
        ("1767225605000", Some(5.0)),
        ("99999999", None),
        ("NaN", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ] {
        let wait = until(value, sent).map(|wait| wait.as_secs_f64());
        match (wait, expected) {
            (Some(wait), Some(expected)) => {
                assert!((wait - expected).abs() < 1e-6, "{value}: {wait}");
            }
            (wait, expected) => assert_eq!(wait, expected, "{value}"),
        }
    }
}

#[test]
fn the_finer_wait_counts_and_a_date_is_measured_by_the_clock_of_the_service() {
    let signals = read("azure", &[("retry-after", "2"), ("retry-after-ms", "1250")]);
    assert_eq!(signals.retry_after, Some(Duration::from_millis(1250)));
    let signals = read(
        "openai",
        &[
            ("date", "Thu, 01 Jan 2026 09:00:00 GMT"),
            ("retry-after", "Thu, 01 Jan 2026 09:00:07 GMT"),
        ],
    );
    assert_eq!(signals.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(
        read("openai", &[("retry-after", "later")]),
        RateSignals::default()
    );
}

#[test]
fn openai_and_those_like_it() {
    let headers = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-limit-tokens_usage_based", "1"),
    ];
    let signals = read("openai", &headers);
    assert_eq!(signals.windows.len(), 2);
    let requests = (Some(60), Some(60), Some(59), Some(1.0));
    assert_eq!(window(&signals, Measure::Requests), requests);
    let tokens = (Some(60), Some(150_000), Some(149_984), Some(360.0));
    assert_eq!(window(&signals, Measure::Tokens), tokens);
    // The same names mean a day's requests at Groq.
    let signals = read("groq", &headers);
    assert_eq!(window(&signals, Measure::Requests).0, Some(86_400));
    assert_eq!(window(&signals, Measure::Tokens).0, Some(60));
}

#[test]
fn anthropic_tells_points_in_time_and_both_ways_of_tokens() {
    let signals = read(
        "anthropic",
        &[
            ("date", "Thu, 01 Jan 2026 00:10:00 GMT"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-01-01T00:10:01Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "40000"),
            ("anthropic-ratelimit-output-tokens-remaining", "-5"),
            (
                "anthropic-ratelimit-output-tokens-reset",
                "2026-01-01T00:10:30Z",
            ),
            ("retry-after", "13"),
        ],
    );
    assert_eq!(signals.retry_after, Some(Duration::from_secs(13)));
    let requests = (Some(60), Some(50), Some(49), Some(1.0));
    assert_eq!(window(&signals, Measure::Requests), requests);
    assert_eq!(window(&signals, Measure::InputTokens).2, Some(40_000));
    let output = (Some(60), None, Some(0), Some(30.0));
    assert_eq!(window(&signals, Measure::OutputTokens), output);
}

#[test]
fn spans_in_names_bare_names_and_the_draft_of_the_ietf() {
    let signals = read(
        "mistral",
        &[
            ("x-ratelimit-limit-req-minute", "50"),
            ("x-ratelimit-remaining-req-minute", "49"),
            ("x-ratelimit-limit-tokens-month", "1000000000"),
            ("x-ratelimit-tokens-query-cost", "1300"),
        ],
    );
    let requests = (Some(60), Some(50), Some(49), None);
    assert_eq!(window(&signals, Measure::Requests), requests);
    assert_eq!(window(&signals, Measure::Tokens).0, Some(30 * 86_400));

    let signals = read("fireworks", &[("x-ratelimit-limit-tokens-prompt", "500")]);
    assert_eq!(
        window(&signals, Measure::InputTokens),
        (Some(1), Some(500), None, None)
    );

    let bare = [
        ("x-ratelimit-limit", "20"),
        ("x-ratelimit-reset", "1767225605000"),
    ];
    let signals = read("openrouter", &bare);
    assert_eq!(
        window(&signals, Measure::Requests),
        (None, Some(20), None, Some(5.0))
    );

    let draft = [
        ("ratelimit-policy", "\"default\";q=100;w=60"),
        ("ratelimit", "\"default\";r=50;t=30"),
    ];
    let expected = (Some(60), Some(100), Some(50), Some(30.0));
    assert_eq!(window(&read("openai", &draft), Measure::Requests), expected);
    assert_eq!(
        window(&read("openai", &[draft[1], draft[0]]), Measure::Requests),
        expected
    );
}

proptest! {
    #[test]
    fn any_header_is_a_signal_or_none(
        name in "(x-ratelimit|ratelimit|anthropic-ratelimit|x-tokenlimit)(-[a-z_]{1,9}){0,4}",
        value in "[ -~]{0,40}|[0-9:.eTZ-]{0,24}",
    ) {
        let signals = read("openai", &[(&name, &value), ("date", &value), ("retry-after", &value)]);
        prop_assert!(signals.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
    }
}
