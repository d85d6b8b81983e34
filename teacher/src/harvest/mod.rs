//! The harvest loop: asks what has no answer yet, keeps what comes.
//!
//! - [`pending`]: which questions have no answer in the store
//! - [`ahead`]: the prompts of the next questions
//! - [`asking`]: asks them, as many at a time as the limits allow
//! - [`writer`]: the one task that commits answers, and tells the [`HarvestReporter`] afterwards
//!
//! A killed harvest loses at most the answers of its last, uncommitted group; started again with the same plan it
//! asks for what is missing and for nothing else.

mod ahead;
mod asking;
pub(crate) mod pending;
mod reporter;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::time::Instant;

use limbeck_store::{ContentIds, SamplingParameters, Store};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub(crate) use self::asking::receipt;
use self::asking::{Asking, Ended};
use self::pending::Pending;
use self::writer::Writer;
use crate::{HarvestError, Limits, Teacher};

pub use reporter::{HarvestReporter, SilentReporter};

/// What to ask.
#[derive(Debug, Clone, PartialEq)]
pub struct HarvestPlan {
    /// The prompts, which the store holds, in the order in which they are asked; only their ids, since there may be a
    /// million of them.
    pub prompts: Arc<ContentIds>,
    /// Answers to each prompt.
    pub samples: u32,
    /// How all of them are asked.
    pub parameters: SamplingParameters,
    /// An answer that was cut off is kept, and asked for once more with this many tokens where it is more than
    /// `parameters` allow; `None` leaves it at that.
    pub truncated_max_tokens: Option<u32>,
    /// Kinds of lasting failures (see [`AskError::is_lasting`](crate::AskError::is_lasting)) that are asked again.
    pub retry_failed: Vec<String>,
}

/// How a harvest went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HarvestSummary {
    /// Different prompts in the plan.
    pub prompts: u64,
    /// Questions put to the teacher in this run, those that failed included.
    pub asked: u64,
    /// Answers that the store held already.
    pub reused: u64,
    /// Questions of this run that got no answer.
    pub failed: u64,
    /// Questions that were not asked, because they failed before in a way that would repeat itself.
    #[serde(default)]
    pub left_out: u64,
    /// Questions that were not asked, because their prompts were erased from the store.
    #[serde(default)]
    pub erased: u64,
    /// Tokens of the prompts that were answered in this run.
    pub prompt_tokens: u64,
    /// Tokens of the answers of this run.
    pub completion_tokens: u64,
    /// How long it took.
    pub seconds: f64,
    /// It was cancelled before every question was asked.
    pub interrupted: bool,
}

/// Asks `teacher` everything in `plan` that `store` has no answer to, within `limits`.
///
/// When `cancel` is cancelled nothing more is asked, what is in flight is waited for and kept, and the summary says
/// `interrupted`. A question that fails is recorded and asked again by the next harvest, unless it would fail again; a
/// failure that all others would share, or twenty failures in a row, end the harvest with an error. Whatever way it ends, an answer that was
/// reported is in the store.
///
/// # Errors
/// [`HarvestError`]; answers that came before it are kept.
pub async fn harvest(
    store: &Store,
    teacher: Arc<dyn Teacher>,
    plan: HarvestPlan,
    limits: Limits,
    reporter: Arc<dyn HarvestReporter>,
    cancel: CancellationToken,
) -> Result<HarvestSummary, HarvestError> {
    let begun = Instant::now();
    limits.check()?;
    let pending = Pending::find(store, &teacher.identity().key(), &plan).await?;
    reporter.started(
        pending.reused + pending.questions.len() as u64,
        pending.reused,
    );

    let paid_for = teacher.places().is_some();
    let writer = Writer::spawn(store.clone(), reporter.clone(), paid_for);
    let asking = Asking::new(store, teacher, &limits, &plan, &writer, cancel);
    let ended = asking.run(&pending.questions).await;
    drop(asking);
    let written = writer.finish().await?;
    let (ended, erased) = ended?;

    let summary = HarvestSummary {
        prompts: pending.prompts,
        asked: written.answered + written.failed,
        reused: pending.reused,
        failed: written.failed,
        left_out: pending.left_out,
        erased,
        prompt_tokens: written.prompt_tokens,
        completion_tokens: written.completion_tokens,
        seconds: begun.elapsed().as_secs_f64(),
        interrupted: matches!(ended, Ended::Interrupted),
    };
    reporter.finished(&summary);
    match ended {
        Ended::GaveUp(error) => Err(error),
        // A writer that failed has said so through `finish`.
        Ended::Done | Ended::Interrupted | Ended::WriterFailed => Ok(summary),
    }
}
