//! The loop that asks, and what becomes of one question.

use std::collections::VecDeque;
use std::sync::Arc;

use limbeck_store::{Answered, Attempt, FinishReason, Prompt, Receipt, Store, StoreError};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::HarvestPlan;
use super::ahead::Ahead;
use super::pending::Question;
use super::writer::{Record, Writer, WriterFailed};
use crate::pace::Paced;
use crate::{Answer, AskError, HarvestError, Limits, Teacher};

/// After this many failures without an answer between them the rest would fail as well.
const MOST_FAILURES_IN_A_ROW: usize = 20;

/// The right to work on one question; it ends when it is dropped.
pub(super) type Permit = OwnedSemaphorePermit;

/// Everything that one harvest asks with.
pub(super) struct Asking<'a> {
    teacher: Arc<dyn Teacher>,
    places: Arc<Semaphore>,
    /// Whether each answer was paid for, see [`Record::Answered`].
    paid_for: bool,
    /// The limits as receipts tell them.
    limits: Value,
    store: &'a Store,
    plan: &'a HarvestPlan,
    writer: &'a Writer,
    cancel: CancellationToken,
}

/// Why the loop ended.
pub(super) enum Ended {
    /// Every question was asked.
    Done,
    /// It was cancelled with questions left.
    Interrupted,
    /// The writer failed; it says why.
    WriterFailed,
    /// The teacher cannot answer.
    GaveUp(HarvestError),
}

/// What became of one question.
enum Outcome {
    Answered {
        asked: Box<(Question, Prompt)>,
        answered: Box<Answered>,
        permit: Option<Permit>,
    },
    Failed {
        tries: Vec<Attempt>,
        error: AskError,
        /// Free only when it is known whether the harvest goes on: after a wrong key nothing more may be sent.
        permit: Option<Permit>,
    },
    /// It was cancelled while it waited for its turn, or for another try.
    NotAsked { tries: Vec<Attempt> },
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        store: &'a Store,
        teacher: Arc<dyn Teacher>,
        limits: &Limits,
        plan: &'a HarvestPlan,
        writer: &'a Writer,
        cancel: CancellationToken,
    ) -> Self {
        let own_places = teacher.places();
        let places =
            own_places.unwrap_or_else(|| limits.concurrent.saturating_add(teacher.queue_ahead()));
        let teacher = match own_places {
            Some(_) => teacher,
            None => Arc::new(Paced::new(teacher, limits)),
        };
        Self {
            teacher,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            paid_for: own_places.is_some(),
            limits: limits.for_receipts(),
            store,
            plan,
            writer,
            cancel,
        }
    }

    /// Asks `questions` in order, no more at a time than there are places, and hands what comes back to the writer.
    ///
    /// When it is cancelled or gives up, what is in flight is still waited for and written: it may have been paid for.
    /// Also says how many questions were passed over because their prompts were erased.
    ///
    /// # Errors
    /// [`StoreError`] if the prompts cannot be read.
    pub(super) async fn run(&self, questions: &[Question]) -> Result<(Ended, u64), StoreError> {
        let mut ahead = Ahead::new(questions);
        let mut unreadable = Ok(());
        // Answers that were cut off and are asked for again; they go first, so there are never many.
        let mut again: VecDeque<(Question, Prompt)> = VecDeque::new();
        let mut in_flight: JoinSet<Outcome> = JoinSet::new();
        let mut failures_in_a_row = 0;
        let mut skipped = false;
        let mut gave_up = None;
        loop {
            let stopped = gave_up.is_some() || unreadable.is_err() || self.cancel.is_cancelled();
            let go_on = !stopped && (ahead.is_ready() || !again.is_empty());
            tokio::select! {
                biased;
                Some(outcome) = in_flight.join_next() => {
                    let mut outcome = match outcome {
                        Ok(outcome) => outcome,
                        // None of the tasks is aborted, so what is left is a panic, which goes on here.
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                    match &outcome {
                        Outcome::Answered { asked, answered, .. } => {
                            failures_in_a_row = 0;
                            again.extend(self.once_more(asked, answered));
                        }
                        Outcome::Failed { error, .. } if AskError::is_lasting(error.kind()) => {}
                        Outcome::Failed { .. } => failures_in_a_row += 1,
                        Outcome::NotAsked { .. } => skipped = true,
                    }
                    let held = match &mut outcome {
                        Outcome::Failed { permit, .. } => permit.take(),
                        Outcome::Answered { .. } | Outcome::NotAsked { .. } => None,
                    };
                    match self.take(outcome, failures_in_a_row).await {
                        Ok(None) => {}
                        Ok(Some(error)) => gave_up = gave_up.or(Some(error)),
                        Err(WriterFailed) => return Ok((Ended::WriterFailed, ahead.erased())),
                    }
                    drop(held);
                }
                read = ahead.fill(self.store, self.plan), if !stopped && ahead.is_low() => unreadable = read,
                permit = self.places.clone().acquire_owned(), if go_on => {
                    let question = again.pop_front().or_else(|| ahead.take());
                    // The semaphore is never closed.
                    if let (Some(question), Ok(permit)) = (question, permit) {
                        in_flight.spawn(self.question(question, permit));
                    }
                }
                // Only wakes the loop, so that it stops waiting for a permit.
                () = self.cancel.cancelled(), if !stopped && ahead.is_left() => {}
                else => break,
            }
        }
        unreadable?;
        let ended = match gave_up {
            Some(error) => Ended::GaveUp(error),
            None if skipped || ahead.is_left() || !again.is_empty() => Ended::Interrupted,
            None => Ended::Done,
        };
        Ok((ended, ahead.erased()))
    }

    /// The question again, if its answer was cut off and the plan has a larger limit for that.
    fn once_more(
        &self,
        asked: &(Question, Prompt),
        answered: &Answered,
    ) -> Option<(Question, Prompt)> {
        let (question, prompt) = asked;
        let cut_off = answered.trace.finish_reason == FinishReason::Length;
        let asks_again = cut_off && !question.larger && self.plan.larger_limit().is_some();
        let larger = Question {
            larger: true,
            ..*question
        };
        asks_again.then(|| (larger, prompt.clone()))
    }

    /// Hands one outcome to the writer; returns an error if it is one failure too many.
    async fn take(
        &self,
        outcome: Outcome,
        failures_in_a_row: usize,
    ) -> Result<Option<HarvestError>, WriterFailed> {
        match outcome {
            Outcome::NotAsked { tries } => {
                if !tries.is_empty() {
                    self.writer.write(Record::Tried(tries)).await?;
                }
                Ok(None)
            }
            Outcome::Answered {
                answered, permit, ..
            } => {
                self.writer
                    .write(Record::Answered(answered, permit))
                    .await?;
                Ok(None)
            }
            Outcome::Failed { tries, error, .. } => {
                if !tries.is_empty() {
                    self.writer.write(Record::Failed(tries)).await?;
                }
                let teacher = self.teacher.identity().name.clone();
                Ok(if error.is_fatal() {
                    Some(HarvestError::Teacher {
                        teacher,
                        source: error,
                    })
                } else if failures_in_a_row >= MOST_FAILURES_IN_A_ROW {
                    Some(HarvestError::TooManyFailures {
                        teacher,
                        count: failures_in_a_row,
                        source: error,
                    })
                } else {
                    None
                })
            }
        }
    }

    /// One question, from its admission to its outcome.
    fn question(
        &self,
        (question, prompt): (Question, Prompt),
        permit: Permit,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let ask = self.plan.ask(question, prompt);
        let (teacher, cancel, limits, paid_for) = (
            self.teacher.clone(),
            self.cancel.clone(),
            self.limits.clone(),
            self.paid_for,
        );
        async move {
            let asked = teacher.ask(&ask, &cancel).await;
            let key = ask.trace_key(&teacher.identity().key());
            let trace_id = key.id();
            let attempts = asked
                .tries
                .into_iter()
                .map(|one| one.attempt(&key, &trace_id))
                .collect();
            match asked.result {
                Ok(answer) => {
                    let receipt = receipt(teacher.as_ref(), limits, &answer);
                    let answered = Answered {
                        key,
                        trace: answer.trace,
                        attempts,
                        receipt,
                    };
                    Outcome::Answered {
                        asked: Box::new((question, ask.prompt)),
                        answered: Box::new(answered),
                        permit: paid_for.then_some(permit),
                    }
                }
                Err(AskError::Cancelled) => Outcome::NotAsked { tries: attempts },
                Err(error) => Outcome::Failed {
                    tries: attempts,
                    error,
                    permit: Some(permit),
                },
            }
        }
    }
}

/// The thin start of a receipt: who answered, under which limits, and the digests of both sides.
pub(crate) fn receipt(teacher: &dyn Teacher, limits: Value, answer: &Answer) -> Receipt {
    let identity = teacher.identity();
    Receipt {
        provider: identity.provider.clone(),
        model: identity.model.clone(),
        model_sha256: identity.model_sha256.clone(),
        route: identity.route.clone(),
        license: identity.license.clone(),
        limits: answer.limits.clone().unwrap_or(limits),
        limbeck_version: env!("CARGO_PKG_VERSION").to_owned(),
        request_sha256: answer.request_sha256.clone(),
        response_sha256: answer.response_sha256.clone(),
        service: answer.service.clone(),
        import: None,
        terms: None,
        clarification: None,
    }
}
