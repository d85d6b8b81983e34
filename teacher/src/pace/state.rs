//! The limits of one key at one moment: what may be begun, and if nothing, when to look again.
//!
//! No clock and no waiting here: every call says what time it is, so that a test needs none.

use std::time::Duration;

use super::bucket::Bucket;
use super::concurrency::Concurrency;
use super::limits::Limits;
use super::spend::NanoUsd;
use super::window::Window;
use crate::wire::Measure;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// So many seconds' worth of requests may be made up for after a late moment.
const SECONDS_OF_REQUESTS: f64 = 1.0;
/// Tokens come in lumps, and reservations are given back a moment later.
const SECONDS_OF_TOKENS: f64 = 5.0;

/// The most that one request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Demand {
    /// Tokens read, at most.
    pub(crate) input_tokens: u64,
    /// Tokens written, at most.
    pub(crate) output_tokens: u64,
    /// What both cost, at most.
    pub(crate) cost: NanoUsd,
}

/// What a request used in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Used {
    /// As the teacher says.
    Known(Demand),
    /// It was refused before any work was done.
    Nothing,
    /// No word came back: it may have been all that was reserved.
    Unknown,
}

impl Used {
    /// In numbers, where `reserved` was the most.
    pub(super) fn of(self, reserved: &Demand) -> Demand {
        match self {
            Self::Known(used) => used,
            Self::Nothing => Demand::default(),
            Self::Unknown => *reserved,
        }
    }
}

/// What a limit is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Requests,
    Input,
    Output,
    Tokens,
}

impl From<Measure> for Counts {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Requests => Self::Requests,
            Measure::Tokens => Self::Tokens,
            Measure::InputTokens => Self::Input,
            Measure::OutputTokens => Self::Output,
        }
    }
}

impl Counts {
    fn of(self, demand: &Demand) -> u64 {
        match self {
            Self::Requests => 1,
            Self::Input => demand.input_tokens,
            Self::Output => demand.output_tokens,
            Self::Tokens => demand.input_tokens + demand.output_tokens,
        }
    }
}

#[derive(Debug)]
struct Gauge {
    field: &'static str,
    counts: Counts,
    span: Duration,
    window: Window,
    /// Only the limits of a minute are spread; a day's may be used when the day begins.
    bucket: Option<Bucket>,
}

impl Gauge {
    fn new(
        field: &'static str,
        counts: Counts,
        allowance: u64,
        span: Duration,
        now: Duration,
    ) -> Self {
        let window = Window::new(allowance, span);
        let bucket = (span == MINUTE).then(|| {
            let rate = allowance as f64 / window.length().as_secs_f64();
            if counts == Counts::Requests {
                // A little more than one, or every late timer would slow the whole down.
                Bucket::new(rate, (rate * SECONDS_OF_REQUESTS).max(1.05), 1.0, now)
            } else {
                let depth = rate * SECONDS_OF_TOKENS;
                Bucket::new(rate, depth, depth, now)
            }
        });
        Self {
            field,
            counts,
            span,
            window,
            bucket,
        }
    }
}

/// Why a request can never be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    LargerThanLimit {
        field: &'static str,
        need: u64,
        allowance: u64,
    },
    CapReached {
        cap: NanoUsd,
        spent: NanoUsd,
        cost: NanoUsd,
    },
}

/// Whether a request may be begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Turn {
    Now,
    /// Look again after this long, or when anything was settled.
    In(Duration),
    /// Look again when something was settled.
    AfterAnother,
    Never(Refusal),
}

/// Where a request was counted, for its settlement.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) begun: Duration,
    pub(super) demand: Demand,
    places: Vec<u64>,
}

/// All limits of one key; the cap on spending is the whole teacher's and lives in [`super::spend`].
#[derive(Debug)]
pub(super) struct State {
    gauges: Vec<Gauge>,
    /// `None` for a teacher that has its own places.
    pub(super) concurrency: Option<Concurrency>,
    pub(super) in_flight: usize,
    pub(super) paused_until: Duration,
}

impl State {
    /// Everything but the cap on spending. `adaptive`: the number in flight is found out, up to `limits.concurrent`; else it is left to others.
    pub(super) fn new(limits: &Limits, adaptive: bool, now: Duration) -> Self {
        use Counts::{Input, Output, Requests, Tokens};
        let declared = [
            (
                "requests_per_minute",
                Requests,
                limits.requests_per_minute,
                MINUTE,
            ),
            (
                "input_tokens_per_minute",
                Input,
                limits.input_tokens_per_minute,
                MINUTE,
            ),
            (
                "output_tokens_per_minute",
                Output,
                limits.output_tokens_per_minute,
                MINUTE,
            ),
            (
                "tokens_per_minute",
                Tokens,
                limits.tokens_per_minute,
                MINUTE,
            ),
            ("requests_per_day", Requests, limits.requests_per_day, DAY),
            ("tokens_per_day", Tokens, limits.tokens_per_day, DAY),
        ];
        let gauge = |(field, counts, allowance, span): (_, _, Option<u64>, _)| {
            allowance.map(|allowance| Gauge::new(field, counts, allowance, span, now))
        };
        Self {
            gauges: declared.into_iter().filter_map(gauge).collect(),
            concurrency: adaptive.then(|| Concurrency::new(limits.concurrent)),
            in_flight: 0,
            paused_until: Duration::ZERO,
        }
    }

    pub(super) fn turn(&mut self, now: Duration, demand: &Demand) -> Turn {
        let mut wait = self.paused_until.saturating_sub(now);
        for gauge in &mut self.gauges {
            let amount = gauge.counts.of(demand);
            let Some(until) = gauge.window.wait(now, amount) else {
                return Turn::Never(Refusal::LargerThanLimit {
                    field: gauge.field,
                    need: amount,
                    allowance: gauge.window.allowance(),
                });
            };
            wait = wait.max(until);
            if let Some(bucket) = &mut gauge.bucket {
                wait = wait.max(bucket.wait(now, amount as f64));
            }
        }
        let full = self
            .concurrency
            .as_ref()
            .is_some_and(|concurrency| self.in_flight >= concurrency.limit());
        if full {
            Turn::AfterAnother
        } else if wait > Duration::ZERO {
            Turn::In(wait)
        } else {
            Turn::Now
        }
    }

    pub(super) fn take(&mut self, now: Duration, demand: Demand) -> Taken {
        self.in_flight += 1;
        if let Some(concurrency) = &mut self.concurrency {
            concurrency.begun(now, self.in_flight);
        }
        Taken {
            begun: now,
            demand,
            places: self.count(now, &demand),
        }
    }

    /// Counts what an earlier run did at `then`; called in the order of time, before anything is taken.
    pub(super) fn remember(&mut self, then: Duration, used: &Demand) {
        for gauge in &mut self.gauges {
            gauge.window.take(then, gauge.counts.of(used));
        }
    }

    fn count(&mut self, now: Duration, demand: &Demand) -> Vec<u64> {
        let mut places = Vec::with_capacity(self.gauges.len());
        for gauge in &mut self.gauges {
            let amount = gauge.counts.of(demand);
            if let Some(bucket) = &mut gauge.bucket {
                bucket.take(now, amount as f64);
            }
            places.push(gauge.window.take(now, amount));
        }
        places
    }

    /// The request has left the limits that count what is in flight, and is corrected in the others.
    pub(super) fn settle(&mut self, taken: &Taken, used: Used) {
        self.in_flight -= 1;
        let reserved = &taken.demand;
        let used = used.of(reserved);
        for (gauge, &place) in self.gauges.iter_mut().zip(&taken.places) {
            // A refused request was a request all the same.
            let (before, after) = (gauge.counts.of(reserved), gauge.counts.of(&used));
            gauge.window.settle(place, before, after);
            if let Some(bucket) = &mut gauge.bucket {
                bucket.refund(before as f64 - after as f64);
            }
        }
    }

    /// Lowers the limit of `measure` over `span` to what the teacher says of itself.
    pub(super) fn tighten(&mut self, measure: Measure, span: Duration, allowance: u64) {
        let same = |gauge: &&mut Gauge| gauge.counts == measure.into() && gauge.span == span;
        for gauge in self.gauges.iter_mut().filter(same) {
            gauge.window.tighten(allowance);
            if let Some(bucket) = &mut gauge.bucket {
                let length = gauge.window.length().as_secs_f64();
                bucket.tighten(gauge.window.allowance() as f64 / length);
            }
        }
    }

    /// What counts at `now` and what is allowed, for each limit in order.
    pub(super) fn usage(&mut self, now: Duration) -> Vec<(&'static str, u64, u64)> {
        self.gauges
            .iter_mut()
            .map(|gauge| {
                (
                    gauge.field,
                    gauge.window.used(now),
                    gauge.window.allowance(),
                )
            })
            .collect()
    }
}
