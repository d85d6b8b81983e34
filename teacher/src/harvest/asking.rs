//! The loop that asks, and what becomes of one question.

use std::sync::Arc;
use std::time::{Duration, Instant};

use limbeck_store::{Answered, Attempt, AttemptStatus, Receipt};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::HarvestPlan;
use super::writer::{Record, Writer, WriterFailed};
use crate::limits::{Limiter, Permit};
use crate::{Answer, AskError, HarvestError, Teacher};

/// After this many failures without an answer between them the rest would fail as well.
const MOST_FAILURES_IN_A_ROW: usize = 20;

/// Everything that one harvest asks with.
pub(super) struct Asking<'a> {
    pub(super) teacher: Arc<dyn Teacher>,
    pub(super) limiter: Limiter,
    /// The limits as receipts tell them.
    pub(super) limits: Value,
    pub(super) plan: &'a HarvestPlan,
    pub(super) writer: &'a Writer,
    pub(super) cancel: CancellationToken,
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
    Answered(Box<Answered>),
    Failed {
        attempt: Box<Attempt>,
        error: AskError,
    },
    /// It was cancelled while it waited for its turn.
    NotAsked,
}

impl Asking<'_> {
    /// Asks `questions` in order, no more at a time than the limits allow, and hands what comes back to the writer.
    ///
    /// When it is cancelled or gives up, what is in flight is still waited for and written: it may have been paid for.
    pub(super) async fn run(&self, questions: &[(usize, u32)]) -> Ended {
        let mut questions = questions.iter().copied().peekable();
        let mut in_flight: JoinSet<Outcome> = JoinSet::new();
        let mut failures_in_a_row = 0;
        let mut skipped = false;
        let mut gave_up = None;
        let mut waiting_since = Instant::now();
        loop {
            let go_on =
                gave_up.is_none() && !self.cancel.is_cancelled() && questions.peek().is_some();
            tokio::select! {
                biased;
                Some(outcome) = in_flight.join_next() => {
                    let outcome = match outcome {
                        Ok(outcome) => outcome,
                        // None of the tasks is aborted, so what is left is a panic, which goes on here.
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                    match &outcome {
                        Outcome::Answered(_) => failures_in_a_row = 0,
                        Outcome::Failed { .. } => failures_in_a_row += 1,
                        Outcome::NotAsked => skipped = true,
                    }
                    match self.take(outcome, failures_in_a_row).await {
                        Ok(None) => {}
                        Ok(Some(error)) => gave_up = gave_up.or(Some(error)),
                        Err(WriterFailed) => return Ended::WriterFailed,
                    }
                }
                permit = self.limiter.admit(), if go_on => {
                    if let Some((index, sample)) = questions.next() {
                        in_flight.spawn(self.question(index, sample, permit, waiting_since.elapsed()));
                        waiting_since = Instant::now();
                    }
                }
                // Only wakes the loop, so that it stops waiting for a permit.
                () = self.cancel.cancelled(), if go_on => {}
                else => break,
            }
        }
        match gave_up {
            Some(error) => Ended::GaveUp(error),
            None if skipped || questions.peek().is_some() => Ended::Interrupted,
            None => Ended::Done,
        }
    }

    /// Hands one outcome to the writer; returns an error if it is one failure too many.
    async fn take(
        &self,
        outcome: Outcome,
        failures_in_a_row: usize,
    ) -> Result<Option<HarvestError>, WriterFailed> {
        match outcome {
            Outcome::NotAsked => Ok(None),
            Outcome::Answered(answered) => {
                self.writer.write(Record::Answered(answered)).await?;
                Ok(None)
            }
            Outcome::Failed { attempt, error } => {
                self.writer.write(Record::Failed(attempt)).await?;
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
        index: usize,
        sample: u32,
        permit: Permit,
        waited: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let ask = self.plan.ask(index, sample);
        let (teacher, cancel, limits) = (
            self.teacher.clone(),
            self.cancel.clone(),
            self.limits.clone(),
        );
        async move {
            let started_at = limbeck_store::now();
            let begun = Instant::now();
            let asked = teacher.ask(&ask, &cancel).await;
            drop(permit);
            let key = ask.trace_key(&teacher.identity().key());
            let attempt = |latency: Duration, status| Attempt {
                prompt_id: ask.prompt.id.clone(),
                trace_id: key.id(),
                started_at,
                waited_ms: waited.as_millis() as u64,
                latency_ms: latency.as_millis() as u64,
                status,
            };
            match asked {
                Ok(answer) => {
                    let attempts = vec![attempt(answer.latency, AttemptStatus::Answered)];
                    let receipt = receipt(teacher.as_ref(), limits, &answer);
                    Outcome::Answered(Box::new(Answered {
                        key,
                        trace: answer.trace,
                        attempts,
                        receipt,
                    }))
                }
                Err(AskError::Cancelled) => Outcome::NotAsked,
                Err(error) => {
                    let status = AttemptStatus::Failed {
                        kind: error.kind().to_owned(),
                        message: error.in_full(),
                    };
                    Outcome::Failed {
                        attempt: Box::new(attempt(begun.elapsed(), status)),
                        error,
                    }
                }
            }
        }
    }
}

/// The thin start of a receipt: who answered, under which limits, and the digests of both sides.
fn receipt(teacher: &dyn Teacher, limits: Value, answer: &Answer) -> Receipt {
    let identity = teacher.identity();
    Receipt {
        provider: identity.provider.clone(),
        model: identity.model.clone(),
        model_sha256: identity.model_sha256.clone(),
        route: identity.route.clone(),
        license: identity.license.clone(),
        limits,
        limbeck_version: env!("CARGO_PKG_VERSION").to_owned(),
        request_sha256: answer.request_sha256.clone(),
        response_sha256: answer.response_sha256.clone(),
    }
}
