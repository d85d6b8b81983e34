//! Waiting for one's turn under the limits of one key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::spend::{Affordable, NanoUsd, Purse};
use super::state::{Demand, Refusal, State, Taken, Turn, Used};
use crate::wire::RateSignals;

/// Times count from so long before the start, so that what earlier runs did has a time as well.
const BEFORE_THE_START: Duration = Duration::from_hours(48);

/// The limits of one key. Whoever comes first is served first; whoever gives up has taken nothing.
pub(crate) struct Pacer {
    state: Mutex<State>,
    purse: Arc<Purse>,
    /// Only its holder looks whether it may begin. The lock is fair, so this is the queue.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
    started: Instant,
}

/// Why a request was not begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NotBegun {
    Cancelled,
    Refused(Refusal),
}

/// What one key has used, and what it may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Each limit with what counts against it now and what it allows.
    pub limits: Vec<(&'static str, u64, u64)>,
    /// Requests under way.
    pub in_flight: usize,
    /// How many may be at present.
    pub concurrency: Option<usize>,
    /// For how long nothing is begun because the teacher asked for it.
    pub paused: Duration,
}

impl Pacer {
    /// See [`State::new`] for `adaptive`. Keys of one teacher share a `purse`.
    pub(crate) fn new(limits: &Limits, adaptive: bool, purse: Arc<Purse>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(limits, adaptive, BEFORE_THE_START)),
            purse,
            turn: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            started: Instant::now(),
        })
    }

    /// Waits until a request may be begun that uses at most `demand`, and counts it.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        demand: Demand,
        cancel: &CancellationToken,
    ) -> Result<Reservation, NotBegun> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(NotBegun::Cancelled),
            reserved = self.wait_and_take(demand) => reserved.map_err(NotBegun::Refused),
        }
    }

    async fn wait_and_take(self: &Arc<Self>, demand: Demand) -> Result<Reservation, Refusal> {
        let _turn = self.turn.lock().await;
        loop {
            // From here on a change is noticed, also one between the look and the wait.
            let (changed, paid) = (self.changed.notified(), self.purse.changed.notified());
            tokio::pin!(changed, paid);
            changed.as_mut().enable();
            paid.as_mut().enable();
            let wait = match self.look(&demand) {
                Ok(taken) => {
                    return Ok(Reservation {
                        pacer: self.clone(),
                        taken: Some(taken),
                    });
                }
                Err(Turn::Never(refusal)) => return Err(refusal),
                Err(Turn::In(wait)) => Some(wait),
                Err(Turn::Now | Turn::AfterAnother) => None,
            };
            let timer = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = changed => {}
                () = paid => {}
            }
        }
    }

    /// Takes what is demanded if it may be had now.
    fn look(&self, demand: &Demand) -> Result<Taken, Turn> {
        let mut state = self.lock();
        let mut spend = self.purse.lock();
        match spend.affordable(demand.cost) {
            Affordable::Yes => {}
            Affordable::Later => return Err(Turn::AfterAnother),
            Affordable::Never => {
                return Err(Turn::Never(Refusal::CapReached {
                    cap: spend.cap.unwrap_or_default(),
                    spent: spend.spent,
                    cost: demand.cost,
                }));
            }
        }
        let now = self.now();
        match state.turn(now, demand) {
            Turn::Now => {
                spend.reserve(demand.cost);
                Ok(state.take(now, *demand))
            }
            other => Err(other),
        }
    }

    /// Begins nothing for so long, counted from now; a pause that lasts longer already stays.
    pub(crate) fn pause(&self, wait: Duration) {
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(self.now().saturating_add(wait));
    }

    /// For how long nothing is begun.
    pub(crate) fn paused(&self) -> Duration {
        self.lock().paused_until.saturating_sub(self.now())
    }

    /// Obeys what a response says about limits: what is used up is waited for, and what is tighter than declared
    /// holds from now on.
    pub(crate) fn obey(&self, signals: &RateSignals) {
        for window in &signals.windows {
            if let (Some(span), Some(limit)) = (window.span, window.limit) {
                self.lock().tighten(window.measure, span, limit);
            }
            if let (Some(0), Some(reset)) = (window.remaining, window.reset) {
                self.pause(reset);
            }
        }
        if let Some(wait) = signals.retry_after {
            self.pause(wait);
        }
    }

    /// Counts requests of earlier runs, the oldest first: how long ago each was, and what it used.
    pub(crate) fn remember(&self, requests: impl IntoIterator<Item = (Duration, Demand)>) {
        let mut state = self.lock();
        let now = self.now();
        for (ago, used) in requests {
            state.remember(now.saturating_sub(ago), &used);
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut state = self.lock();
        let now = self.now();
        Usage {
            limits: state.usage(now),
            in_flight: state.in_flight,
            concurrency: state.concurrency.as_ref().map(super::Concurrency::limit),
            paused: state.paused_until.saturating_sub(now),
        }
    }

    fn now(&self) -> Duration {
        BEFORE_THE_START + self.started.elapsed()
    }

    /// Nothing that holds it can panic half-way, so the poison is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one request. Dropped without a word it counts as if all that was reserved had been used: its
/// request may be on its way.
pub(crate) struct Reservation {
    pacer: Arc<Pacer>,
    taken: Option<Taken>,
}

impl Reservation {
    /// An answer came that used `used`.
    pub(crate) fn answered(mut self, used: Demand) {
        self.end(Used::Known(used), |concurrency, begun, now| {
            concurrency.answered(begun, now, used.output_tokens);
        });
    }

    /// No answer came. `overloaded`: because the teacher has too much to do. Returns what it counts as.
    pub(crate) fn failed(mut self, used: Used, overloaded: bool) -> NanoUsd {
        self.end(used, |concurrency, begun, now| {
            if overloaded {
                concurrency.refused(begun, now);
            }
        })
    }

    fn end(
        &mut self,
        used: Used,
        learn: impl FnOnce(&mut super::Concurrency, Duration, Duration),
    ) -> NanoUsd {
        let Some(taken) = self.taken.take() else {
            return 0;
        };
        let pacer = &self.pacer;
        let mut state = pacer.lock();
        let now = pacer.now();
        if let Some(concurrency) = &mut state.concurrency {
            learn(concurrency, taken.begun, now);
        }
        state.settle(&taken, used);
        drop(state);
        let cost = used.of(&taken.demand).cost;
        pacer.purse.settle(taken.demand.cost, cost);
        pacer.changed.notify_waiters();
        cost
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(Used::Unknown, |_, _, _| {});
    }
}
