//! The one task that writes a harvest to the store.

use std::sync::Arc;
use std::time::Duration;

use limbeck_store::{Answered, Attempt, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::HarvestReporter;

/// A group is committed when it holds this many records, or this long after its first. A commit waits for the disk,
/// so each answer on its own would let the disk set the pace; what is not committed yet is asked again after a crash.
const GROUP_RECORDS: usize = 32;
const GROUP_TIME: Duration = Duration::from_millis(250);

/// Something to be written.
pub(super) enum Record {
    Answered(Box<Answered>),
    Failed(Box<Attempt>),
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
    pub(super) fn spawn(store: Store, reporter: Arc<dyn HarvestReporter>) -> Self {
        let (records, receiver) = mpsc::channel(GROUP_RECORDS);
        Self {
            records,
            task: tokio::spawn(write_all(store, reporter, receiver)),
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

async fn write_all(
    store: Store,
    reporter: Arc<dyn HarvestReporter>,
    mut records: mpsc::Receiver<Record>,
) -> Result<Written, StoreError> {
    let mut written = Written::default();
    while let Some(first) = records.recv().await {
        let (answered, failed) = group(first, &mut records).await;
        store.record(&answered).await?;
        if !failed.is_empty() {
            store.record_failures(&failed).await?;
        }
        for answered in &answered {
            written.answered += 1;
            written.prompt_tokens += u64::from(answered.trace.prompt_tokens);
            written.completion_tokens += u64::from(answered.trace.completion_tokens);
            reporter.answered(answered);
        }
        for attempt in &failed {
            written.failed += 1;
            reporter.failed(attempt);
        }
    }
    Ok(written)
}

/// Collects what comes soon after `first`.
async fn group(
    first: Record,
    records: &mut mpsc::Receiver<Record>,
) -> (Vec<Answered>, Vec<Attempt>) {
    let until = Instant::now() + GROUP_TIME;
    let (mut answered, mut failed) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(record) = next {
        match record {
            Record::Answered(record) => answered.push(*record),
            Record::Failed(record) => failed.push(*record),
        }
        if answered.len() + failed.len() == GROUP_RECORDS {
            break;
        }
        next = timeout_at(until, records.recv()).await.unwrap_or(None);
    }
    (answered, failed)
}
