//! When a question is put again, and when that is given up.
//!
//! - [`RetryPolicy`]: how often one question, after what wait
//! - [`budget`]: how often all of them together
//! - [`breaker`]: when an endpoint is left alone

mod breaker;
mod budget;

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::LimitError;

pub(crate) use breaker::{Breaker, Door, Slammed};
pub(crate) use budget::RetryBudget;

/// Refusals for rate or overload do no work and are waited for, so a question stands more of them.
const REFUSALS_FOR_EACH_ATTEMPT: u32 = 5;

/// How often a question is put again after a failure that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts at one question, the first included. Those that were refused because the teacher had too much to do
    /// count a fifth.
    pub attempts: u32,
    /// The longest wait before the second attempt, in seconds; it doubles with each further one.
    pub first_wait_s: f64,
    /// The longest wait of all, in seconds.
    pub longest_wait_s: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait_s: 1.0,
            longest_wait_s: 60.0,
        }
    }
}

impl RetryPolicy {
    /// Fails if it would let nothing through.
    pub fn check(&self) -> Result<(), LimitError> {
        let field = |field| Err(LimitError { field });
        let is_time = |seconds: f64| seconds > 0.0 && seconds <= 86_400.0;
        if self.attempts == 0 {
            field("attempts")
        } else if !is_time(self.first_wait_s) {
            field("first_wait_s")
        } else if !is_time(self.longest_wait_s) {
            field("longest_wait_s")
        } else {
            Ok(())
        }
    }

    /// Whether a question is put again that has failed `failed` times, and `refused` times for rate or overload.
    pub(crate) fn goes_on(&self, failed: u32, refused: u32) -> bool {
        failed < self.attempts && refused < self.attempts.saturating_mul(REFUSALS_FOR_EACH_ATTEMPT)
    }

    /// How long to wait after `failures` in a row: anything up to a bound that doubles with each ("full jitter", as in
    /// Brooker, "Exponential Backoff and Jitter", 2015), so that questions which failed together come back apart.
    ///
    /// `seed` is the request's own, which makes the waits of a question the same in every run.
    pub(crate) fn wait(&self, failures: u32, seed: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let bound = (self.first_wait_s * f64::from(1_u32 << doublings)).min(self.longest_wait_s);
        let seed = seed.wrapping_add(u64::from(failures).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let share: f64 = ChaCha8Rng::seed_from_u64(seed).random_range(0.0..1.0);
        Duration::from_secs_f64(bound * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_fill_a_bound_that_doubles_up_to_the_longest() {
        let policy = RetryPolicy::default();
        for (failures, bound) in [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (4000, 60.0)] {
            let waits: Vec<f64> = (0..2000)
                .map(|seed| policy.wait(failures, seed).as_secs_f64())
                .collect();
            let most = waits.iter().copied().fold(0.0, f64::max);
            let mean = waits.iter().sum::<f64>() / waits.len() as f64;
            assert!(most < bound && most > 0.98 * bound, "{most} of {bound}");
            assert!((mean / bound - 0.5).abs() < 0.03, "{mean} of {bound}");
        }
    }

    #[test]
    fn a_question_waits_the_same_in_every_run_and_not_as_another() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.wait(2, 7), policy.wait(2, 7));
        assert_ne!(policy.wait(2, 7), policy.wait(2, 8));
        assert_ne!(policy.wait(1, 7), policy.wait(2, 7));
    }

    #[test]
    fn attempts_are_bounded_and_refusals_count_less() {
        let policy = RetryPolicy {
            attempts: 2,
            ..RetryPolicy::default()
        };
        assert!(policy.goes_on(1, 9));
        assert!(!policy.goes_on(2, 0));
        assert!(!policy.goes_on(0, 10));
    }

    #[test]
    fn nothing_is_an_error_that_names_it() {
        assert_eq!(RetryPolicy::default().check(), Ok(()));
        let none = RetryPolicy {
            first_wait_s: f64::NAN,
            ..RetryPolicy::default()
        };
        assert_eq!(none.check().unwrap_err().field, "first_wait_s");
    }
}
