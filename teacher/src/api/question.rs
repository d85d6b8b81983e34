//! One question to a service: choose an endpoint, wait for one's turn, send, and if it fails, again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use limbeck_store::identity::sha256_hex;
use limbeck_store::{AttemptStatus, Call, now};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{self, headers_that_matter};
use super::client::{Exchange, Target, exchange};
use super::endpoint::{Endpoint, NoEndpoint};
use super::{ApiNotice, ApiTeacher};
use crate::pace::{Demand, NotBegun, Reservation, Used};
use crate::teacher::{Asked, Try};
use crate::wire::{Failure, FailureKind, RateSignals, WireAnswer, WireRequest};
use crate::{Answer, Ask, AskError};

/// A wait that the service asks for and that is worth telling a person.
const LONG_WAIT: Duration = Duration::from_secs(10);
/// Nobody waits longer than this for a service that asks for it.
pub(super) const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A question on its way.
pub(super) struct Asking<'a> {
    teacher: &'a ApiTeacher,
    ask: &'a Ask,
    cancel: &'a CancellationToken,
    tries: Vec<Try>,
    /// Failures that may pass, and refusals for rate or overload.
    failed: u32,
    refused: u32,
    /// Where it failed last.
    avoid: Option<Arc<Endpoint>>,
}

/// What one attempt came to.
enum Attempted {
    Answered(Box<Answer>),
    /// Worth another.
    Again(Failure),
    Failed(AskError),
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        teacher: &'a ApiTeacher,
        ask: &'a Ask,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            teacher,
            ask,
            cancel,
            tries: Vec::new(),
            failed: 0,
            refused: 0,
            avoid: None,
        }
    }

    pub(super) async fn run(mut self) -> Asked {
        let result = self.answer().await;
        Asked {
            tries: self.tries,
            result,
        }
    }

    async fn answer(&mut self) -> Result<Answer, AskError> {
        let (started_at, teacher) = (now(), self.teacher);
        let options = &teacher.options;
        let built = WireRequest::build(options.preset, &options.model, self.ask, options.stream);
        let request = built.map_err(|error| self.unasked(started_at.clone(), error.into()))?;
        let demand = teacher.demand(self.ask, u64::from(request.max_output_tokens));
        loop {
            let since = Instant::now();
            let endpoint = match teacher
                .endpoints
                .choose(self.avoid.as_ref(), self.cancel)
                .await
            {
                Ok(endpoint) => endpoint,
                Err(NoEndpoint::Cancelled | NoEndpoint::AllLeadElsewhere) => {
                    return Err(AskError::Cancelled);
                }
                Err(NoEndpoint::AllDead) => return Err(self.unreachable()),
            };
            endpoint.busy.fetch_add(1, Ordering::Relaxed);
            let attempted = self.attempt(&endpoint, &request, demand, since).await;
            endpoint.busy.fetch_sub(1, Ordering::Relaxed);
            match attempted {
                Attempted::Answered(answer) => return Ok(*answer),
                Attempted::Failed(error) => return Err(error),
                Attempted::Again(failure) => self.wait(failure, endpoint).await?,
            }
        }
    }

    /// Waits for one's turn at `endpoint`, sends the request, and notes how it went.
    async fn attempt(
        &mut self,
        endpoint: &Arc<Endpoint>,
        request: &WireRequest,
        demand: Demand,
        since: Instant,
    ) -> Attempted {
        let reservation = match endpoint.pacer.reserve(demand, self.cancel).await {
            Ok(reservation) => reservation,
            Err(not_begun) => {
                endpoint.undecided();
                return Attempted::Failed(match not_begun {
                    NotBegun::Cancelled => AskError::Cancelled,
                    NotBegun::Refused(refusal) => {
                        let error = AskError::from(refusal);
                        // The cap is no fault of the question, which stays to be asked.
                        match error {
                            AskError::CapReached { .. } => error,
                            error => self.unasked(now(), error),
                        }
                    }
                });
            }
        };
        let (started_at, waited, begun) = (now(), since.elapsed(), Instant::now());
        let options = &self.teacher.options;
        let target = Target {
            url: endpoint.address.url(request),
            key: endpoint.key_header.clone(),
            preset: options.preset,
        };
        let exchange = exchange(&endpoint.client, target, request, &options.timeouts).await;
        let latency = begun.elapsed();
        let signals = RateSignals::read(options.preset, &exchange.headers, Timestamp::now());
        let mut call = Call {
            endpoint: format!("{}{}", endpoint.name, request.path),
            key_alias: endpoint.key.as_ref().map(|key| key.alias().to_owned()),
            http_status: exchange.status,
            headers: headers_that_matter(&exchange.headers, endpoint.key.as_ref()),
            ..Call::default()
        };
        let result = self.settle(endpoint, &exchange, reservation, demand, &mut call);
        self.obey(endpoint, &signals, result.as_ref().err());
        let status = match &result {
            Ok(_) => AttemptStatus::Answered,
            Err(failure) => AttemptStatus::Failed {
                kind: failure.kind.name().to_owned(),
                message: failure.message.clone(),
            },
        };
        let answer = result.map(|answer| {
            self.teacher.budget.answered();
            let receipt = answer::Receipt {
                options,
                endpoint: &call.endpoint,
                key_alias: call.key_alias.as_deref(),
                limits: endpoint.limits.as_ref(),
                request_sha256: sha256_hex(&request.body),
                response_sha256: exchange.sha256,
            };
            receipt.answer(&self.ask.parameters.choices, answer, latency)
        });
        self.tries.push(Try {
            started_at,
            waited,
            latency,
            status,
            call: Some(Box::new(call)),
        });
        self.judge(endpoint, answer)
    }

    /// Settles what the attempt used, and tells the endpoint's health.
    fn settle(
        &self,
        endpoint: &Endpoint,
        exchange: &Exchange,
        reservation: Reservation,
        demand: Demand,
        call: &mut Call,
    ) -> Result<WireAnswer, Failure> {
        let price = self.teacher.options.price;
        let choices = &self.ask.parameters.choices;
        let checked = answer::check(exchange.result.clone(), choices, endpoint.key.as_ref());
        let usage = match &checked {
            Ok(answer) => Some(answer.usage),
            Err(failure) => failure.usage.as_deref().copied(),
        };
        let used = usage.map(|usage| answer::used(usage, demand, price));
        if let Some(used) = used {
            call.prompt_tokens = Some(used.input_tokens);
            call.completion_tokens = Some(used.output_tokens);
        }
        match &checked {
            Ok(answer) => {
                let used = used.unwrap_or(demand);
                call.request_id.clone_from(&answer.request_id);
                call.cost_nano_usd = price.map(|_| used.cost);
                self.teacher
                    .tokens_of_bytes
                    .learn(self.ask.prompt_bytes(), answer.usage.input);
                reservation.answered(used);
                if endpoint.answered() {
                    self.tell(&ApiNotice::EndpointBack {
                        endpoint: endpoint.name.clone(),
                    });
                }
            }
            Err(failure) => {
                call.request_id.clone_from(&failure.request_id);
                let overloaded = is_refusal(failure.kind);
                let used = match (used, exchange.status) {
                    (Some(used), _) => Used::Known(used),
                    // An answer may have been written, and lost on the way.
                    (None, Some(200..300)) => Used::Unknown,
                    (None, None) if exchange.may_have_arrived => Used::Unknown,
                    (None, _) => Used::Nothing,
                };
                let cost = reservation.failed(used, overloaded);
                call.cost_nano_usd = price.map(|_| cost);
                self.judge_health(endpoint, failure);
            }
        }
        checked
    }

    fn judge_health(&self, endpoint: &Endpoint, failure: &Failure) {
        use FailureKind::{Connection, Overloaded, Redirected, Server, Timeout};
        if failure.kind == Redirected {
            endpoint.redirected(self.ask.seed());
        }
        if matches!(
            failure.kind,
            Connection | Overloaded | Redirected | Server | Timeout
        ) {
            if let Some(pause) = endpoint.failed() {
                self.tell(&ApiNotice::EndpointPaused {
                    endpoint: endpoint.name.clone(),
                    pause,
                    why: failure.to_string(),
                });
            }
        } else if endpoint.answered() {
            // Whatever it said, it is there.
            self.tell(&ApiNotice::EndpointBack {
                endpoint: endpoint.name.clone(),
            });
        }
    }

    /// Holds the key back as long as the service asks for.
    fn obey(&self, endpoint: &Endpoint, signals: &RateSignals, failure: Option<&Failure>) {
        let mut signals = signals.clone();
        let wait = failure.and_then(|failure| failure.retry_after);
        signals.retry_after = wait
            .or(signals.retry_after)
            .filter(|wait| *wait <= LONGEST_WAIT);
        // What is used up for longer than that is not waited for: the next answer says so, and ends the harvest.
        for window in &mut signals.windows {
            window.reset = window.reset.filter(|reset| *reset <= LONGEST_WAIT);
        }
        endpoint.pacer.obey(&signals);
        if let Some(wait) = signals.retry_after.filter(|wait| *wait >= LONG_WAIT) {
            self.tell(&ApiNotice::AskedToWait {
                endpoint: endpoint.name.clone(),
                wait,
            });
        }
    }

    /// Whether the question is done, done for, or to be put again.
    fn judge(&mut self, endpoint: &Endpoint, answer: Result<Answer, Failure>) -> Attempted {
        let failure = match answer {
            Ok(answer) => return Attempted::Answered(Box::new(answer)),
            Err(failure) => failure,
        };
        if is_refusal(failure.kind) {
            self.refused += 1;
        } else {
            self.failed += 1;
        }
        let retry = &self.teacher.options.retry;
        let endpoints = &self.teacher.endpoints;
        let redirected = failure.kind == FailureKind::Redirected;
        let nowhere = redirected && endpoints.lead_elsewhere();
        // What one address leads away from, another may answer.
        let elsewhere = redirected && endpoints.all().len() > 1;
        let too_long = failure.retry_after.is_some_and(|wait| wait > LONGEST_WAIT);
        let goes_on = (failure.worth_retrying || elsewhere)
            && !too_long
            && !nowhere
            && retry.goes_on(self.failed, self.refused)
            && (is_refusal(failure.kind) || self.teacher.budget.take());
        if goes_on {
            return Attempted::Again(failure);
        }
        Attempted::Failed(AskError::Service {
            endpoint: endpoint.name.clone(),
            attempts: self.tries.len(),
            fatal: failure.kind.is_fatal() || too_long || nowhere,
            failure: Box::new(failure),
        })
    }

    /// Waits before the next attempt. A wait that the service asked for is the key's, and is waited for there.
    async fn wait(&mut self, failure: Failure, endpoint: Arc<Endpoint>) -> Result<(), AskError> {
        if failure.retry_after.is_none() {
            let failures = self.failed + self.refused;
            let wait = self.teacher.options.retry.wait(failures, self.ask.seed());
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(AskError::Cancelled),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.avoid = Some(endpoint);
        Ok(())
    }

    /// Notes a question that was never sent.
    fn unasked(&mut self, started_at: String, error: AskError) -> AskError {
        self.tries
            .push(Try::failed(started_at, Duration::ZERO, &error));
        error
    }

    fn unreachable(&self) -> AskError {
        let names = self.teacher.endpoints.all().iter();
        AskError::Unreachable {
            endpoints: names.map(|endpoint| endpoint.name.clone()).collect(),
        }
    }

    fn tell(&self, notice: &ApiNotice) {
        self.teacher.options.watcher.notice(notice);
    }
}

/// Refused because the service has too much to do, before it did any of it.
fn is_refusal(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::RateLimited | FailureKind::Overloaded)
}
