//! Who is told how a harvest goes.

use limbeck_store::{Answered, Attempt};

use super::HarvestSummary;

/// Watches a harvest. Called from the task that writes, so it should return quickly.
///
/// An answer or a failure is told only after it was committed to the store.
pub trait HarvestReporter: Send + Sync {
    /// The harvest begins: `total` answers are wanted, of which the store holds `reused` already.
    fn started(&self, total: u64, reused: u64);
    /// An answer is in the store.
    fn answered(&self, answered: &Answered);
    /// A question that got no answer is in the store's record of failures.
    fn failed(&self, attempt: &Attempt);
    /// The harvest is over: done, interrupted, or given up by the teacher.
    fn finished(&self, summary: &HarvestSummary);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentReporter;

impl HarvestReporter for SilentReporter {
    fn started(&self, _total: u64, _reused: u64) {}
    fn answered(&self, _answered: &Answered) {}
    fn failed(&self, _attempt: &Attempt) {}
    fn finished(&self, _summary: &HarvestSummary) {}
}
