//! The results of a batch are read and kept, line by line, in any order.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use limbeck_store::identity::sha256_hex;
use limbeck_store::{Batch, BatchOutcome, BatchRequest, BatchResults};

use super::BatchNotice;
use super::lines::Lines;
use super::road::Road;
use crate::HarvestError;
use crate::wire::{Failure, FailureKind, LineResult, RemoteBatch, RemoteEnd, ResultLine};

/// How many results are kept in one transaction.
const GROUP: usize = 256;

/// What is known while the results of one batch are read.
struct Reading {
    batch: Batch,
    requests: HashMap<String, BatchRequest>,
    /// Ids met in what was read to its end, and in what is being read.
    seen: HashSet<String>,
    seen_here: HashSet<String>,
    /// Lines that are not kept, in the same two.
    odd: u64,
    odd_here: u64,
    group: BatchResults,
    /// Of each in the group: what was set aside for it, and what it cost.
    costs: Vec<(String, u64, u64)>,
    /// Some of the results are no longer at the service.
    gone: bool,
    /// Some of the results broke off, and were not read to their end.
    cut: bool,
}

/// Kinds and reasons of requests that nobody worked on, or of which nothing is known.
const EXPIRED: (&str, &str) = ("expired", "the batch was over before it was answered");
const CANCELLED: (&str, &str) = (
    "cancelled",
    "the batch was cancelled before it was answered",
);
const MISSING: (&str, &str) = (
    "malformed",
    "the results of the batch say nothing of it, though it may have been answered",
);
const GONE: (&str, &str) = (
    "not-found",
    "the results of the batch are no longer at the service",
);

/// Why results could not be read to their end.
enum Cut {
    Failure(Failure),
    Harvest(HarvestError),
}

impl From<HarvestError> for Cut {
    fn from(error: HarvestError) -> Self {
        Self::Harvest(error)
    }
}

impl Road<'_> {
    /// Reads and keeps all that the service has to say of the batch. Whether that was possible; then the batch is no
    /// longer among the open ones.
    pub(super) async fn collect(
        &mut self,
        index: usize,
        remote: &RemoteBatch,
        end: &RemoteEnd,
    ) -> Result<bool, HarvestError> {
        let batch = self.open[index].clone();
        let requests = self.store.batch_requests(batch.number).await?;
        let mut reading = Reading::new(batch, requests);
        let mut failures = 0;
        loop {
            // At the last attempt what is cut off or missing is taken for all that will ever come.
            let retry = &self.service.teacher.options.retry;
            let last = !retry.goes_on(failures + 1, 0);
            let failure = match self.read_all(&mut reading, remote, end, last).await {
                Ok(()) => break,
                Err(Cut::Harvest(error)) => return Err(error),
                Err(Cut::Failure(failure)) => failure,
            };
            self.flush(&mut reading).await?;
            failures += 1;
            let waited = self.service.wait(failure, failures, self.cancel).await;
            if let Err(error) = waited {
                self.refresh(index).await?;
                return self
                    .not_told(Some(remote.id.clone()), error)
                    .map(|()| false);
            }
        }
        self.settle_missing(&mut reading, end);
        self.flush(&mut reading).await?;
        let number = reading.batch.number;
        self.store.end_batch(number, reading.odd).await?;
        self.open.remove(index);
        self.freed = true;
        if let Some(batch) = self.store.batch(number).await? {
            self.notice(&BatchNotice::Ended {
                id: remote.id.clone(),
                answered: batch.answered,
                failed: batch.failed,
                unanswered: batch.unanswered,
                odd_lines: batch.odd_lines,
            });
        }
        Ok(true)
    }

    /// Reads all results from their beginning.
    async fn read_all(
        &mut self,
        reading: &mut Reading,
        remote: &RemoteBatch,
        end: &RemoteEnd,
        last: bool,
    ) -> Result<(), Cut> {
        reading.begin();
        for source in &remote.results {
            self.read_source(reading, source, last).await?;
            reading.source_is_read();
        }
        self.flush(reading).await?;
        let missing = reading.open().count();
        if missing > 0 && *end == RemoteEnd::Completed && !last && !reading.gone {
            let message = format!("{missing} results of the batch are missing");
            return Err(Cut::Failure(Failure::transport(
                FailureKind::Malformed,
                &message,
            )));
        }
        Ok(())
    }

    async fn read_source(
        &mut self,
        reading: &mut Reading,
        source: &str,
        last: bool,
    ) -> Result<(), Cut> {
        let request = self.service.calls().results(source);
        let response = match self.service.open(&request).await {
            Ok(response) => response,
            Err(failed) if failed.failure.kind == FailureKind::NotFound => {
                reading.gone = true;
                return Ok(());
            }
            Err(failed) => return Err(Cut::Failure(failed.failure)),
        };
        let service = self.service;
        let mut lines = Lines::new(service, response);
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(()),
                // What came before it was cut off is whole.
                Err(_) if last => {
                    reading.cut = true;
                    return Ok(());
                }
                Err(failure) => return Err(Cut::Failure(failure)),
            };
            let preset = service.teacher.options.preset;
            match ResultLine::read(preset, &line.bytes, Timestamp::now()) {
                Ok(read) => self.take(reading, read, sha256_hex(&line.bytes)),
                Err(what) if line.is_cut && !last => {
                    let failure = Failure::transport(FailureKind::Malformed, &what);
                    return Err(Cut::Failure(failure));
                }
                Err(_) => {
                    reading.cut |= line.is_cut;
                    reading.odd_here += 1;
                }
            }
            if reading.group.len() >= GROUP {
                self.flush(reading).await?;
                self.stop_if_cancelled()?;
            }
        }
    }

    /// Adds what a line says to the group, unless it is of a request that is not ours or of one that was there before.
    fn take(&self, reading: &mut Reading, line: ResultLine, sha256: String) {
        let id = line.custom_id;
        let doubled = reading.seen.contains(&id) || !reading.seen_here.insert(id.clone());
        let Some(request) = reading.requests.get_mut(&id).filter(|_| !doubled) else {
            reading.odd_here += 1;
            return;
        };
        // A collection that was cut off has kept it.
        if request.outcome.is_some() {
            return;
        }
        let (request, batch) = (request.clone(), &reading.batch);
        let unanswered = |(kind, message): (&str, &str)| {
            self.attempt(batch, &request, line.status, kind, message.to_owned())
        };
        let group = &mut reading.group;
        let (outcome, cost) = match line.result {
            LineResult::Answer(answer) => {
                match self.answered(batch, &request, line.status, *answer, sha256) {
                    Ok((answered, cost)) => {
                        group.answered.push(answered);
                        (BatchOutcome::Answered, cost)
                    }
                    Err(failed) => {
                        let (attempt, cost) = *failed;
                        group.failed.push(attempt);
                        (BatchOutcome::Failed, cost)
                    }
                }
            }
            LineResult::Failed(failure) => {
                let (attempt, cost) = self.failed(batch, &request, line.status, *failure);
                group.failed.push(attempt);
                (BatchOutcome::Failed, cost)
            }
            LineResult::Expired => {
                group.unanswered.push(unanswered(EXPIRED));
                (BatchOutcome::Unanswered, 0)
            }
            LineResult::Cancelled => {
                group.unanswered.push(unanswered(CANCELLED));
                (BatchOutcome::Unanswered, 0)
            }
        };
        let most = request.most_nano_usd;
        reading.costs.push((id.clone(), most, cost));
        if let Some(request) = reading.requests.get_mut(&id) {
            request.outcome = Some(outcome);
        }
    }

    /// Requests of which no line speaks.
    fn settle_missing(&self, reading: &mut Reading, end: &RemoteEnd) {
        let missing: Vec<BatchRequest> = reading.open().cloned().collect();
        for request in missing {
            let most = request.most_nano_usd;
            let ended_early = match end {
                // It may be in what could not be read.
                _ if reading.gone || reading.cut => None,
                RemoteEnd::Expired => Some(EXPIRED),
                RemoteEnd::Cancelled => Some(CANCELLED),
                RemoteEnd::Completed | RemoteEnd::Rejected { .. } => None,
            };
            let (kind, message) = match ended_early {
                Some(why) => why,
                None if reading.gone => GONE,
                None => MISSING,
            };
            let message = message.to_owned();
            let mut attempt = self.attempt(&reading.batch, &request, None, kind, message);
            let cost = if ended_early.is_some() {
                reading.group.unanswered.push(attempt);
                0
            } else {
                // It may have been answered, and paid for.
                if let Some(call) = &mut attempt.call {
                    call.cost_nano_usd = self.priced(most);
                }
                reading.group.failed.push(attempt);
                most
            };
            reading.costs.push((request.trace_id, most, cost));
        }
    }

    /// Keeps the group.
    async fn flush(&mut self, reading: &mut Reading) -> Result<(), HarvestError> {
        if reading.group.is_empty() {
            return Ok(());
        }
        let results = std::mem::take(&mut reading.group);
        let costs = std::mem::take(&mut reading.costs);
        self.keep(reading.batch.number, results, &costs).await
    }
}

impl Reading {
    fn new(batch: Batch, requests: Vec<BatchRequest>) -> Self {
        let requests = requests.into_iter();
        Self {
            batch,
            requests: requests
                .map(|request| (request.trace_id.clone(), request))
                .collect(),
            seen: HashSet::new(),
            seen_here: HashSet::new(),
            odd: 0,
            odd_here: 0,
            group: BatchResults::default(),
            costs: Vec::new(),
            gone: false,
            cut: false,
        }
    }

    /// All sources are read from their beginning.
    fn begin(&mut self) {
        self.seen.clear();
        self.seen_here.clear();
        (self.odd, self.odd_here) = (0, 0);
    }

    fn source_is_read(&mut self) {
        self.seen.extend(self.seen_here.drain());
        self.odd += std::mem::take(&mut self.odd_here);
    }

    /// Requests of which nothing is known.
    fn open(&self) -> impl Iterator<Item = &BatchRequest> {
        let requests = self.requests.values();
        requests.filter(|request| request.outcome.is_none())
    }
}
