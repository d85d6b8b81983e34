//! Asking in batches: many questions are handed to a service in one piece, and their answers come within a day, at a
//! lower price.
//!
//! - [`call`]: one call to the service
//! - [`submit`]: what has no answer is written down, kept, and handed over
//! - [`find`]: a batch whose name never arrived is looked for at the service
//! - [`collect`]: its results are read and kept, [`lines`]: piece by piece, [`kept`]: as what
//! - [`decide`]: what a person asks of a batch
//! - [`road`]: all of it, from what is open to what is done
//!
//! A batch is in the store before it is sent. Whatever ends the process, the next one finds there what is at the
//! service, asks for it by its name (or looks for it), and hands over again only what the service never had. What
//! becomes of a request is written together with its answer, so that a collection that was cut off goes on.

mod call;
mod collect;
mod decide;
mod find;
mod kept;
mod lines;
mod road;
mod submit;

use std::sync::Arc;
use std::time::Duration;

use limbeck_store::Store;
use tokio_util::sync::CancellationToken;

use self::call::Service;
pub use self::decide::{cancel_batch, forget_batch, poll_batch};
use self::road::Road;
use super::ApiTeacher;
use crate::{AskError, HarvestError, HarvestPlan, HarvestReporter, HarvestSummary};

/// How questions are handed over in batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchOptions {
    /// The most requests in one batch; the service's own limits hold as well.
    pub size: usize,
    /// How often the service is asked how far it is.
    pub poll: Duration,
    /// How long to wait for all of them; what is open then stays open, for the next run.
    pub patience: Duration,
    /// How long after it was sent a batch of which no word came back must be missing from the service's list until it
    /// counts as never arrived, and its questions are handed over again.
    pub resend_after: Duration,
    /// Whether to wait at all: without it the service is asked once.
    pub wait: bool,
    /// Whether new batches are handed over. Without it, only those that are open are collected.
    pub submit: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            size: 5000,
            poll: Duration::from_mins(1),
            patience: Duration::from_hours(26),
            resend_after: Duration::from_hours(6),
            wait: true,
            submit: true,
        }
    }
}

/// How a harvest in batches went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchSummary {
    /// What was answered and what failed in this run, as of any other harvest.
    pub harvest: HarvestSummary,
    /// Batches that are still open.
    pub open_batches: u64,
    /// Requests in them.
    pub open: u64,
    /// Open batches of which it is not known whether the service has them.
    pub unknown_batches: u64,
    /// Requests in these.
    pub unknown: u64,
    /// Requests that nobody worked on, because their batch expired or was cancelled: the next run asks them again.
    pub unanswered: u64,
}

impl BatchSummary {
    /// Whether another run has something to do that this one left.
    pub fn is_unfinished(&self) -> bool {
        self.open > 0 || self.unanswered > 0
    }
}

/// Something that a person should know while batches are under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchNotice {
    /// The service has taken a batch.
    Submitted {
        /// The service's name for it.
        id: String,
        /// Requests in it.
        requests: u64,
    },
    /// A batch that an earlier run handed over is waited for.
    Resumed {
        /// The service's name for it; `None` where it is not known whether the service has it.
        id: Option<String>,
        /// Requests in it of which nothing is known yet.
        open: u64,
    },
    /// A batch whose name had never arrived was found at the service.
    Found {
        /// The service's name for it.
        id: String,
    },
    /// It is not known whether the service has a batch that it was sent; it is looked for again.
    Unknown {
        /// Its number in the store.
        number: i64,
        /// Requests in it.
        requests: u64,
        /// Why.
        doubt: BatchDoubt,
    },
    /// A batch that was to be handed over is not at the service; its questions are asked again.
    Lost {
        /// Requests in it.
        requests: u64,
    },
    /// What the service says of a batch has changed.
    Moved {
        /// The service's name for it.
        id: String,
        /// In the service's words.
        state: String,
        /// Requests that it is done with, as it counts them.
        done: Option<u64>,
        /// Requests in it.
        requests: u64,
    },
    /// All that the service has to say of a batch is kept.
    Ended {
        /// The service's name for it.
        id: String,
        /// Requests that were answered.
        answered: u64,
        /// Requests that failed.
        failed: u64,
        /// Requests that nobody worked on.
        unanswered: u64,
        /// Lines of its results that were not kept: of unknown or doubled ids, or unreadable.
        odd_lines: u64,
    },
    /// The service has as much to do as it takes; the rest is handed over when something of it has ended.
    Crowded {
        /// What it says.
        why: String,
    },
    /// The service could not be asked how far a batch is; it is asked again.
    NotTold {
        /// The service's name for it, if it is known.
        id: Option<String>,
        /// Why.
        why: String,
    },
}

/// Why it is not known whether the service has a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchDoubt {
    /// The service does not list it. If that is still so then, it counts as never arrived.
    NotListed {
        /// How long until then.
        left: Duration,
    },
    /// The service's list could not be seen whole, so that what is not in it may be there nevertheless.
    ListNotWhole,
    /// This batch may be it, which shows when it has ended.
    PerhapsThis {
        /// The service's name for it.
        id: String,
    },
    /// This batch may be it, and its results do not tell.
    Untold {
        /// The service's name for it.
        id: String,
    },
}

/// Is told of what happens beside answers and failures.
pub trait BatchWatcher: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: &BatchNotice);
}

/// Tells nobody.
impl BatchWatcher for super::SilentWatcher {
    fn notice(&self, _notice: &BatchNotice) {}
}

/// Who is told how a harvest in batches goes.
#[derive(Clone)]
pub struct BatchReporters {
    /// Of answers and failures.
    pub harvest: Arc<dyn HarvestReporter>,
    /// Of batches.
    pub batches: Arc<dyn BatchWatcher>,
}

/// Asks `teacher` everything in `plan` that `store` has no answer to, in batches: first what earlier runs handed over
/// is waited for, and what is in no batch is handed over beside it.
///
/// When `cancel` is cancelled nothing more is handed over or read, and the summary says `interrupted`; what is at the
/// service goes on there. No question is handed over twice in one run, and none that is in an open batch. One that
/// failed in a batch is handed over again only where the plan says so; one that nobody worked on, by the next run.
///
/// # Errors
/// [`HarvestError`]; answers that came before it are kept, and open batches stay open.
pub async fn harvest_in_batches(
    store: &Store,
    teacher: &ApiTeacher,
    plan: &HarvestPlan,
    options: BatchOptions,
    reporters: BatchReporters,
    cancel: CancellationToken,
) -> Result<BatchSummary, HarvestError> {
    let Some(service) = Service::of(teacher) else {
        return Err(HarvestError::Teacher {
            teacher: teacher.options.name.clone(),
            source: AskError::Unreachable {
                endpoints: Vec::new(),
            },
        });
    };
    let mut road = Road::new(store, service, plan, options, &reporters, &cancel);
    let ended = road.run().await;
    let summary = road.summary();
    // What is open is as little done as what was interrupted.
    reporters.harvest.finished(&HarvestSummary {
        interrupted: summary.harvest.interrupted || summary.open > 0,
        ..summary.harvest
    });
    ended.map(|()| summary)
}
