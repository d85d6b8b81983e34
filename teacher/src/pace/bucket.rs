//! Spreads what a window allows evenly over it.

use std::time::Duration;

/// Fills at a steady rate up to its depth; what is taken must be in it.
///
/// A window alone would let a whole minute's worth through in its first second, which teachers that count over
/// shorter stretches refuse. The depth makes up for moments in which this process was late.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Units a second.
    rate: f64,
    depth: f64,
    level: f64,
    at: Duration,
}

impl Bucket {
    /// Holds `level` at the time `at`.
    pub(super) fn new(rate: f64, depth: f64, level: f64, at: Duration) -> Self {
        Self {
            rate,
            depth,
            level,
            at,
        }
    }

    /// How long until `amount` may be taken, if nothing else is. What is larger than the depth waits for a full
    /// bucket and leaves a debt.
    pub(super) fn wait(&mut self, now: Duration, amount: f64) -> Duration {
        self.fill(now);
        let missing = amount.min(self.depth) - self.level;
        // A level that lacks less than a nanosecond's worth is rounding.
        if missing <= self.rate * 1e-9 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.rate)
            .map_or(Duration::MAX, |wait| wait + Duration::from_nanos(1))
    }

    pub(super) fn take(&mut self, now: Duration, amount: f64) {
        self.fill(now);
        self.level -= amount;
    }

    /// Gives back a part of what was taken, or takes more where it is negative.
    pub(super) fn refund(&mut self, amount: f64) {
        self.level = (self.level + amount).min(self.depth);
    }

    /// Slows down to `rate` units a second.
    pub(super) fn tighten(&mut self, rate: f64) {
        self.rate = self.rate.min(rate);
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.depth);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn units_are_spread_evenly_and_a_late_moment_is_made_up_for() {
        let mut bucket = Bucket::new(2.0, 2.0, 1.0, Duration::ZERO);
        assert_eq!(bucket.wait(at(0.0), 1.0), Duration::ZERO);
        bucket.take(at(0.0), 1.0);
        let wait = bucket.wait(at(0.0), 1.0);
        assert!((wait.as_secs_f64() - 0.5).abs() < 1e-6, "{wait:?}");
        bucket.take(at(10.0), 1.0);
        bucket.take(at(10.0), 1.0);
        assert!(
            bucket.wait(at(10.0), 1.0) > Duration::ZERO,
            "no more than the depth is saved up"
        );
    }

    #[test]
    fn what_is_larger_than_the_depth_leaves_a_debt_that_a_refund_pays() {
        let mut bucket = Bucket::new(1.0, 5.0, 5.0, Duration::ZERO);
        assert_eq!(bucket.wait(at(0.0), 50.0), Duration::ZERO);
        bucket.take(at(0.0), 50.0);
        assert!(bucket.wait(at(0.0), 1.0) > at(45.9));
        bucket.refund(46.0);
        assert_eq!(bucket.wait(at(0.0), 1.0), Duration::ZERO);
    }

    #[test]
    fn the_wait_it_names_is_long_enough() {
        for rate in [0.001, 0.3, 9.85, 1e6] {
            let mut bucket = Bucket::new(rate, 1.05, 0.0, Duration::ZERO);
            let wait = bucket.wait(Duration::ZERO, 1.0);
            assert_eq!(bucket.wait(wait, 1.0), Duration::ZERO, "{rate}");
        }
    }
}
