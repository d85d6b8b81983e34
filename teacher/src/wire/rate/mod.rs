//! What the headers of a response say about limits.
//!
//! There are five families of names, and services mix them, so all are read whoever answers: `OpenAI`'s
//! `x-ratelimit-remaining-tokens`, with a span at the end at Mistral and Cerebras; Anthropic's
//! `anthropic-ratelimit-input-tokens-remaining`; Together's `x-tokenlimit-remaining`; the bare
//! `x-ratelimit-remaining` and `ratelimit-remaining`; and the IETF's `ratelimit: "default";r=50;t=30`. What differs by
//! service is over how long they count where they do not say ([`Preset`]).

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use super::Preset;

/// What one response says about the limits in force.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateSignals {
    /// Ask nothing more for this long.
    pub retry_after: Option<Duration>,
    /// The limits that it tells of.
    pub windows: Vec<RateWindow>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateWindow {
    /// What is counted.
    pub measure: Measure,
    /// Over how long; `None` where the service does not say.
    pub span: Option<Duration>,
    /// How many are allowed in that time.
    pub limit: Option<u64>,
    /// How many are left of them.
    pub remaining: Option<u64>,
    /// In how long all are allowed again, counted from when the service sent the response.
    pub reset: Option<Duration>,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Requests.
    Requests,
    /// Tokens read and written.
    Tokens,
    /// Tokens read.
    InputTokens,
    /// Tokens written.
    OutputTokens,
}

/// A wait longer than this is a mistake or a trap.
const LONGEST_WAIT: Duration = Duration::from_hours(32 * 24);

impl RateSignals {
    /// Reads the headers of a response. `now` is the time at which it came; where the response tells its own time,
    /// points in time are measured from that, so that a clock that is off on either side does not matter.
    pub fn read(preset: &Preset, headers: &HeaderMap, now: Timestamp) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sent = text("date").and_then(http_date).unwrap_or(now);
        let milliseconds =
            text("retry-after-ms").and_then(|value| value.trim().parse::<f64>().ok());
        let mut signals = Self {
            retry_after: milliseconds
                .and_then(|milliseconds| seconds(milliseconds / 1000.0))
                .or_else(|| until(text("retry-after")?, sent)),
            windows: Vec::new(),
        };
        for (name, value) in headers {
            let Ok(value) = value.to_str() else { continue };
            match name.as_str() {
                "ratelimit" | "ratelimit-policy" => signals.add_structured(value),
                name => {
                    if let Some((field, measure, span)) = parse_name(name, preset) {
                        signals.add(measure, span, field, value, sent);
                    }
                }
            }
        }
        signals
    }

    fn add(
        &mut self,
        measure: Measure,
        span: Option<Duration>,
        field: Field,
        value: &str,
        sent: Timestamp,
    ) {
        match field {
            Field::Reset => {
                if let Some(reset) = until(value, sent) {
                    self.window(measure, span).reset = Some(reset);
                }
            }
            Field::Limit | Field::Remaining => {
                let Some(count) = count(value) else { return };
                let window = self.window(measure, span);
                match field {
                    Field::Limit => window.limit = Some(count),
                    _ => window.remaining = Some(count),
                }
            }
        }
    }

    /// Reads `"default";r=50;t=30` and `"default";q=100;w=60`; several are separated by commas.
    fn add_structured(&mut self, value: &str) {
        for item in value.split(',') {
            let parameters: Vec<(&str, &str)> = item
                .split(';')
                .filter_map(|parameter| parameter.split_once('='))
                .map(|(key, value)| (key.trim(), value.trim()))
                .collect();
            let get = |key: &str| {
                parameters
                    .iter()
                    .find(|(k, _)| *k == key)
                    .map(|(_, value)| *value)
            };
            if get("qu").is_some_and(|unit| unit.trim_matches('"') != "requests") {
                continue;
            }
            let span = get("w").and_then(|value| seconds(value.parse().ok()?));
            // The window is told in the policy alone, so the one kind of window is that of the bare names.
            let window = self.window(Measure::Requests, None);
            window.span = span.or(window.span);
            window.limit = get("q").and_then(count).or(window.limit);
            window.remaining = get("r").and_then(count).or(window.remaining);
            let reset = get("t").and_then(|value| seconds(value.parse().ok()?));
            window.reset = reset.or(window.reset);
        }
    }

    /// The window that is told of, new if it was not told of before.
    fn window(&mut self, measure: Measure, span: Option<Duration>) -> &mut RateWindow {
        let same = |window: &RateWindow| {
            window.measure == measure && (window.span == span || span.is_none())
        };
        let index = self.windows.iter().position(same).unwrap_or_else(|| {
            self.windows.push(RateWindow {
                measure,
                span,
                limit: None,
                remaining: None,
                reset: None,
            });
            self.windows.len() - 1
        });
        &mut self.windows[index]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Limit,
    Remaining,
    Reset,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        match name {
            "limit" => Some(Self::Limit),
            "remaining" => Some(Self::Remaining),
            "reset" => Some(Self::Reset),
            _ => None,
        }
    }
}

/// What a header tells of, by its name; `None` for any other header.
fn parse_name(name: &str, preset: &Preset) -> Option<(Field, Measure, Option<Duration>)> {
    if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
        let (measure, field) = rest.rsplit_once('-')?;
        let (measure, _) = parse_measure(measure)?;
        return Some((Field::named(field)?, measure, Some(preset.window(measure))));
    }
    if let Some(field) = name.strip_prefix("x-tokenlimit-") {
        return Some((Field::named(field)?, Measure::Tokens, None));
    }
    let rest = name
        .strip_prefix("x-ratelimit-")
        .or_else(|| name.strip_prefix("ratelimit-"))?;
    let Some((field, measure)) = rest.split_once('-') else {
        return Some((Field::named(rest)?, Measure::Requests, None));
    };
    let (measure, span) = parse_measure(measure)?;
    let span = span.unwrap_or_else(|| preset.window(measure));
    Some((Field::named(field)?, measure, Some(span)))
}

/// Reads `tokens`, `input-tokens`, `req-minute`.
fn parse_measure(name: &str) -> Option<(Measure, Option<Duration>)> {
    const SPANS: [(&str, u64); 5] = [
        ("-second", 1),
        ("-minute", 60),
        ("-hour", 3600),
        ("-day", 86_400),
        ("-month", 30 * 86_400),
    ];
    let span = SPANS.iter().find(|(end, _)| name.ends_with(end));
    let bare = span.map_or(name, |(end, _)| name.strip_suffix(end).unwrap_or(name));
    let measure = match bare {
        "requests" | "req" => Measure::Requests,
        "tokens" => Measure::Tokens,
        "input-tokens" | "tokens-prompt" => Measure::InputTokens,
        "output-tokens" | "tokens-generated" => Measure::OutputTokens,
        _ => return None,
    };
    Some((
        measure,
        span.map(|(_, seconds)| Duration::from_secs(*seconds)),
    ))
}

impl Preset {
    /// Over how long headers count that do not say.
    fn window(&self, measure: Measure) -> Duration {
        Duration::from_secs(match measure {
            Measure::Requests => self.requests_window_s,
            Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => self.tokens_window_s,
        })
    }
}

/// Reads the first number of `100`, `99.0`, `100, 100;w=60`; less than nothing is nothing.
fn count(value: &str) -> Option<u64> {
    let first = value.split([',', ';']).next()?.trim();
    let number: f64 = first.parse().ok()?;
    (!number.is_nan()).then_some(number.max(0.0) as u64)
}

/// How long it is from `sent` until what a header says: a duration such as `6m0s` or `20ms`, seconds, a point in time
/// as RFC 3339 or as an HTTP date, or as seconds or milliseconds since 1970. What has passed is no wait.
fn until(value: &str, sent: Timestamp) -> Option<Duration> {
    /// The year 2001 in seconds since 1970; a wait is never so long, a point in time never so early.
    const LEAST_EPOCH: f64 = 1e9;
    let value = value.trim();
    if let Ok(number) = value.parse::<f64>() {
        let epoch = |seconds_since_1970: f64| {
            seconds(seconds_since_1970 - sent.as_duration().as_secs_f64())
        };
        return match number {
            _ if number >= 1000.0 * LEAST_EPOCH => epoch(number / 1000.0),
            _ if number >= LEAST_EPOCH => epoch(number),
            _ => seconds(number),
        };
    }
    let point = value.parse::<Timestamp>().ok().or_else(|| http_date(value));
    match point {
        Some(point) => seconds(point.duration_since(sent).as_secs_f64()),
        None => duration(value),
    }
}

/// Reads a duration such as `6m0s`, `7.66s`, `20ms`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let duration: SignedDuration = text.trim().parse().ok()?;
    seconds(duration.as_secs_f64())
}

fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(date.timestamp())
}

/// So many seconds; none for less, `None` for what is no number or longer than anybody waits.
fn seconds(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    (!seconds.is_nan() && wait <= LONGEST_WAIT).then_some(wait)
}
