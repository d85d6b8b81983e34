//! The numbers of one stage: how far, how fast, how long still.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::text;

/// The rate is measured over this long: long enough to be calm, short enough to follow a change of pace.
const WINDOW: Duration = Duration::from_secs(30);
/// Positions are kept at most this often, which bounds them to `WINDOW / SPACING`.
const SPACING: Duration = Duration::from_millis(250);
/// Before this much time a rate is noise, and so is the time left.
const WARM_UP: Duration = Duration::from_millis(500);

/// Position, rate and time left of one stage.
#[derive(Clone, Debug)]
pub struct Meter {
    name: String,
    unit: &'static str,
    total: Option<u64>,
    reused: u64,
    position: u64,
    message: String,
    started: Instant,
    /// When which position was reached, oldest first.
    history: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// A stage that begins at `started` with nothing done.
    pub fn new(name: &str, total: Option<u64>, unit: &'static str, started: Instant) -> Self {
        Self {
            name: text::sanitize_line(name),
            unit,
            total,
            reused: 0,
            position: 0,
            message: String::new(),
            started,
            history: VecDeque::from([(started, 0)]),
        }
    }

    /// The stage's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is counted.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// How many there are in all, where that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// How many are done, reused ones included.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many of those were there already.
    pub fn reused(&self) -> u64 {
        self.reused
    }

    /// The remark beside the numbers.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Time since the start.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// The share done, between 0 and 1.
    pub fn share(&self) -> Option<f64> {
        self.total.map(|total| {
            if total == 0 {
                1.0
            } else {
                (self.position as f64 / total as f64).min(1.0)
            }
        })
    }

    /// Units a second over the last half minute.
    pub fn rate(&self, now: Instant) -> Option<f64> {
        let &(then, position) = self.history.front()?;
        let span = now.saturating_duration_since(then);
        let done = self.position.saturating_sub(position);
        (span >= WARM_UP && done > 0).then(|| done as f64 / span.as_secs_f64())
    }

    /// Units a second over the whole stage.
    pub fn overall_rate(&self, now: Instant) -> Option<f64> {
        let span = self.elapsed(now);
        let done = self.position.saturating_sub(self.reused);
        (span >= WARM_UP && done > 0).then(|| done as f64 / span.as_secs_f64())
    }

    /// Time until the total is reached at the present rate.
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.position) as f64;
        Duration::try_from_secs_f64(left / self.rate(now)?).ok()
    }

    /// `1,200` or `3.2 MB`.
    pub fn count(&self, count: u64) -> String {
        if self.unit == "bytes" {
            text::size(count)
        } else {
            text::grouped(count)
        }
    }

    /// `31.2 prompts/s` or `3.2 MB/s`.
    pub fn per_second(&self, rate: f64) -> String {
        if self.unit == "bytes" {
            format!("{}/s", text::size(rate as u64))
        } else {
            format!("{}/s", text::number(rate))
        }
    }

    /// `1,200 prompts` or `3.2 MB`.
    pub fn count_with_unit(&self, count: u64) -> String {
        if self.unit == "bytes" {
            text::size(count)
        } else {
            format!("{} {}", text::grouped(count), self.unit)
        }
    }

    pub(super) fn set_reused(&mut self, reused: u64, now: Instant) {
        self.position = self.position.saturating_sub(self.reused) + reused;
        self.reused = reused;
        self.history.clear();
        self.history.push_back((now, self.position));
    }

    pub(super) fn set_position(&mut self, position: u64, now: Instant) {
        self.position = position;
        // The newest point is kept apart from the spacing: `rate` reads the present position itself.
        let due = self
            .history
            .back()
            .is_none_or(|&(then, _)| now.saturating_duration_since(then) >= SPACING);
        if due {
            self.history.push_back((now, position));
        }
        // One point older than the window stays, so that slow stages (one unit a minute) still have a rate.
        while self
            .history
            .get(1)
            .is_some_and(|&(then, _)| now.saturating_duration_since(then) > WINDOW)
        {
            self.history.pop_front();
        }
    }

    pub(super) fn set_message(&mut self, message: &str) {
        self.message = text::sanitize_line(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn reused_units_are_done_but_not_fast() {
        let start = Instant::now();
        let mut meter = Meter::new("harvest", Some(3000), "prompts", start);
        meter.set_reused(2000, after(start, 1.0));
        assert_eq!(meter.rate(after(start, 1.0)), None, "nothing was done yet");
        meter.set_position(2100, after(start, 11.0));
        assert_eq!(meter.rate(after(start, 11.0)), Some(10.0));
        assert_eq!(
            meter.time_left(after(start, 11.0)),
            Some(Duration::from_secs(90))
        );
        assert_eq!(meter.share(), Some(0.7));
    }

    #[test]
    fn the_rate_follows_a_change_of_pace() {
        let start = Instant::now();
        let mut meter = Meter::new("train", None, "steps", start);
        let mut position = 0;
        for second in 1..=100 {
            position += if second <= 50 { 100 } else { 2 };
            meter.set_position(position, after(start, f64::from(second)));
        }
        let rate = meter.rate(after(start, 100.0));
        assert!(
            rate.is_some_and(|rate| (rate - 2.0).abs() < 1e-9),
            "{rate:?}"
        );
        assert!(meter.history.len() <= 122, "the history is bounded");
        assert_eq!(meter.time_left(after(start, 100.0)), None);
    }

    #[test]
    fn a_stalled_stage_slows_down() {
        let start = Instant::now();
        let mut meter = Meter::new("fetch", Some(100), "bytes", start);
        meter.set_position(50, after(start, 1.0));
        let early = meter.rate(after(start, 1.0));
        let late = meter.rate(after(start, 100.0));
        assert_eq!((early, late), (Some(50.0), Some(0.5)));
    }

    #[test]
    fn odd_totals_do_no_harm() {
        let start = Instant::now();
        let mut meter = Meter::new("a\x1b\nb", Some(0), "steps", start);
        assert_eq!((meter.name(), meter.share()), ("a b", Some(1.0)));
        meter.set_position(5, start);
        assert_eq!((meter.share(), meter.rate(start)), (Some(1.0), None));
    }
}
