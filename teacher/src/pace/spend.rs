//! What requests cost, and a cap on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::limits::Limits;
use super::state::Refusal;

/// Money in billionths of a US dollar: whole numbers add up without rounding.
pub type NanoUsd = u64;

/// What a teacher takes for its tokens, in US dollars a million.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For a million tokens read.
    pub input: f64,
    /// For a million tokens written, reasoning included.
    pub output: f64,
    /// For a million tokens read from the provider's cache; as `input` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
}

impl Price {
    /// What `input` tokens read, `cached` of them from the cache, and `output` tokens written cost; rounded up.
    pub fn cost(&self, input: u64, cached: u64, output: u64) -> NanoUsd {
        let cached = cached.min(input);
        let fresh = input - cached;
        let usd_in_millionths = fresh as f64 * self.input
            + cached as f64 * self.cached_input.unwrap_or(self.input)
            + output as f64 * self.output;
        // A dollar for a million tokens is a thousand billionths for each. Rounding of the product itself must not
        // add one to a whole number.
        (usd_in_millionths * 1000.0 - 1e-3).ceil().max(0.0) as NanoUsd
    }

    /// The price with a discount, such as 0.5 for half of it.
    #[must_use]
    pub fn with_discount(self, discount: f64) -> Self {
        let rest = 1.0 - discount;
        Self {
            input: self.input * rest,
            output: self.output * rest,
            cached_input: self.cached_input.map(|usd| usd * rest),
        }
    }

    /// Whether every price is a number of 0 or more.
    pub fn is_valid(&self) -> bool {
        [
            self.input,
            self.output,
            self.cached_input.unwrap_or_default(),
        ]
        .iter()
        .all(|usd| usd.is_finite() && *usd >= 0.0)
    }
}

/// Billionths of a dollar as dollars.
pub fn usd(nano: NanoUsd) -> f64 {
    nano as f64 / 1e9
}

/// Dollars as billionths, rounded down.
pub(crate) fn nano_usd(usd: f64) -> NanoUsd {
    (usd * 1e9).floor().max(0.0) as NanoUsd
}

/// The money for one teacher, shared by all its keys.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    spend: Mutex<Spend>,
    /// Told when something was settled.
    pub(super) changed: Notify,
}

impl Purse {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let cap = limits.spend_usd.map(nano_usd);
        Arc::new(Self {
            spend: Mutex::new(Spend {
                cap,
                ..Spend::default()
            }),
            changed: Notify::new(),
        })
    }

    /// Counts what earlier runs spent.
    pub(crate) fn remember(&self, spent: NanoUsd) {
        self.lock().spent += spent;
    }

    /// What is spent, in earlier runs as well.
    pub(crate) fn spent(&self) -> NanoUsd {
        self.lock().spent
    }

    /// Sets money aside for requests that an earlier run sent, whether the cap allows it or not.
    pub(crate) fn hold(&self, cost: NanoUsd) {
        self.lock().reserve(cost);
    }

    /// Sets money aside for a request if the cap allows it.
    ///
    /// # Errors
    /// The [`Refusal`] where it does not; while money is set aside for others, it may later.
    pub(crate) fn try_reserve(&self, cost: NanoUsd) -> Result<(), Refusal> {
        let mut spend = self.lock();
        if spend.affordable(cost) == Affordable::Yes {
            spend.reserve(cost);
            return Ok(());
        }
        Err(Refusal::CapReached {
            cap: spend.cap.unwrap_or_default(),
            spent: spend.spent,
            cost,
        })
    }

    /// What was set aside is free again, and `cost` of it is spent.
    pub(crate) fn settle(&self, reserved: NanoUsd, cost: NanoUsd) {
        self.lock().settle(reserved, cost);
        self.changed.notify_waiters();
    }

    /// Nothing that holds it can panic half-way, so the poison is ignored.
    pub(super) fn lock(&self) -> MutexGuard<'_, Spend> {
        self.spend.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is spent, and what may still be by requests that are under way.
#[derive(Debug, Default)]
pub(super) struct Spend {
    pub(super) cap: Option<NanoUsd>,
    pub(super) spent: NanoUsd,
    pub(super) reserved: NanoUsd,
}

/// Whether a request may be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affordable {
    Yes,
    /// Perhaps, when requests under way turn out cheaper than they might have been.
    Later,
    Never,
}

impl Spend {
    pub(super) fn affordable(&self, cost: NanoUsd) -> Affordable {
        let Some(cap) = self.cap else {
            return Affordable::Yes;
        };
        if self.spent + self.reserved + cost <= cap {
            Affordable::Yes
        } else if self.reserved > 0 && self.spent + cost <= cap {
            Affordable::Later
        } else {
            Affordable::Never
        }
    }

    pub(super) fn reserve(&mut self, cost: NanoUsd) {
        self.reserved += cost;
    }

    pub(super) fn settle(&mut self, reserved: NanoUsd, cost: NanoUsd) {
        self.reserved -= reserved;
        self.spent += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_per_million_and_round_up() {
        let price = Price {
            input: 0.27,
            output: 1.1,
            cached_input: Some(0.07),
        };
        assert_eq!(price.cost(1_000_000, 0, 0), 270_000_000);
        assert_eq!(price.cost(0, 0, 1_000_000), 1_100_000_000);
        assert_eq!(price.cost(1000, 400, 10), 600 * 270 + 400 * 70 + 11_000);
        assert_eq!(
            price.cost(10, 400, 0),
            700,
            "no more is cached than was read"
        );
        let fraction = Price {
            input: 0.0001,
            output: 0.0,
            cached_input: None,
        };
        assert_eq!(fraction.cost(1, 0, 0), 1);
    }

    #[test]
    fn the_cap_holds_in_the_worst_case_and_refunds_count() {
        let mut spend = Spend {
            cap: Some(100),
            ..Spend::default()
        };
        assert_eq!(spend.affordable(101), Affordable::Never);
        spend.reserve(60);
        assert_eq!(spend.affordable(40), Affordable::Yes);
        assert_eq!(spend.affordable(41), Affordable::Later);
        spend.settle(60, 30);
        assert_eq!(spend.affordable(70), Affordable::Yes);
        assert_eq!(spend.affordable(71), Affordable::Never);
    }
}
