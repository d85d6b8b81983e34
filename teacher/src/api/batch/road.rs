//! From what is open to what is done.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use limbeck_store::{Batch, BatchOutcome, BatchResults, BatchState, Store};
use tokio_util::sync::CancellationToken;

use super::call::Service;
use super::{BatchDoubt, BatchNotice, BatchOptions, BatchReporters, BatchSummary};
use crate::harvest::pending::{Pending, Question};
use crate::wire::{RemoteBatch, RemoteEnd, RemotePhase};
use crate::{AskError, HarvestError, HarvestPlan, HarvestSummary};

/// A harvest in batches under way.
pub(super) struct Road<'a> {
    pub(super) store: &'a Store,
    pub(super) service: Service<'a>,
    pub(super) plan: &'a HarvestPlan,
    pub(super) options: BatchOptions,
    pub(super) reporters: &'a BatchReporters,
    pub(super) cancel: &'a CancellationToken,
    /// Batches of which not all is known.
    pub(super) open: Vec<Batch>,
    /// Trace ids of what this run has handed over, or passed over because its prompt was erased.
    pub(super) submitted: HashSet<String>,
    /// Nothing is handed over until a batch has ended.
    pub(super) crowded: bool,
    /// A batch has ended since the last look, which makes room for others.
    pub(super) freed: bool,
    /// Questions that were handed over in vain are to be handed over again.
    pub(super) look_again: bool,
    /// Batches in a row that the service was sent and never had.
    pub(super) lost: u32,
    /// Why it is not known where a batch is, as it was told last, by its number.
    pub(super) doubts: HashMap<i64, BatchDoubt>,
    /// Trace ids of what nobody worked on and was not handed over again since.
    pub(super) unanswered: HashSet<String>,
    pub(super) summary: HarvestSummary,
    pub(super) begun: Instant,
}

impl<'a> Road<'a> {
    pub(super) fn new(
        store: &'a Store,
        service: Service<'a>,
        plan: &'a HarvestPlan,
        options: BatchOptions,
        reporters: &'a BatchReporters,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            store,
            service,
            plan,
            options,
            reporters,
            cancel,
            open: Vec::new(),
            submitted: HashSet::new(),
            crowded: false,
            freed: false,
            look_again: false,
            lost: 0,
            doubts: HashMap::new(),
            unanswered: HashSet::new(),
            summary: HarvestSummary {
                prompts: 0,
                asked: 0,
                reused: 0,
                failed: 0,
                left_out: 0,
                erased: 0,
                prompt_tokens: 0,
                completion_tokens: 0,
                seconds: 0.0,
                interrupted: false,
            },
            begun: Instant::now(),
        }
    }

    pub(super) fn summary(&self) -> BatchSummary {
        let unknown = || self.open.iter().filter(|batch| batch.fate_is_unknown());
        BatchSummary {
            unknown_batches: unknown().count() as u64,
            unknown: unknown().map(Batch::open).sum(),
            harvest: HarvestSummary {
                seconds: self.begun.elapsed().as_secs_f64(),
                ..self.summary
            },
            open_batches: self.open.len() as u64,
            open: self.open.iter().map(Batch::open).sum(),
            unanswered: self.unanswered.len() as u64,
        }
    }

    pub(super) async fn run(&mut self) -> Result<(), HarvestError> {
        let result = self.all().await;
        if let Err(HarvestError::Teacher {
            source: AskError::Cancelled,
            ..
        }) = result
        {
            self.summary.interrupted = true;
            return Ok(());
        }
        result
    }

    async fn all(&mut self) -> Result<(), HarvestError> {
        self.resume().await?;
        let mut queue = self.look(true).await?;
        loop {
            self.submit(&mut queue).await?;
            if self.open.is_empty() {
                // What was cut off is asked for with a larger limit, once that is known.
                self.crowded = false;
                queue = self.look(false).await?;
                if queue.is_empty() || !self.options.submit {
                    return Ok(());
                }
                self.stop_if_cancelled()?;
                continue;
            }
            self.stop_if_cancelled()?;
            self.poll_all().await?;
            if self.freed || self.look_again {
                if self.crowded || self.look_again {
                    (self.crowded, self.look_again) = (false, false);
                    queue = self.look(false).await?;
                }
                self.freed = false;
                continue;
            }
            if !self.options.wait || self.begun.elapsed() >= self.options.patience {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {}
                () = tokio::time::sleep(self.options.poll) => {}
            }
        }
    }

    /// Takes up what earlier runs handed over.
    async fn resume(&mut self) -> Result<(), HarvestError> {
        let teacher = crate::Teacher::identity(self.service.teacher).key();
        for batch in self.store.open_batches(&teacher).await? {
            // It was still being written down; the service has heard nothing of it.
            if batch.state == BatchState::Submitting && batch.sent_at.is_none() {
                self.store.end_batch(batch.number, 0).await?;
                continue;
            }
            let requests = self.store.batch_requests(batch.number).await?;
            let open = requests.iter().filter(|request| request.outcome.is_none());
            let most = open.map(|request| request.most_nano_usd).sum();
            self.service.teacher.purse.hold(most);
            self.notice(&BatchNotice::Resumed {
                id: batch.remote_id.clone(),
                open: batch.open(),
            });
            self.open.push(batch);
        }
        Ok(())
    }

    /// What is to be handed over: no answer, in no open batch, not handed over before in this run, and not failed
    /// before in a way that speaks against asking again.
    async fn look(&mut self, first: bool) -> Result<VecDeque<Question>, HarvestError> {
        let teacher = crate::Teacher::identity(self.service.teacher).key();
        let pending = Pending::find(self.store, &teacher, self.plan).await?;
        if first {
            self.summary.prompts = pending.prompts;
            self.summary.reused = pending.reused;
            let total = pending.reused + pending.questions.len() as u64;
            self.reporters.harvest.started(total, pending.reused);
        }
        let mut left_out = pending.left_out;
        let mut queue = VecDeque::new();
        let ids = self.plan.trace_ids(&teacher);
        for questions in pending.questions.chunks(1000) {
            let ids = ids.of_all(questions);
            let outcomes = self.store.batch_outcomes(&ids).await?;
            let failed = self.store.last_failures(&ids).await?;
            for (question, id) in questions.iter().zip(&ids) {
                let asked_again = || {
                    let kind = failed.get(id);
                    kind.is_some_and(|kind| self.plan.retry_failed.contains(kind))
                };
                match outcomes.get(id) {
                    Some(None) => {}
                    _ if self.submitted.contains(id) => {}
                    Some(Some(BatchOutcome::Failed)) if !asked_again() => left_out += 1,
                    _ => queue.push_back(*question),
                }
            }
        }
        if first {
            self.summary.left_out = left_out;
        }
        Ok(queue)
    }

    /// Asks how far each batch is, and collects what has ended.
    async fn poll_all(&mut self) -> Result<(), HarvestError> {
        let mut index = 0;
        while index < self.open.len() {
            self.stop_if_cancelled()?;
            if self.open[index].remote_id.is_none() {
                self.find(index).await?;
            }
            if self
                .open
                .get(index)
                .is_some_and(|batch| batch.remote_id.is_some())
                && self.poll(index).await?
            {
                continue;
            }
            index += 1;
        }
        self.open.retain(|batch| batch.state != BatchState::Ended);
        Ok(())
    }

    /// Whether the batch has ended; then it is no longer among the open ones.
    async fn poll(&mut self, index: usize) -> Result<bool, HarvestError> {
        let batch = &self.open[index];
        let Some(id) = batch.remote_id.clone() else {
            return Ok(false);
        };
        let told = self
            .service
            .call(&self.service.calls().poll(&id), self.cancel)
            .await;
        let preset = self.service.teacher.options.preset;
        let told = told.and_then(|value| {
            RemoteBatch::read(preset, &value).map_err(|failure| self.service.give_up(failure, 1))
        });
        let remote = match told {
            Ok(remote) => remote,
            // One that was just handed over may not be known everywhere at the service.
            Err(error) if error.kind() == "not-found" => {
                if !self.is_past_doubt(batch.submitted_at.as_deref()) {
                    self.notice(&BatchNotice::NotTold {
                        id: Some(id),
                        why: error.in_full(),
                    });
                    return Ok(false);
                }
                return Err(self.teacher_error(unknown(&id)));
            }
            Err(error) => return self.not_told(Some(id), error).map(|()| false),
        };
        let end = match remote.phase.clone() {
            RemotePhase::Running => None,
            RemotePhase::Ended(end) => Some(end),
        };
        let (number, moved) = (batch.number, has_moved(batch, &remote));
        self.store
            .batch_is_at(number, &remote.state, remote.done, end.is_some())
            .await?;
        if moved && end.is_none() {
            self.notice(&BatchNotice::Moved {
                id,
                state: remote.state.clone(),
                done: remote.done,
                requests: batch.requests,
            });
        }
        self.refresh(index).await?;
        match end {
            None => Ok(false),
            Some(RemoteEnd::Rejected { why, crowded }) => {
                self.rejected(index, &why, crowded).await?;
                Ok(true)
            }
            Some(end) => self.collect(index, &remote, &end).await,
        }
    }

    /// A failure to hear of a batch is nothing to give up for, unless it would repeat itself.
    #[expect(
        clippy::result_large_err,
        reason = "the errors of a harvest are as large everywhere"
    )]
    pub(super) fn not_told(&self, id: Option<String>, error: AskError) -> Result<(), HarvestError> {
        if matches!(error, AskError::Cancelled) || error.is_fatal() {
            return Err(self.teacher_error(error));
        }
        self.notice(&BatchNotice::NotTold {
            id,
            why: error.in_full(),
        });
        Ok(())
    }

    /// Keeps results, and tells of them.
    pub(super) async fn keep(
        &mut self,
        number: i64,
        results: BatchResults,
        costs: &[(String, u64, u64)],
    ) -> Result<(), HarvestError> {
        let kept = self.store.record_batch(number, results).await?;
        let answered = kept.answered.iter().map(|answered| answered.key.id());
        let failed = kept.failed.iter().chain(&kept.unanswered);
        let ids: HashSet<String> = answered
            .chain(failed.map(|attempt| attempt.trace_id.clone()))
            .collect();
        for (_, most, cost) in costs.iter().filter(|(id, ..)| ids.contains(id)) {
            self.service.teacher.purse.settle(*most, *cost);
        }
        let reporter = &self.reporters.harvest;
        for answered in &kept.answered {
            self.summary.asked += 1;
            self.summary.prompt_tokens += u64::from(answered.trace.prompt_tokens);
            self.summary.completion_tokens += u64::from(answered.trace.completion_tokens);
            reporter.answered(answered);
        }
        for attempt in kept.failed.iter().chain(&kept.unanswered) {
            self.summary.asked += 1;
            self.summary.failed += 1;
            reporter.failed(attempt);
        }
        let ids = kept.unanswered.into_iter().map(|attempt| attempt.trace_id);
        self.unanswered.extend(ids);
        Ok(())
    }

    /// Reads again how a batch stands.
    pub(super) async fn refresh(&mut self, index: usize) -> Result<(), HarvestError> {
        if let Some(batch) = self.store.batch(self.open[index].number).await? {
            self.open[index] = batch;
        }
        Ok(())
    }

    #[expect(
        clippy::result_large_err,
        reason = "the errors of a harvest are as large everywhere"
    )]
    pub(super) fn stop_if_cancelled(&self) -> Result<(), HarvestError> {
        if self.cancel.is_cancelled() {
            return Err(self.teacher_error(AskError::Cancelled));
        }
        Ok(())
    }

    pub(super) fn teacher_error(&self, source: AskError) -> HarvestError {
        HarvestError::Teacher {
            teacher: self.service.teacher.options.name.clone(),
            source,
        }
    }

    pub(super) fn notice(&self, notice: &BatchNotice) {
        self.reporters.batches.notice(notice);
    }
}

fn unknown(id: &str) -> AskError {
    AskError::Other {
        kind: "batch-unknown".to_owned(),
        message: format!("the service has no batch `{id}`"),
        fatal: true,
    }
}

fn has_moved(batch: &Batch, remote: &RemoteBatch) -> bool {
    batch.remote_state.as_deref() != Some(&remote.state) || batch.remote_done != remote.done
}
