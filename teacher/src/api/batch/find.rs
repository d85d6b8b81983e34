//! A batch that was sent and whose name never arrived, because the connection or the process ended in between.
//!
//! `OpenAI`'s service keeps our marker with a batch, so it is found by that. Anthropic's keeps nothing of ours but the
//! names of the requests, which it tells only with the results. There, a batch may be ours if it was made at about that
//! time and holds as many requests; whether it is, its first result says. So it is at Azure for a batch that is listed
//! without a marker: its reference does not promise that it tells of one.
//!
//! A batch that was paid for must not be sent again. So one that is looked for counts as never arrived only when the
//! service's list was seen whole, without it and without one that may be it, and long enough after it was sent. Until
//! then its fate is unknown, and a person can decide.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use limbeck_store::Batch;

use super::lines::Lines;
use super::road::Road;
use super::{BatchDoubt, BatchNotice};
use crate::wire::{Dialect, RemoteBatch, RemoteEnd, RemoteList, RemotePhase, ResultLine};
use crate::{AskError, HarvestError};

/// What clocks may differ by, time zones that were mistaken included.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);
/// A service may take so long until it tells of a batch whose name it has told.
const LONGEST_DOUBT: Duration = Duration::from_mins(1);
/// Pages of batches that are looked through: ten thousand batches.
const MOST_PAGES: usize = 100;

/// Where a batch is.
enum Whereabouts {
    At(String),
    /// All that the service lists was seen, and neither it nor one that may be it is there.
    NotListed,
    Unclear(BatchDoubt),
}

/// Whether a batch of the service's is ours.
enum Likeness {
    Ours,
    Another,
    Perhaps(BatchDoubt),
}

impl Road<'_> {
    /// Looks for a batch at the service. Where it is there, its name is known from now on; where it is not, and must
    /// have been by now, it has ended, and its questions can be handed over again.
    pub(super) async fn find(&mut self, index: usize) -> Result<(), HarvestError> {
        let batch = self.open[index].clone();
        let sent = batch.sent_at.as_deref().and_then(|time| time.parse().ok());
        let sent: Timestamp = sent.unwrap_or_else(Timestamp::now);
        // Before the list is asked for: what it does not show arrived later than this, if at all.
        let waited = self.since(batch.sent_at.as_deref());
        let known = self.known_names().await?;
        let whereabouts = match self.look_for(&batch, sent, &known).await {
            Ok(whereabouts) => whereabouts,
            Err(error) => return self.not_told(None, error),
        };
        match whereabouts {
            Whereabouts::At(id) => {
                self.store.batch_is_submitted(batch.number, &id).await?;
                self.lost = 0;
                self.notice(&BatchNotice::Found { id });
                self.refresh(index).await?;
            }
            Whereabouts::Unclear(doubt) => self.doubt(&batch, doubt),
            Whereabouts::NotListed if waited < self.options.resend_after => {
                let left = self.options.resend_after.saturating_sub(waited);
                self.doubt(&batch, BatchDoubt::NotListed { left });
            }
            Whereabouts::NotListed => {
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
            }
        }
        Ok(())
    }

    /// Tells why it is not known where a batch is, unless that was told before.
    fn doubt(&mut self, batch: &Batch, doubt: BatchDoubt) {
        let same = |told: &BatchDoubt| {
            *told == doubt
                || matches!(
                    (told, &doubt),
                    (BatchDoubt::NotListed { .. }, BatchDoubt::NotListed { .. })
                )
        };
        if self.doubts.get(&batch.number).is_some_and(same) {
            return;
        }
        self.notice(&BatchNotice::Unknown {
            number: batch.number,
            requests: batch.requests,
            doubt: doubt.clone(),
        });
        self.doubts.insert(batch.number, doubt);
    }

    /// Whether a batch whose name the service told at `time` should be known everywhere there by now.
    pub(super) fn is_past_doubt(&self, time: Option<&str>) -> bool {
        self.since(time) >= self.options.poll.min(LONGEST_DOUBT)
    }

    /// How long ago `time` was.
    fn since(&self, time: Option<&str>) -> Duration {
        let time: Option<Timestamp> = time.and_then(|time| time.parse().ok());
        let since = time.map(|time| Timestamp::now().duration_since(time));
        let since = since.and_then(|since| Duration::try_from(since).ok());
        // By a clock that was set back it is in the future; then it counts from the start of this run.
        since.unwrap_or_else(|| self.begun.elapsed())
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
        let preset = self.service.teacher.options.preset;
        let mut after = None;
        let mut perhaps = None;
        let mut unreadable = false;
        for _ in 0..MOST_PAGES {
            let request = self.service.calls().list(after.as_deref());
            let value = self.service.call(&request, self.cancel).await?;
            let list = RemoteList::read(preset, &value)
                .map_err(|failure| self.service.give_up(failure, 1))?;
            let mut oldest = None;
            for remote in &list.batches {
                oldest = remote.created;
                match self.compare(batch, sent, known, remote).await? {
                    Likeness::Ours => return Ok(Whereabouts::At(remote.id.clone())),
                    Likeness::Another => {}
                    Likeness::Perhaps(doubt) => perhaps = Some(doubt),
                }
            }
            unreadable |= list.unreadable > 0;
            // What follows was made long before ours was sent.
            let is_old = oldest.is_some_and(|oldest| is_before(oldest, sent));
            if list.is_last || is_old {
                return Ok(match perhaps {
                    Some(doubt) => Whereabouts::Unclear(doubt),
                    None if unreadable => Whereabouts::Unclear(BatchDoubt::ListNotWhole),
                    None => Whereabouts::NotListed,
                });
            }
            if list.next.is_none() || list.next == after {
                break;
            }
            after = list.next;
        }
        let doubt = perhaps.unwrap_or(BatchDoubt::ListNotWhole);
        Ok(Whereabouts::Unclear(doubt))
    }

    async fn compare(
        &self,
        batch: &Batch,
        sent: Timestamp,
        known: &[String],
        remote: &RemoteBatch,
    ) -> Result<Likeness, AskError> {
        let preset = self.service.teacher.options.preset;
        let marked = preset.dialect == Dialect::Openai
            && (preset.batches.tells_marker || remote.marker.is_some());
        if marked {
            return Ok(if remote.marker.as_deref() == Some(&batch.marker) {
                Likeness::Ours
            } else {
                Likeness::Another
            });
        }
        let too_old = remote.created.is_some_and(|made| is_before(made, sent));
        // Azure counts the requests of a batch some time after it took it.
        let uncounted =
            remote.phase == RemotePhase::Running && remote.total.unwrap_or_default() == 0;
        let as_many = remote.total == Some(batch.requests) || uncounted;
        if too_old || !as_many || was_rejected(remote) || known.contains(&remote.id) {
            return Ok(Likeness::Another);
        }
        let id = remote.id.clone();
        if remote.phase == RemotePhase::Running {
            return Ok(Likeness::Perhaps(BatchDoubt::PerhapsThis { id }));
        }
        Ok(match self.is_ours(batch, remote).await? {
            Some(true) => Likeness::Ours,
            Some(false) => Likeness::Another,
            None => Likeness::Perhaps(BatchDoubt::Untold { id }),
        })
    }

    /// Whether the first result of a batch is of a request of ours; `None` where its results do not tell.
    async fn is_ours(&self, batch: &Batch, remote: &RemoteBatch) -> Result<Option<bool>, AskError> {
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
                return Ok(Some(ours(&read.custom_id)));
            }
        }
        Ok(None)
    }
}

/// Whether nobody began with a batch, so that nothing was paid for it.
fn was_rejected(remote: &RemoteBatch) -> bool {
    matches!(remote.phase, RemotePhase::Ended(RemoteEnd::Rejected { .. }))
}

/// Whether a batch that was made at `made`, by the service's clock, was made before `sent`, by ours.
fn is_before(made: Timestamp, sent: Timestamp) -> bool {
    sent.duration_since(made) > CLOCKS
}

fn never_taken(times: u32) -> AskError {
    AskError::Other {
        kind: "batch-lost".to_owned(),
        message: format!("the service was sent a batch {times} times and has none of them"),
        fatal: true,
    }
}
