//! From a line of results to what is kept of it.

use std::time::Duration;

use jiff::Timestamp;
use limbeck_store::{Answered, Attempt, AttemptStatus, Batch, BatchRequest, Call, TraceKey};
use serde_json::json;

use super::road::Road;
use crate::api::answer;
use crate::harvest::receipt;
use crate::pace::NanoUsd;
use crate::wire::{Failure, Usage, WireAnswer};

impl Road<'_> {
    /// An answer with its receipt, or the failure that it comes to; with what it cost.
    pub(super) fn answered(
        &self,
        batch: &Batch,
        request: &BatchRequest,
        status: Option<u16>,
        answer: WireAnswer,
        response_sha256: String,
    ) -> Result<(Answered, NanoUsd), Box<(Attempt, NanoUsd)>> {
        let teacher = self.service.teacher;
        let key = self.service.endpoint.key.as_ref();
        let choices = &batch.parameters.choices;
        let answer = match answer::check(Ok(answer), choices, key) {
            Ok(answer) => answer,
            Err(failure) => {
                return Err(Box::new(self.failed(batch, request, status, failure)));
            }
        };
        let usage = answer.usage;
        let cost = self.cost(usage, request.most_nano_usd);
        let mut attempt = self.try_at(batch, request, AttemptStatus::Answered, status);
        if let Some(call) = &mut attempt.call {
            call.request_id.clone_from(&answer.request_id);
            (call.prompt_tokens, call.completion_tokens) = (usage.input, usage.output);
            call.cost_nano_usd = self.priced(cost);
        }
        let told = answer::Receipt {
            options: &teacher.options,
            endpoint: &batch.endpoint,
            key_alias: batch.key_alias.as_deref(),
            // Those of pace, which are told below as they hold for a batch.
            limits: None,
            request_sha256: request.request_sha256.clone(),
            response_sha256,
        };
        let latency = Duration::from_millis(attempt.latency_ms);
        let answer = told.answer(choices, answer, latency);
        // The limits of pace are for single requests; services count what is in a batch apart.
        let mut limits = json!({"batch": batch.remote_id});
        if let Some(usd) = teacher.options.limits.spend_usd {
            limits["spend_usd"] = json!(usd);
        }
        let answered = Answered {
            key: batch.key(request),
            receipt: receipt(teacher, limits, &answer),
            trace: answer.trace,
            attempts: vec![attempt],
        };
        Ok((answered, cost))
    }

    /// A request that was worked on and failed, with what it cost.
    pub(super) fn failed(
        &self,
        batch: &Batch,
        request: &BatchRequest,
        status: Option<u16>,
        failure: Failure,
    ) -> (Attempt, NanoUsd) {
        let failure = match &self.service.endpoint.key {
            Some(key) => failure.without_secret(key.secret()),
            None => failure,
        };
        let usage = failure.usage.as_deref().copied();
        let cost = usage.map_or(0, |usage| self.cost(usage, request.most_nano_usd));
        let kind = failure.kind.name();
        let mut attempt = self.attempt(batch, request, status, kind, failure.to_string());
        if let Some(call) = &mut attempt.call {
            call.request_id.clone_from(&failure.request_id);
            call.prompt_tokens = usage.and_then(|usage| usage.input);
            call.completion_tokens = usage.and_then(|usage| usage.output);
            call.cost_nano_usd = self.priced(cost);
        }
        (attempt, cost)
    }

    /// A request that got no answer; it cost nothing.
    pub(super) fn attempt(
        &self,
        batch: &Batch,
        request: &BatchRequest,
        status: Option<u16>,
        kind: &str,
        message: String,
    ) -> Attempt {
        let failed = AttemptStatus::Failed {
            kind: kind.to_owned(),
            message,
        };
        self.try_at(batch, request, failed, status)
    }

    fn try_at(
        &self,
        batch: &Batch,
        request: &BatchRequest,
        status: AttemptStatus,
        http_status: Option<u16>,
    ) -> Attempt {
        try_at(batch, request, status, http_status, self.priced(0))
    }

    /// What tokens cost in a batch; the most that they may where their number is not told.
    fn cost(&self, usage: Usage, most: NanoUsd) -> NanoUsd {
        let price = self.service.teacher.options.batch_price;
        match (price, usage.input, usage.output) {
            (None, ..) => 0,
            (Some(price), Some(input), Some(output)) => {
                price.cost(input, usage.cached.unwrap_or(0), output)
            }
            _ => most,
        }
    }

    /// `None` where no price is known.
    pub(super) fn priced(&self, cost: NanoUsd) -> Option<NanoUsd> {
        self.service.teacher.options.batch_price.map(|_| cost)
    }
}

/// What a request of a batch came to.
pub(super) fn try_at(
    batch: &Batch,
    request: &BatchRequest,
    status: AttemptStatus,
    http_status: Option<u16>,
    cost_nano_usd: Option<NanoUsd>,
) -> Attempt {
    let key: TraceKey = batch.key(request);
    let began = batch.submitted_at.as_ref().unwrap_or(&batch.created_at);
    // Nothing tells how long the teacher itself took, so it counts until the answer was here.
    let took = began
        .parse::<Timestamp>()
        .map(|began| Timestamp::now().duration_since(began).as_millis());
    Attempt {
        prompt_id: key.prompt_id,
        trace_id: request.trace_id.clone(),
        teacher: Some(key.teacher),
        started_at: began.clone(),
        waited_ms: 0,
        latency_ms: took.map_or(0, |took| u64::try_from(took).unwrap_or(0)),
        status,
        call: Some(Box::new(Call {
            endpoint: batch.endpoint.clone(),
            key_alias: batch.key_alias.clone(),
            http_status,
            cost_nano_usd,
            ..Call::default()
        })),
    }
}
