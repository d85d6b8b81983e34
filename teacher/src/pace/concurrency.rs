//! How many requests are in flight: more while the teacher answers well, fewer when it is overloaded.

use std::time::Duration;

/// Where it begins; a teacher that takes more shows it within seconds.
const FIRST: f64 = 8.0;
/// What is left after a refusal.
const AFTER_REFUSAL: f64 = 0.5;
/// What is left after answers have become slow.
const AFTER_SLOWNESS: f64 = 0.85;
/// Answers are slow when they take this many times as long as at best...
const SLOW: f64 = 3.0;
/// ...and no longer get better by waiting for more of them at this many times.
const SLOWER: f64 = 2.0;
/// Delays below this say nothing about the teacher.
const NOISE: Duration = Duration::from_millis(50);
/// How much the best time is forgotten in a second: it doubles in half an hour.
const DRIFT: f64 = 0.0004;
/// A request costs a teacher about as much beside its answer as so many tokens of it.
const TOKENS_OF_A_REQUEST: f64 = 16.0;

/// Additive increase and multiplicative decrease, as in TCP: it doubles with every round of answers until the first
/// refusal, then grows by one a round; a round with a refusal halves it.
#[derive(Debug)]
pub(super) struct Concurrency {
    most: f64,
    limit: f64,
    doubling: bool,
    /// When as many as allowed were last in flight.
    full_at: Option<Duration>,
    /// Requests begun before this saw the world as it was before the last cut.
    cut_at: Option<Duration>,
    /// The least time for each token of an answer, in seconds, and when it was last looked at; drifts up slowly, so
    /// that one lucky answer does not count for ever.
    best: Option<(f64, Duration)>,
    /// How many times as long as at best answers take of late.
    slowness: f64,
}

impl Concurrency {
    pub(super) fn new(most: usize) -> Self {
        let most = most as f64;
        Self {
            most,
            limit: FIRST.min(most),
            doubling: true,
            full_at: None,
            cut_at: None,
            best: None,
            slowness: 1.0,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A request was begun, with which `in_flight` are under way.
    pub(super) fn begun(&mut self, now: Duration, in_flight: usize) {
        if in_flight >= self.limit() {
            self.full_at = Some(now);
        }
    }

    /// An answer of `tokens` came to a request that began at `begun`.
    pub(super) fn answered(&mut self, begun: Duration, now: Duration, tokens: u64) {
        self.measure(now, now.saturating_sub(begun), tokens);
        if self.slowness > SLOW {
            self.cut(begun, now, AFTER_SLOWNESS);
        } else if self.slowness < SLOWER && self.full_at.is_some_and(|full_at| full_at >= begun) {
            // What is not used is not tested: the limit grows only while it is what holds requests back.
            let step = if self.doubling { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + step).min(self.most);
        }
    }

    /// A request that began at `begun` was refused for overload or rate.
    pub(super) fn refused(&mut self, begun: Duration, now: Duration) {
        self.cut(begun, now, AFTER_REFUSAL);
    }

    fn cut(&mut self, begun: Duration, now: Duration, share: f64) {
        if self.cut_at.is_some_and(|cut_at| begun < cut_at) {
            return;
        }
        self.cut_at = Some(now);
        self.doubling = false;
        self.limit = (self.limit * share).max(1.0);
    }

    fn measure(&mut self, now: Duration, latency: Duration, tokens: u64) {
        let size = tokens as f64 + TOKENS_OF_A_REQUEST;
        let pace = latency.as_secs_f64() / size;
        let best = self.best.map_or(pace, |(best, then)| {
            let passed = now.saturating_sub(then).as_secs_f64();
            pace.min(best * (1.0 + DRIFT * passed))
        });
        self.best = Some((best, now));
        let beyond_noise = latency.saturating_sub(NOISE).as_secs_f64() / size;
        let slowness = if best > 0.0 { beyond_noise / best } else { 1.0 };
        self.slowness += 0.1 * (slowness - self.slowness);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A teacher with `places`: more in flight wait for one another.
    fn round(concurrency: &mut Concurrency, now: &mut Duration, places: usize, seconds: f64) {
        let in_flight = concurrency.limit();
        let latency = seconds * (in_flight as f64 / places as f64).max(1.0);
        let begun = *now;
        *now += Duration::from_secs_f64(latency);
        concurrency.begun(begun, in_flight);
        for _ in 0..in_flight {
            concurrency.answered(begun, *now, 100);
        }
    }

    #[test]
    fn it_climbs_to_the_limit_while_answers_are_good() {
        let (mut concurrency, mut now) = (Concurrency::new(100), Duration::ZERO);
        for _ in 0..5 {
            round(&mut concurrency, &mut now, 1000, 1.0);
        }
        assert_eq!(concurrency.limit(), 100);
    }

    #[test]
    fn it_stays_near_what_a_slow_teacher_has_places_for() {
        let (mut concurrency, mut now) = (Concurrency::new(4096), Duration::ZERO);
        for _ in 0..60 {
            round(&mut concurrency, &mut now, 16, 2.0);
        }
        let limit = concurrency.limit();
        assert!((16..=16 * 4).contains(&limit), "{limit}");
    }

    #[test]
    fn a_round_of_refusals_cuts_once_and_growth_is_slow_afterwards() {
        let mut concurrency = Concurrency::new(64);
        let mut now = Duration::ZERO;
        for _ in 0..4 {
            round(&mut concurrency, &mut now, 1000, 1.0);
        }
        assert_eq!(concurrency.limit(), 64);
        for _ in 0..64 {
            concurrency.refused(now, now + Duration::from_secs(1));
        }
        assert_eq!(concurrency.limit(), 32);
        now += Duration::from_secs(2);
        round(&mut concurrency, &mut now, 1000, 1.0);
        assert!(
            (32..=33).contains(&concurrency.limit()),
            "{}",
            concurrency.limit()
        );
    }

    #[test]
    fn it_never_falls_below_one_nor_grows_without_use() {
        let mut concurrency = Concurrency::new(64);
        for second in 0..20 {
            let now = Duration::from_secs(second);
            concurrency.refused(now, now + Duration::from_millis(500));
        }
        assert_eq!(concurrency.limit(), 1);
        let mut idle = Concurrency::new(64);
        for second in 0..100 {
            let now = Duration::from_secs(second);
            idle.begun(now, 1);
            idle.answered(now, now + Duration::from_millis(500), 10);
        }
        assert_eq!(idle.limit(), FIRST as usize);
    }
}
