//! A teacher over the network: one question becomes as many requests as it takes.
//!
//! - [`options`]: what is to be known of it
//! - [`key`]: a key that is never printed
//! - [`endpoint`]: one address with its limits and its health, and the choice among several
//! - [`client`]: one request and its response
//! - [`question`]: one question, from its first attempt to its last
//! - [`batch`]: many questions handed over at once
//! - [`answer`]: from what a service says to what is kept

mod answer;
mod batch;
mod client;
mod endpoint;
mod key;
mod options;
mod question;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use limbeck_store::Spent;
use tokio_util::sync::CancellationToken;

use self::endpoint::Endpoints;
use self::question::Asking;
use crate::pace::{Demand, NanoUsd, Price, Purse};
use crate::retry::RetryBudget;
use crate::{Ask, Asked, Teacher, TeacherIdentity};

pub use answer::kept_answer;
pub use batch::{
    BatchDoubt, BatchNotice, BatchOptions, BatchReporters, BatchSummary, BatchWatcher,
    cancel_batch, forget_batch, harvest_in_batches, poll_batch,
};
pub use key::{ApiKey, KeyError};
pub use options::{
    ApiEndpoint, ApiError, ApiNotice, ApiOptions, ApiWatcher, SilentWatcher, Timeouts,
};

/// A model behind an API. It keeps its limits itself, over all harvests that ask it.
pub struct ApiTeacher {
    identity: TeacherIdentity,
    options: ApiOptions,
    endpoints: Endpoints,
    purse: Arc<Purse>,
    budget: RetryBudget,
    /// Learnt from answers, for reserving no more than a prompt can take.
    tokens_of_bytes: answer::TokensOfBytes,
}

/// What a teacher has used and may use at present.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PaceView {
    /// Each limit: its key in a recipe, what counts against it now, and what it allows; of several keys, the sums.
    pub limits: Vec<(&'static str, u64, u64)>,
    /// Requests under way.
    pub in_flight: usize,
    /// For how long nothing is begun with any key, because the service asked for it.
    pub paused: Duration,
    /// What was spent in all runs of the work folder.
    pub spent: NanoUsd,
}

impl ApiTeacher {
    /// Makes it ready; nothing is sent yet.
    pub fn new(options: ApiOptions) -> Result<Self, ApiError> {
        options.limits.check()?;
        options.retry.check()?;
        if options.limits.spend_usd.is_some() && options.price.is_none() {
            return Err(ApiError::NoPrice {
                teacher: options.name,
                model: options.model,
            });
        }
        let purse = Purse::new(&options.limits);
        let endpoints = Endpoints::new(&options, &purse)?;
        let Some(first) = endpoints.all().first() else {
            return Err(ApiError::NoEndpoint {
                teacher: options.name,
            });
        };
        let route = options.route.clone().unwrap_or_else(|| first.name.clone());
        Ok(Self {
            identity: TeacherIdentity {
                name: options.name.clone(),
                provider: options.preset.name.clone(),
                model: options.model.clone(),
                model_sha256: None,
                route,
                license: options.license.clone(),
            },
            options,
            endpoints,
            purse,
            budget: RetryBudget::default(),
            tokens_of_bytes: answer::TokensOfBytes::default(),
        })
    }

    /// Counts what earlier runs cost in all against the cap. Called before anything is asked.
    pub fn remember_cost(&self, cost: NanoUsd) {
        self.purse.remember(cost);
    }

    /// Counts what earlier runs did in the last 24 hours against the limits. Called before anything is asked, as often
    /// as there is more, the oldest first.
    pub fn remember(&self, spent: &[Spent]) {
        let now = Timestamp::now();
        for pacer in &self.endpoints.pacers {
            let same_key = |spent: &&Spent| {
                self.endpoints.all().iter().any(|endpoint| {
                    let known = match (&endpoint.key, &spent.key_alias) {
                        (Some(key), Some(alias)) => key.alias() == alias,
                        (None, None) => spent.endpoint.starts_with(&endpoint.name),
                        _ => false,
                    };
                    known && Arc::ptr_eq(&endpoint.pacer, pacer)
                })
            };
            let mut requests: Vec<(Duration, Demand)> = spent
                .iter()
                .filter(same_key)
                .filter_map(|spent| {
                    let then: Timestamp = spent.started_at.parse().ok()?;
                    // What a clock that was set back shows as in the future counts as now.
                    let ago = Duration::try_from(now.duration_since(then)).unwrap_or_default();
                    let used = Demand {
                        input_tokens: spent.prompt_tokens,
                        output_tokens: spent.completion_tokens,
                        cost: 0,
                    };
                    Some((ago, used))
                })
                .collect();
            requests.sort_by_key(|&(ago, _)| std::cmp::Reverse(ago));
            pacer.remember(requests);
        }
    }

    /// How it stands with the limits.
    pub fn pace(&self) -> PaceView {
        let mut view = PaceView {
            spent: self.purse.spent(),
            ..PaceView::default()
        };
        let usages: Vec<_> = self.endpoints.pacers.iter().map(|p| p.usage()).collect();
        for usage in &usages {
            view.in_flight += usage.in_flight;
            for &(field, used, allowed) in &usage.limits {
                match view.limits.iter_mut().find(|(known, ..)| *known == field) {
                    Some((_, sum, allowance)) => {
                        *sum += used;
                        *allowance = allowance.saturating_add(allowed);
                    }
                    None => view.limits.push((field, used, allowed)),
                }
            }
        }
        let paused = usages.iter().map(|usage| usage.paused);
        view.paused = paused.min().unwrap_or_default();
        view
    }

    /// The most that one question may use, before it is sent: for telling what a harvest may cost.
    pub fn most_of(&self, ask: &Ask) -> (u64, u64, NanoUsd) {
        let demand = self.demand(ask, u64::from(ask.parameters.max_tokens));
        (demand.input_tokens, demand.output_tokens, demand.cost)
    }

    /// `output`: the most tokens that the answer may take.
    fn demand(&self, ask: &Ask, output: u64) -> Demand {
        self.demand_at(self.options.price, ask, output)
    }

    fn demand_at(&self, price: Option<Price>, ask: &Ask, output: u64) -> Demand {
        let bytes = ask.prompt_bytes();
        let input = self.tokens_of_bytes.at_most(bytes);
        // Money is reserved by what is certain, limits by what was learnt.
        let certain = answer::TokensOfBytes::certainly_at_most(bytes);
        Demand {
            input_tokens: input,
            output_tokens: output,
            cost: price.map_or(0, |price| price.cost(certain, 0, output)),
        }
    }
}

#[async_trait]
impl Teacher for ApiTeacher {
    fn identity(&self) -> &TeacherIdentity {
        &self.identity
    }

    async fn ask(&self, ask: &Ask, cancel: &CancellationToken) -> Asked {
        Asking::new(self, ask, cancel).run().await
    }

    fn places(&self) -> Option<usize> {
        let of = |at: &ApiEndpoint| {
            at.limits
                .as_ref()
                .unwrap_or(&self.options.limits)
                .concurrent
        };
        // As many for each key as it may have in flight; endpoints of one key share them.
        let mut keys: Vec<Option<&str>> = Vec::new();
        let mut places = 0;
        for at in &self.options.endpoints {
            let alias = at.key.as_ref().map(ApiKey::alias);
            if alias.is_none() || at.limits.is_some() || !keys.contains(&alias) {
                places += of(at);
                keys.push(alias);
            }
        }
        Some(places)
    }
}
