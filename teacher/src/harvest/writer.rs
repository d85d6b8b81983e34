//! The one task that writes a harvest to the store.

use std::sync::Arc;
use std::time::Duration;

use limbeck_store::{Answered, Attempt, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::HarvestReporter;
use super::asking::Permit;

/// A group is committed when it holds this many records, or some time after its first. A commit waits for the disk,
/// so each answer on its own would let the disk set the pace; what is not committed yet is asked again after a crash.
const GROUP_RECORDS: usize = 512;
/// How long after its first: a teacher in this process goes on meanwhile.
const GROUP_TIME: Duration = Duration::from_millis(250);
/// A service waits for the commit, see [`Record::Answered`]; what comes during a commit makes up the next group.
const SHORT_GROUP_TIME: Duration = Duration::from_millis(4);
/// So many records are not kept waiting for others where somebody waits for the commit.
const ENOUGH_RECORDS: usize = 32;

/// Something to be written.
pub(super) enum Record {
    /// An answer. Where it was paid for, its permit is held until it is on the disk, so that a kill never loses more
    /// answers than may be in flight.
    Answered(Box<Answered>, Option<Permit>),
    /// All tries at a question that failed; at least one.
    Failed(Vec<Attempt>),
    /// Tries at a question that was not asked to its end, because the harvest was stopped.
    Tried(Vec<Attempt>),
}

/// What was committed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

/// The way to the writing task. If it is dropped, the task still commits what it was given.
pub(super) struct Writer {
    records: mpsc::Sender<Record>,
    task: JoinHandle<Result<Written, StoreError>>,
}

/// The writing task has ended with an error, which [`Writer::finish`] returns.
pub(super) struct WriterFailed;

impl Writer {
    /// `at_once`: somebody waits for each commit.
    pub(super) fn spawn(store: Store, reporter: Arc<dyn HarvestReporter>, at_once: bool) -> Self {
        let (records, receiver) = mpsc::channel(GROUP_RECORDS);
        let patience = if at_once {
            Patience {
                time: SHORT_GROUP_TIME,
                enough: ENOUGH_RECORDS,
            }
        } else {
            Patience {
                time: GROUP_TIME,
                enough: GROUP_RECORDS,
            }
        };
        Self {
            records,
            task: tokio::spawn(write_all(store, reporter, receiver, patience)),
        }
    }

    /// Hands a record over, waiting while the disk is behind.
    pub(super) async fn write(&self, record: Record) -> Result<(), WriterFailed> {
        self.records.send(record).await.map_err(|_| WriterFailed)
    }

    /// Waits until everything is committed.
    pub(super) async fn finish(self) -> Result<Written, StoreError> {
        drop(self.records);
        match self.task.await {
            Ok(written) => written,
            // The task is never aborted, so what is left is a panic, which goes on where it was waited for.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// How long a group waits for more records.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// At most so long after its first.
    time: Duration,
    /// Not at all once it holds so many.
    enough: usize,
}

async fn write_all(
    store: Store,
    reporter: Arc<dyn HarvestReporter>,
    mut records: mpsc::Receiver<Record>,
    patience: Patience,
) -> Result<Written, StoreError> {
    let mut written = Written::default();
    while let Some(first) = records.recv().await {
        let group = Group::collect(first, &mut records, patience).await;
        store.record(&group.answered).await?;
        if !group.unanswered.is_empty() {
            store.record_failures(&group.unanswered).await?;
        }
        drop(group.permits);
        for answered in &group.answered {
            written.answered += 1;
            written.prompt_tokens += u64::from(answered.trace.prompt_tokens);
            written.completion_tokens += u64::from(answered.trace.completion_tokens);
            reporter.answered(answered);
        }
        for attempt in &group.failed {
            written.failed += 1;
            reporter.failed(attempt);
        }
    }
    Ok(written)
}

/// What is committed together.
#[derive(Default)]
struct Group {
    answered: Vec<Answered>,
    permits: Vec<Permit>,
    /// Attempts at questions without an answer.
    unanswered: Vec<Attempt>,
    /// The last attempt at each question that failed.
    failed: Vec<Attempt>,
}

impl Group {
    /// Collects what is there and, if that is little, what comes soon after `first`.
    async fn collect(
        first: Record,
        records: &mut mpsc::Receiver<Record>,
        patience: Patience,
    ) -> Self {
        let until = Instant::now() + patience.time;
        let mut group = Self::default();
        let mut next = Some(first);
        while let Some(record) = next {
            match record {
                Record::Answered(record, permit) => {
                    group.answered.push(*record);
                    group.permits.extend(permit);
                }
                Record::Failed(tries) => {
                    group.failed.extend(tries.last().cloned());
                    group.unanswered.extend(tries);
                }
                Record::Tried(tries) => group.unanswered.extend(tries),
            }
            let held = group.answered.len() + group.unanswered.len();
            if held >= GROUP_RECORDS {
                break;
            }
            next = match records.try_recv() {
                Ok(record) => Some(record),
                Err(_) if held >= patience.enough => None,
                Err(_) => timeout_at(until, records.recv()).await.unwrap_or(None),
            };
        }
        group
    }
}
