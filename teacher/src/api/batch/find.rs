//! A batch that was sent and whose name never arrived, because the connection or the process ended in between.
//!
//! `OpenAI`'s service keeps our marker with a batch, so it is found by that. Anthropic's keeps nothing of ours but the
//! names of the requests, which it tells only with the results. There, a batch may be ours if it was made at about that
//! time and holds as many requests; whether it is, its first result says. As long as one that may be ours is worked on,
//! nothing is sent again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use limbeck_store::Batch;

use super::BatchNotice;
use super::lines::Lines;
use super::road::Road;
use crate::wire::{Dialect, RemoteBatch, RemoteList, RemotePhase, ResultLine};
use crate::{AskError, HarvestError};

/// What clocks may differ by.
const CLOCKS: SignedDuration = SignedDuration::from_mins(10);
/// A service may take so long until it shows a batch that it was sent.
const LONGEST_DOUBT: Duration = Duration::from_mins(1);
/// Pages of batches that are looked through: ten thousand batches.
const MOST_PAGES: usize = 100;

/// Where a batch is.
enum Whereabouts {
    At(String),
    Nowhere,
    /// One that may be it is still worked on.
    Unclear,
}

impl Road<'_> {
    /// Looks for a batch at the service. Where it is there, its name is known from now on; where it is not, and should
    /// have been by now, it has ended, and its questions can be handed over again.
    pub(super) async fn find(&mut self, index: usize) -> Result<(), HarvestError> {
        let batch = self.open[index].clone();
        let sent = batch.sent_at.as_deref().and_then(|time| time.parse().ok());
        let sent: Timestamp = sent.unwrap_or_else(Timestamp::now);
        let known = self.known_names().await?;
        let whereabouts = match self.look_for(&batch, sent, &known).await {
            Ok(whereabouts) => whereabouts,
            Err(error) => return self.not_told(None, error),
        };
        match whereabouts {
            Whereabouts::Unclear => Ok(()),
            Whereabouts::At(id) => {
                self.store.batch_is_submitted(batch.number, &id).await?;
                self.lost = 0;
                self.notice(&BatchNotice::Found { id });
                self.refresh(index).await?;
                Ok(())
            }
            Whereabouts::Nowhere => {
                if !self.is_past_doubt(batch.sent_at.as_deref()) {
                    return Ok(());
                }
                self.forget(batch.number).await?;
                self.refresh(index).await?;
                self.notice(&BatchNotice::Lost {
                    requests: batch.requests,
                });
                self.lost += 1;
                self.look_again = true;
                if self.lost >= self.service.teacher.options.retry.attempts {
                    return Err(self.teacher_error(never_taken(self.lost)));
                }
                Ok(())
            }
        }
    }

    /// Whether what was told to the service at `time` should be known there by now.
    pub(super) fn is_past_doubt(&self, time: Option<&str>) -> bool {
        let time: Option<Timestamp> = time.and_then(|time| time.parse().ok());
        let since = time.map(|time| Timestamp::now().duration_since(time));
        let since = since.and_then(|since| Duration::try_from(since).ok());
        // By a clock that was set back it was told in the future; then it counts from the start of this run.
        since.unwrap_or_else(|| self.begun.elapsed()) >= self.options.poll.min(LONGEST_DOUBT)
    }

    /// The names of all batches of which it is known whose they are.
    async fn known_names(&self) -> Result<Vec<String>, HarvestError> {
        let batches = self.store.batches().await?;
        Ok(batches
            .into_iter()
            .filter_map(|batch| batch.remote_id)
            .collect())
    }

    async fn look_for(
        &self,
        batch: &Batch,
        sent: Timestamp,
        known: &[String],
    ) -> Result<Whereabouts, AskError> {
        let options = &self.service.teacher.options;
        let mut after = None;
        let mut unclear = false;
        for _ in 0..MOST_PAGES {
            let request = self.service.calls().list(after.as_deref());
            let value = self.service.call(&request, self.cancel).await?;
            let list = RemoteList::read(options.preset, &value)
                .map_err(|failure| self.service.give_up(failure, 1))?;
            let mut too_old = false;
            for remote in &list.batches {
                let age = remote.created.map(|created| sent.duration_since(created));
                if age.is_some_and(|age| age > CLOCKS) {
                    too_old = true;
                    continue;
                }
                if options.preset.dialect == Dialect::Openai {
                    if remote.marker.as_deref() == Some(&batch.marker) {
                        return Ok(Whereabouts::At(remote.id.clone()));
                    }
                    continue;
                }
                let as_many = remote.total == Some(batch.requests);
                if !as_many || known.contains(&remote.id) {
                    continue;
                }
                if remote.phase == RemotePhase::Running {
                    unclear = true;
                } else if self.is_ours(batch, remote).await? {
                    return Ok(Whereabouts::At(remote.id.clone()));
                }
            }
            after = list.next;
            if after.is_none() || too_old {
                break;
            }
        }
        Ok(if unclear {
            Whereabouts::Unclear
        } else {
            Whereabouts::Nowhere
        })
    }

    /// Whether the first result of a batch is of a request of ours.
    async fn is_ours(&self, batch: &Batch, remote: &RemoteBatch) -> Result<bool, AskError> {
        let requests = self.store.batch_requests(batch.number).await;
        let requests = requests.map_err(|error| AskError::Other {
            kind: "store".to_owned(),
            message: error.to_string(),
            fatal: true,
        })?;
        let preset = self.service.teacher.options.preset;
        for source in &remote.results {
            let request = self.service.calls().results(source);
            let opened = self.service.open(&request).await;
            let response = opened.map_err(|failed| self.service.give_up(failed.failure, 1))?;
            let line = Lines::new(self.service, response).next().await;
            let line = line.map_err(|failure| self.service.give_up(failure, 1))?;
            let Some(line) = line else { continue };
            if let Ok(read) = ResultLine::read(preset, &line.bytes, Timestamp::now()) {
                let ours = |id: &str| requests.iter().any(|request| request.trace_id == id);
                return Ok(ours(&read.custom_id));
            }
        }
        Ok(false)
    }
}

fn never_taken(times: u32) -> AskError {
    AskError::Other {
        kind: "batch-lost".to_owned(),
        message: format!("the service was sent a batch {times} times and has none of them"),
        fatal: true,
    }
}
