//! From what a service says to what is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use limbeck_store::{FinishReason, ServiceReceipt, TokenLogProbabilities, Trace};

use super::key::ApiKey;
use super::options::ApiOptions;
use crate::Answer;
use crate::pace::{Demand, Limits, Price};
use crate::wire::{Failure, FailureKind, Finish, Usage, WireAnswer, WireToken};

/// Tokens that a service may add to a prompt: marks of turns, and instructions of its own.
const TOKENS_ADDED: u64 = 64;
/// A ratio is learnt from prompts of at least so many bytes; in short ones what is added counts for more.
const LEAST_BYTES: u64 = 32;
/// The ratio is trusted after so many answers...
const LEAST_ANSWERS: u64 = 20;
/// ...with this much room, in a fixed-point number of [`ONE`].
const ROOM: u64 = ONE / 4;
const ONE: u64 = 1 << 16;

/// How many tokens a prompt of so many bytes takes at most. Every tokenizer makes at most one token of a byte; most
/// make one of four, which the first answers show.
#[derive(Debug, Default)]
pub(super) struct TokensOfBytes {
    answers: AtomicU64,
    /// The largest ratio seen, times [`ONE`].
    largest: AtomicU64,
}

impl TokensOfBytes {
    pub(super) fn certainly_at_most(bytes: u64) -> u64 {
        bytes + TOKENS_ADDED
    }

    pub(super) fn at_most(&self, bytes: u64) -> u64 {
        let certain = Self::certainly_at_most(bytes);
        if self.answers.load(Ordering::Relaxed) < LEAST_ANSWERS {
            return certain;
        }
        let ratio = self.largest.load(Ordering::Relaxed) + ROOM;
        certain.min(bytes.max(LEAST_BYTES).saturating_mul(ratio) / ONE + TOKENS_ADDED)
    }

    pub(super) fn learn(&self, bytes: u64, tokens: Option<u64>) {
        if let Some(tokens) = tokens {
            let ratio = tokens.saturating_mul(ONE) / bytes.max(LEAST_BYTES);
            self.largest.fetch_max(ratio, Ordering::Relaxed);
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What an answer used by its own account; where it says nothing, the most that it can have been.
pub(super) fn used(usage: Usage, demand: Demand, price: Option<Price>) -> Demand {
    let input = usage.input.unwrap_or(demand.input_tokens);
    let output = usage.output.unwrap_or(demand.output_tokens);
    let cached = usage.cached.unwrap_or(0);
    Demand {
        input_tokens: input,
        output_tokens: output,
        cost: price.map_or(0, |price| price.cost(input, cached, output)),
    }
}

/// What is kept of an answer to free text that this program did not ask for itself, such as a line of a batch's output.
///
/// # Errors
/// The [`Failure`] that the answer comes to where it says nothing.
pub fn kept_answer(answer: WireAnswer) -> Result<Trace, Failure> {
    check(Ok(answer), &[], None).map(|answer| trace(&[], answer))
}

/// What must not be kept as an answer: one that says nothing, and one that holds the key.
pub(super) fn check(
    result: Result<WireAnswer, Failure>,
    choices: &[String],
    key: Option<&ApiKey>,
) -> Result<WireAnswer, Failure> {
    let answer = result.map_err(|failure| match key {
        Some(key) => failure.without_secret(key.secret()),
        None => failure,
    })?;
    let failed = |kind, message: &str, worth_retrying| Failure {
        worth_retrying,
        usage: Some(Box::new(answer.usage)),
        request_id: answer.request_id.clone(),
        ..Failure::transport(kind, message)
    };
    if let Some(key) = key {
        let told = [&answer.reasoning, &answer.model, &answer.response_id]
            .into_iter()
            .chain([&answer.request_id, &answer.system_fingerprint])
            .flatten();
        if told.chain([&answer.text]).any(|text| key.is_in(text)) {
            let message = "the answer repeats the key, so it is not kept";
            return Err(Failure {
                request_id: None,
                ..failed(FailureKind::Malformed, message, false)
            });
        }
    }
    if !choices.is_empty() {
        answer.choose(choices)?;
        return Ok(answer);
    }
    let silent = answer.text.trim().is_empty();
    match &answer.finish {
        _ if answer.retraction.is_some() => Ok(answer),
        Finish::Refusal if silent => {
            Err(failed(FailureKind::Refused, "the teacher refused", false))
        }
        Finish::ContentFilter if silent => {
            let message = "a filter of the service refused the question";
            Err(failed(FailureKind::Policy, message, false))
        }
        Finish::Tool if silent => {
            let message = "the answer is a call of a tool, and none was offered";
            Err(failed(FailureKind::Malformed, message, true))
        }
        Finish::Length => Ok(answer),
        _ if silent => {
            let message = "the answer is empty";
            Err(failed(FailureKind::Malformed, message, true))
        }
        _ => Ok(answer),
    }
}

/// What a receipt needs beside the answer.
pub(super) struct Receipt<'a> {
    pub(super) options: &'a ApiOptions,
    pub(super) endpoint: &'a str,
    pub(super) key_alias: Option<&'a str>,
    /// The endpoint's own, where they are not the teacher's.
    pub(super) limits: Option<&'a Limits>,
    pub(super) request_sha256: String,
    pub(super) response_sha256: String,
}

impl Receipt<'_> {
    pub(super) fn answer(
        self,
        choices: &[String],
        answer: WireAnswer,
        latency: Duration,
    ) -> Answer {
        let service = ServiceReceipt {
            endpoint: self.endpoint.to_owned(),
            plan: self.options.plan.clone(),
            region: self.options.region.clone(),
            retention: self.options.retention.clone(),
            contracting_entity: self.options.contracting_entity.clone(),
            key_alias: self.key_alias.map(str::to_owned),
            request_id: answer
                .request_id
                .clone()
                .or_else(|| answer.response_id.clone()),
            answered_model: answer.model.clone(),
            system_fingerprint: answer.system_fingerprint.clone(),
        };
        Answer {
            trace: trace(choices, answer),
            latency,
            limits: self.limits.map(|limits| {
                let mut told = limits.for_receipts();
                // An audit counts what was asked under them apart from the rest of the key.
                told["endpoint"] = self.endpoint.into();
                told
            }),
            request_sha256: self.request_sha256,
            response_sha256: self.response_sha256,
            service: Some(Box::new(service)),
        }
    }
}

fn trace(choices: &[String], answer: WireAnswer) -> Trace {
    let count = |tokens: Option<u64>| u32::try_from(tokens.unwrap_or(0)).unwrap_or(u32::MAX);
    // Some servers tell no usage at the end of a stream, but each token with its log-probability.
    let spelled = (!answer.tokens.is_empty()).then_some(answer.tokens.len() as u64);
    let (prompt_tokens, completion_tokens) = (
        count(answer.usage.input),
        count(answer.usage.output.or(spelled)),
    );
    let (tokens, vocabulary) = by_place(&answer.tokens);
    if !choices.is_empty()
        && let Ok(chosen) = answer.choose(choices)
    {
        return Trace {
            text: choices[chosen.index].clone(),
            reasoning: answer.reasoning,
            choice_log_probabilities: chosen.log_probabilities,
            finish_reason: FinishReason::Choice,
            prompt_tokens,
            completion_tokens,
            // Those of the answer as it was drawn, which the distribution was read from.
            tokens,
            vocabulary,
            retracted: None,
        };
    }
    let retracted = answer.retraction.is_some();
    Trace {
        finish_reason: match answer.finish {
            _ if retracted => FinishReason::Filtered,
            Finish::ContentFilter | Finish::Refusal => FinishReason::Filtered,
            Finish::Length => FinishReason::Length,
            _ => FinishReason::Stop,
        },
        // What was taken back is not the answer; what stands in its place is.
        text: match &answer.retraction {
            Some(retraction) => retraction.message.clone().unwrap_or_default(),
            None => answer.text.clone(),
        },
        retracted: retracted.then_some(answer.text),
        reasoning: answer.reasoning,
        choice_log_probabilities: None,
        prompt_tokens,
        completion_tokens,
        tokens,
        vocabulary,
    }
}

/// Tokens by their places in a list of their bytes, in the order in which they are met.
fn by_place(tokens: &[WireToken]) -> (Vec<TokenLogProbabilities>, Vec<Vec<u8>>) {
    let (mut vocabulary, mut places) = (Vec::new(), HashMap::<&[u8], u32>::new());
    let mut place = |bytes| {
        *places.entry(bytes).or_insert_with(|| {
            vocabulary.push(bytes.to_vec());
            vocabulary.len() as u32 - 1
        })
    };
    let mut kept = Vec::with_capacity(tokens.len());
    for token in tokens {
        kept.push(TokenLogProbabilities {
            id: place(&token.bytes),
            log_probability: token.log_probability,
            top: token
                .top
                .iter()
                .map(|(bytes, log_probability)| (place(bytes), *log_probability))
                .collect(),
        });
    }
    (kept, vocabulary)
}

/// Headers are kept if they tell of limits, waits or identity.
const PARTS_THAT_MATTER: [&str; 6] = [
    "ratelimit",
    "tokenlimit",
    "retry-after",
    "request-id",
    "should-retry",
    "processing-ms",
];
const HEADERS_THAT_MATTER: [&str; 4] = ["date", "content-type", "server", "cf-ray"];
const MOST_HEADERS: usize = 40;
const MOST_OF_A_HEADER: usize = 200;

/// The headers of a response that are kept with an attempt, without the key.
pub(super) fn headers_that_matter(
    headers: &HeaderMap,
    key: Option<&ApiKey>,
) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let matters = HEADERS_THAT_MATTER.contains(&name)
            || PARTS_THAT_MATTER.iter().any(|part| name.contains(part));
        if !matters || kept.len() >= MOST_HEADERS {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let value = match key {
            Some(key) => key.hide(value),
            None => value,
        };
        kept.insert(
            name.to_owned(),
            value.chars().take(MOST_OF_A_HEADER).collect(),
        );
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_where_no_usage_is_told() {
        let token = |bytes: &[u8]| WireToken {
            bytes: bytes.to_vec(),
            log_probability: -0.5,
            top: Vec::new(),
        };
        let mut answer = WireAnswer {
            text: "Hi!".to_owned(),
            tokens: vec![token(b"Hi"), token(b"!")],
            ..WireAnswer::default()
        };
        assert_eq!(kept_answer(answer.clone()).unwrap().completion_tokens, 2);
        // What the service says counts: it may have written more than it tells.
        answer.usage.output = Some(9);
        assert_eq!(kept_answer(answer.clone()).unwrap().completion_tokens, 9);
        (answer.usage.output, answer.tokens) = (None, Vec::new());
        assert_eq!(kept_answer(answer).unwrap().completion_tokens, 0);
    }
}
