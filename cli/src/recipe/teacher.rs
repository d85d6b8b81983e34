//! `[[teacher]]`: who is asked.

use std::time::Duration;

use limbeck_teacher::{Limits, Price, RetryPolicy, Timeouts, wire};
use serde::{Deserialize, Serialize};

use super::batch::{BatchSection, switch_or_table};

/// The provider that is no service: a model that this process runs itself.
pub(super) const LOCAL: &str = "local";

/// `[[teacher]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherSection {
    /// What the other sections call it.
    pub name: String,
    /// `local`: a model that this process runs itself; else the name of a service.
    pub provider: String,
    /// The source of a GGUF file or of a Hugging Face folder; for a service, its own name of the model.
    pub model: String,
    /// Of the model file, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The model's licence, where its file does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The pace at which it is asked.
    #[serde(default)]
    pub limits: LimitsSection,
    /// The base of the service's addresses, where it is not the provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The variable of the environment that holds the key, where it is not the provider's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The way to the model, part of every answer's identity; host and path of the first address if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The plan that the user has, for receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The region that the user has chosen, for receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How long the provider keeps what it is sent, such as `30 days`, for receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// With whom the user has the contract, for receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contracting_entity: Option<String>,
    /// Several addresses of the service, over which the load is spread; instead of `base_url`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointSection>,
    /// When a question is put again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetrySection>,
    /// What the service takes, in US dollars for a million tokens; what is known of the provider if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Whether answers come in pieces, so that one that is taken back is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Whether, and how, it is asked in batches.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "switch_or_table"
    )]
    pub batch: Option<BatchSection>,
    /// How long to wait for the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeoutSection>,
}

impl TeacherSection {
    /// Whether this process runs the model itself.
    pub fn is_local(&self) -> bool {
        self.provider == LOCAL
    }

    /// The service, for one that is.
    pub fn preset(&self) -> Option<&'static wire::Preset> {
        wire::preset(&self.provider)
    }

    /// What it takes for its tokens, by the recipe or by what is known of the provider.
    pub fn price(&self) -> Option<Price> {
        let known = || {
            // Another address may be another service, with prices of its own.
            let elsewhere = self.base_url.is_some() || !self.endpoints.is_empty();
            let price = (!elsewhere).then(|| self.preset()?.price(&self.model))??;
            Some(Price {
                input: price.input,
                output: price.output,
                cached_input: price.cached,
            })
        };
        self.price.or_else(known)
    }

    /// The same for what is asked in batches, where the service takes them.
    pub fn batch_price(&self) -> Option<Price> {
        let discount = self.preset()?.batch_discount?;
        Some(self.price()?.with_discount(discount))
    }

    /// What the harvest pays: the price of batches if it asks in batches.
    pub fn harvest_price(&self) -> Option<Price> {
        match self.batch {
            Some(_) => self.batch_price(),
            None => self.price(),
        }
    }

    /// The addresses: `endpoints`, or the one that `base_url` and `api_key_env` describe.
    pub fn endpoints(&self) -> Vec<EndpointSection> {
        if self.endpoints.is_empty() {
            return vec![EndpointSection {
                base_url: self.base_url.clone(),
                api_key_env: self.api_key_env.clone(),
                limits: None,
            }];
        }
        let mut endpoints = self.endpoints.clone();
        for endpoint in &mut endpoints {
            endpoint.api_key_env = endpoint
                .api_key_env
                .take()
                .or_else(|| self.api_key_env.clone());
        }
        endpoints
    }

    /// When a question is put again.
    pub fn retry(&self) -> RetryPolicy {
        self.retry.unwrap_or_default().policy()
    }

    /// How many tokens an answer may have that is asked for again because it was cut off.
    pub fn truncated_max_tokens(&self) -> Option<u32> {
        self.retry?.truncated_max_tokens
    }
}

/// One of the `endpoints` of a teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSection {
    /// The base of its addresses; the provider's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The variable that holds the key to it; the teacher's if it is not given. Those with the same key share limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Its own limits, where they are not the teacher's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSection>,
}

/// `retry` of a teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySection {
    /// Attempts at one question, the first included.
    pub attempts: u32,
    /// The longest wait before the second attempt, in seconds; it doubles with each further one.
    pub first_wait_s: f64,
    /// The longest wait of all, in seconds.
    pub longest_wait_s: f64,
    /// An answer that was cut off is asked for once more with this many tokens; not at all if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_max_tokens: Option<u32>,
}

impl RetrySection {
    pub(super) fn policy(self) -> RetryPolicy {
        RetryPolicy {
            attempts: self.attempts,
            first_wait_s: self.first_wait_s,
            longest_wait_s: self.longest_wait_s,
        }
    }
}

impl Default for RetrySection {
    fn default() -> Self {
        let RetryPolicy {
            attempts,
            first_wait_s,
            longest_wait_s,
        } = RetryPolicy::default();
        Self {
            attempts,
            first_wait_s,
            longest_wait_s,
            truncated_max_tokens: None,
        }
    }
}

/// `timeout` of a teacher, all in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "a recipe's keys say their unit")]
pub struct TimeoutSection {
    /// For a connection.
    pub connect_s: f64,
    /// For the first byte of a response.
    pub first_byte_s: f64,
    /// Between two pieces of it.
    pub idle_s: f64,
    /// For the whole of it.
    pub total_s: f64,
}

impl TimeoutSection {
    /// As a client keeps them.
    pub fn timeouts(self) -> Timeouts {
        Timeouts {
            connect: Duration::from_secs_f64(self.connect_s),
            first_byte: Duration::from_secs_f64(self.first_byte_s),
            idle: Duration::from_secs_f64(self.idle_s),
            total: Duration::from_secs_f64(self.total_s),
        }
    }

    /// Each with its key.
    pub(super) fn given(self) -> [(&'static str, f64); 4] {
        [
            ("connect_s", self.connect_s),
            ("first_byte_s", self.first_byte_s),
            ("idle_s", self.idle_s),
            ("total_s", self.total_s),
        ]
    }
}

impl Default for TimeoutSection {
    fn default() -> Self {
        let timeouts = Timeouts::default();
        Self {
            connect_s: timeouts.connect.as_secs_f64(),
            first_byte_s: timeouts.first_byte.as_secs_f64(),
            idle_s: timeouts.idle.as_secs_f64(),
            total_s: timeouts.total.as_secs_f64(),
        }
    }
}

/// `limits` of a teacher; what is not given is not limited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Questions in flight at once; for a local teacher, sequences decoded together.
    #[serde(default = "default_concurrent")]
    pub concurrent: u32,
    /// Requests in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens read in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens written in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Tokens read and written in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests in any 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Tokens read and written in any 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// US dollars in one work folder, over all runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend_usd: Option<f64>,
}

impl LimitsSection {
    /// As a harvest keeps them.
    pub fn limits(&self) -> Limits {
        Limits {
            concurrent: self.concurrent as usize,
            requests_per_minute: self.requests_per_minute,
            input_tokens_per_minute: self.input_tokens_per_minute,
            output_tokens_per_minute: self.output_tokens_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            requests_per_day: self.requests_per_day,
            tokens_per_day: self.tokens_per_day,
            spend_usd: self.spend_usd,
        }
    }

    /// Each limit that is given, with its key; `concurrent` apart.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let given = [
            ("requests_per_minute", self.requests_per_minute),
            ("input_tokens_per_minute", self.input_tokens_per_minute),
            ("output_tokens_per_minute", self.output_tokens_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("requests_per_day", self.requests_per_day),
            ("tokens_per_day", self.tokens_per_day),
        ];
        given
            .into_iter()
            .filter_map(|(key, limit)| Some((key, limit?)))
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            concurrent: default_concurrent(),
            requests_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            tokens_per_minute: None,
            requests_per_day: None,
            tokens_per_day: None,
            spend_usd: None,
        }
    }
}

fn default_concurrent() -> u32 {
    32
}
