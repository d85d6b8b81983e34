//! How fast a teacher may be asked.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::LimitError;

/// The limits that one teacher sets. Both hold from the first second on: nothing is asked in a burst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Questions that may be worked on at the same time.
    #[serde(default = "default_concurrent")]
    pub concurrent: usize,
    /// Questions that may be begun in a minute, evenly spread; `None` for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
}

impl Limits {
    /// As a receipt tells them: a limit that is not set is `null`.
    pub(crate) fn for_receipts(&self) -> serde_json::Value {
        serde_json::json!({
            "concurrent": self.concurrent,
            "requests_per_minute": self.requests_per_minute,
        })
    }
}

fn default_concurrent() -> usize {
    8
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent: default_concurrent(),
            requests_per_minute: None,
        }
    }
}

/// The right to work on one question; it ends when it is dropped.
pub(crate) type Permit = OwnedSemaphorePermit;

/// Lets questions through no faster than [`Limits`] say.
pub(crate) struct Limiter {
    places: Arc<Semaphore>,
    rate: Option<Rate<MonotonicClock>>,
}

impl Limiter {
    /// `queue_ahead`: see [`Teacher::queue_ahead`](crate::Teacher::queue_ahead).
    pub(crate) fn new(limits: &Limits, queue_ahead: usize) -> Result<Self, LimitError> {
        if limits.concurrent == 0 {
            return Err(LimitError {
                field: "concurrent",
            });
        }
        let rate = limits
            .requests_per_minute
            .map(|requests| Rate::per_minute(requests, MonotonicClock))
            .transpose()?;
        let places = limits
            .concurrent
            .saturating_add(queue_ahead)
            .min(Semaphore::MAX_PERMITS);
        Ok(Self {
            places: Arc::new(Semaphore::new(places)),
            rate,
        })
    }

    /// Waits until one more question may be begun.
    ///
    /// Whoever drops the future has taken nothing; two callers at once would be served in no certain order.
    pub(crate) async fn admit(&self) -> Permit {
        let permit = self
            .places
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        if let Some(rate) = &self.rate {
            while let Some(wait) = rate.take() {
                tokio::time::sleep(wait).await;
            }
        }
        permit
    }
}

/// Evenly spread starts: one in each interval and none saved up.
///
/// A wall of our own around `governor`, because limits that need refunds and a fixed order of waiters, such as
/// tokens a minute, will not be built on it.
struct Rate<C: Clock + Clone> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl<C: Clock + Clone> Rate<C> {
    fn per_minute(requests: u32, clock: C) -> Result<Self, LimitError> {
        let requests = NonZeroU32::new(requests).ok_or(LimitError {
            field: "requests_per_minute",
        })?;
        // With the default burst of a whole minute, the first minute would see twice the limit.
        let quota = Quota::per_minute(requests).allow_burst(NonZeroU32::MIN);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Ok(Self { limiter, clock })
    }

    /// Takes the next start if its time has come, else says how long to wait before trying again.
    fn take(&self) -> Option<Duration> {
        let not_until = self.limiter.check().err()?;
        Some(not_until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn starts_are_evenly_spread_from_the_first_on() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::per_minute(120, clock.clone()).unwrap();
        assert_eq!(rate.take(), None, "the first goes at once");
        for _ in 0..5 {
            assert_eq!(rate.take(), Some(Duration::from_millis(500)));
            clock.advance(Duration::from_millis(499));
            assert_eq!(rate.take(), Some(Duration::from_millis(1)));
            clock.advance(Duration::from_millis(1));
            assert_eq!(rate.take(), None);
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::per_minute(60, clock.clone()).unwrap();
        clock.advance(Duration::from_hours(1));
        assert_eq!(rate.take(), None);
        assert_eq!(rate.take(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn no_minute_sees_more_than_its_limit() {
        for requests in [1, 7, 60, 1000] {
            let clock = FakeRelativeClock::default();
            let rate = Rate::per_minute(requests, clock.clone()).unwrap();
            let (mut started, mut elapsed) = (0, Duration::ZERO);
            while elapsed < Duration::from_mins(1) {
                match rate.take() {
                    None => started += 1,
                    Some(wait) => {
                        clock.advance(wait);
                        elapsed += wait;
                    }
                }
            }
            // The start at the very end of the minute belongs to the next one.
            assert!(
                started == requests || started == requests + 1,
                "{started} of {requests}"
            );
        }
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_permit_is_dropped() {
        let limiter = Limiter::new(
            &Limits {
                concurrent: 1,
                requests_per_minute: None,
            },
            1,
        )
        .unwrap();
        let first = limiter.admit().await;
        let _second = limiter.admit().await;
        assert_eq!(limiter.places.available_permits(), 0);
        drop(first);
        let _third = limiter.admit().await;
    }

    #[test]
    fn a_limit_of_nothing_is_an_error_that_names_it() {
        let none = Limits {
            concurrent: 0,
            requests_per_minute: None,
        };
        assert_eq!(
            Limiter::new(&none, 0).err(),
            Some(LimitError {
                field: "concurrent"
            })
        );
        let none = Limits {
            concurrent: 1,
            requests_per_minute: Some(0),
        };
        assert_eq!(
            Limiter::new(&none, 0).err(),
            Some(LimitError {
                field: "requests_per_minute"
            })
        );
    }
}
