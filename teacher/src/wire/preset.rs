//! The services that Limbeck knows by name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::efforts::Efforts;

/// How one service is spoken to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Preset {
    /// What a recipe calls it.
    #[serde(skip)]
    pub name: String,
    /// The language it speaks.
    pub dialect: Dialect,
    /// Where it is, unless a recipe says otherwise; `None` where each customer has an address.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The variable of the environment that holds its key, unless a recipe names another; `None` for servers that
    /// want none.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The header that carries the key.
    #[serde(default)]
    pub key_header: KeyHeader,
    /// What the answer's most tokens are called in a request.
    #[serde(default)]
    pub(super) max_tokens_field: MaxTokensField,
    /// What the seed is called; `None` where none is taken.
    #[serde(default)]
    pub(super) seed_field: Option<String>,
    /// Whether there is `/completions`.
    #[serde(default)]
    pub(super) completions: bool,
    /// The most alternatives at one position that it tells, where that differs from chats.
    #[serde(default)]
    pub(super) completion_logprobs: Option<u32>,
    /// Whether usage in a stream has to be asked for.
    #[serde(default)]
    pub(super) stream_usage: bool,
    /// Whether an answer may hold the `</think>` of a `<think>` that stands in the prompt.
    #[serde(default)]
    pub(super) think_tag_in_prompt: bool,
    /// What is taken off the price of what is asked in batches: 0.5 is half of it. `None` where there are no batches.
    #[serde(default)]
    pub batch_discount: Option<f64>,
    /// How it speaks of batches.
    #[serde(flatten)]
    pub(crate) batches: BatchWays,
    /// Over how many seconds headers count requests, where they do not say.
    #[serde(default = "a_minute")]
    pub(super) requests_window_s: u64,
    /// The same for tokens.
    #[serde(default = "a_minute")]
    pub(super) tokens_window_s: u64,
    /// What its models take.
    #[serde(flatten)]
    takes: Abilities,
    /// What some of them take instead.
    #[serde(default)]
    models: Vec<ModelAbilities>,
    /// What its models cost.
    #[serde(default)]
    prices: Vec<Price>,
}

/// How a service speaks of batches, where it takes them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct BatchWays {
    /// What stands before a request's path where a batch is told what its requests are for.
    #[serde(default = "first_version", rename = "batch_root")]
    pub(super) root: String,
    /// What the cursor is called by which the next page of its list of batches is asked for; `None` where that is the
    /// last batch of the page.
    #[serde(default, rename = "batch_cursor")]
    pub(super) cursor: Option<String>,
    /// Whether a batch that is listed tells of the marker that it was made with.
    #[serde(default = "yes", rename = "batch_marker")]
    pub(crate) tells_marker: bool,
}

/// What models take; `None` for what is said elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
struct Abilities {
    top_logprobs: Option<u32>,
    json_schema: Option<bool>,
    stop: Option<usize>,
    most_temperature: Option<f32>,
    sampling: Option<SamplingAbility>,
    reasoning: Option<ReasoningAbility>,
    efforts: Option<Efforts>,
    thinks_by_itself: Option<bool>,
}

/// What some models of a service take.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct ModelAbilities {
    names: Vec<String>,
    #[serde(flatten)]
    takes: Abilities,
}

/// What one model takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ModelProfile {
    /// The most alternatives at one position; 0 where no log-probabilities are told.
    pub(super) top_logprobs: u32,
    /// Whether answers can be held to a schema.
    pub(super) json_schema: bool,
    /// The most stop texts.
    pub(super) stop: usize,
    /// The highest temperature.
    pub(super) most_temperature: f32,
    /// Whether temperature and nucleus can be set.
    pub(super) sampling: SamplingAbility,
    /// How it is asked to think.
    pub(super) reasoning: ReasoningAbility,
    /// The efforts that it tells apart; `None` where that is for the service to say.
    pub(super) efforts: Option<Efforts>,
    /// Whether it thinks where it is not told how much.
    pub(super) thinks_by_itself: bool,
}

/// What the answer's most tokens are called in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MaxTokensField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

impl MaxTokensField {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// Whether temperature and nucleus can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SamplingAbility {
    /// Both.
    #[default]
    Always,
    /// One of them.
    OneOfTwo,
    /// Both, unless the model is asked to think.
    WithoutReasoning,
    /// Neither.
    Never,
}

/// How much thinking a model can be asked for, and in what words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReasoningAbility {
    /// None; it does as it always does.
    #[default]
    None,
    /// `reasoning_effort`.
    Effort,
    /// An object `reasoning` with an effort or a budget.
    Openrouter,
    /// An object `reasoning` that switches it on or off, and `reasoning_effort`.
    Together,
    /// `thinking`, on or off, and `reasoning_effort`.
    Deepseek,
    /// A budget of tokens.
    Budget,
    /// `reasoning_effort`, which is an effort or a budget of tokens.
    EffortOrBudget,
    /// As much as the model finds right, guided by an effort.
    Adaptive,
    /// A level.
    Level,
}

/// The language that a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `OpenAI`'s chat completions and completions.
    Openai,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
}

/// The header that carries a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// `authorization: Bearer KEY`.
    #[default]
    Authorization,
    /// `x-api-key: KEY`.
    XApiKey,
    /// `x-goog-api-key: KEY`.
    XGoogApiKey,
    /// `api-key: KEY`.
    ApiKey,
}

impl KeyHeader {
    /// The header's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::XApiKey => "x-api-key",
            Self::XGoogApiKey => "x-goog-api-key",
            Self::ApiKey => "api-key",
        }
    }

    /// What stands before the key in it.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Authorization => "Bearer ",
            Self::XApiKey | Self::XGoogApiKey | Self::ApiKey => "",
        }
    }
}

/// What a model costs, in USD for a million tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The model; a `*` at the end stands for any ending.
    pub model: String,
    /// Tokens read.
    pub input: f64,
    /// Tokens read from a cache, where that is cheaper.
    #[serde(default)]
    pub cached: Option<f64>,
    /// Tokens written, reasoning included.
    pub output: f64,
    /// The day on which the price was looked up, as `YYYY-MM-DD`.
    pub as_of: String,
}

impl Preset {
    /// What `model` costs, if that is known. The last entry that matches wins.
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.prices
            .iter()
            .rev()
            .find(|price| matches(&price.model, model))
    }

    /// What `model` takes.
    pub(super) fn profile(&self, model: &str) -> ModelProfile {
        let special = self
            .models
            .iter()
            .rev()
            .filter(|entry| entry.names.iter().any(|name| matches(name, model)))
            .map(|entry| entry.takes);
        let takes: Vec<Abilities> = special.chain([self.takes]).collect();
        ModelProfile {
            top_logprobs: takes.iter().find_map(|t| t.top_logprobs).unwrap_or(0),
            json_schema: takes.iter().find_map(|t| t.json_schema).unwrap_or(false),
            stop: takes.iter().find_map(|t| t.stop).unwrap_or(4),
            most_temperature: takes.iter().find_map(|t| t.most_temperature).unwrap_or(2.0),
            sampling: takes.iter().find_map(|t| t.sampling).unwrap_or_default(),
            reasoning: takes.iter().find_map(|t| t.reasoning).unwrap_or_default(),
            efforts: takes.iter().find_map(|t| t.efforts),
            thinks_by_itself: takes
                .iter()
                .find_map(|t| t.thinks_by_itself)
                .unwrap_or(false),
        }
    }
}

/// Whether `model` is meant by `pattern`, whose `*` at the end stands for any ending.
fn matches(pattern: &str, model: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => model.starts_with(start),
        None => pattern == model,
    }
}

fn a_minute() -> u64 {
    60
}

fn first_version() -> String {
    "/v1".to_owned()
}

fn yes() -> bool {
    true
}

static PRESETS: LazyLock<BTreeMap<String, Preset>> = LazyLock::new(|| {
    let mut presets: BTreeMap<String, Preset> =
        toml::from_str(include_str!("../../providers.toml")).expect("a test reads the same file");
    for (name, preset) in &mut presets {
        preset.name.clone_from(name);
    }
    presets
});

/// The service that a recipe calls `name`.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.get(name)
}

/// The service that a recipe calls `name` and has put at `base_url`.
///
/// `openai` elsewhere than at `OpenAI` is the preset `compatible`: other servers that speak the dialect do not know
/// its newest fields, and must not be sent its key.
pub fn preset_at(name: &str, base_url: Option<&str>) -> Option<&'static Preset> {
    let host = |base_url: &str| {
        url::Url::parse(base_url)
            .ok()?
            .host_str()
            .map(str::to_owned)
    };
    let at_home = |host: String| host == "openai.com" || host.ends_with(".openai.com");
    match base_url {
        Some(base_url) if name == "openai" && !host(base_url).is_some_and(at_home) => {
            preset("compatible")
        }
        _ => preset(name),
    }
}

/// The names of all services, in alphabetical order.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_services_can_be_read_and_holds_no_unknown_key() {
        let text = include_str!("../../providers.toml");
        let table: toml::Table = toml::from_str(text).unwrap();
        assert_eq!(preset_names().count(), table.len());
        let known: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter_map(|line| line.split("  ").next())
            .flat_map(|names| names.split(", "))
            .collect();
        let deeper = ["names", "model", "input", "cached", "output", "as_of"];
        for (name, provider) in &table {
            for (key, value) in provider.as_table().unwrap() {
                let entries = value.as_array();
                let tables = entries.filter(|entries| entries.iter().all(toml::Value::is_table));
                let Some(entries) = tables else {
                    assert!(known.contains(&key.as_str()), "{name}.{key}");
                    continue;
                };
                for entry in entries {
                    for key in entry.as_table().unwrap().keys() {
                        let key = key.as_str();
                        assert!(
                            deeper.contains(&key) || known.contains(&key),
                            "{name}: {key}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn openai_elsewhere_is_any_server_that_speaks_its_dialect() {
        let name = |name, base_url| preset_at(name, base_url).map(|preset| preset.name.as_str());
        assert_eq!(name("openai", None), Some("openai"));
        assert_eq!(
            name("openai", Some("https://eu.api.openai.com/v1")),
            Some("openai")
        );
        for base_url in [
            "http://127.0.0.1:9/v1",
            "https://api.openai.com.evil.org",
            "no address",
        ] {
            let elsewhere = preset_at("openai", Some(base_url)).unwrap();
            assert_eq!(
                (elsewhere.name.as_str(), &elsewhere.key_env),
                ("compatible", &None)
            );
            assert_eq!(elsewhere.max_tokens_field, MaxTokensField::MaxTokens);
        }
        assert_eq!(name("groq", Some("http://127.0.0.1:9/v1")), Some("groq"));
        assert_eq!(name("nobody", None), None);
    }

    #[test]
    fn prices_are_dated_and_plausible() {
        for name in preset_names() {
            for price in &preset(name).unwrap().prices {
                assert!(
                    price.as_of.parse::<jiff::civil::Date>().is_ok(),
                    "{price:?}"
                );
                assert!(
                    price.input > 0.0 && price.output >= price.input,
                    "{price:?}"
                );
                assert!(
                    price.cached.is_none_or(|cached| cached < price.input),
                    "{price:?}"
                );
            }
        }
    }

    #[test]
    fn the_last_entry_that_matches_wins_setting_by_setting() {
        let openai = preset("openai").unwrap();
        assert_eq!(openai.profile("gpt-4o").top_logprobs, 20);
        assert_eq!(
            openai.profile("gpt-5-mini").sampling,
            SamplingAbility::Never
        );
        let newer = openai.profile("gpt-5.2");
        assert_eq!(newer.sampling, SamplingAbility::WithoutReasoning);
        assert_eq!((newer.stop, newer.top_logprobs), (0, 0));
        assert_eq!(openai.price("gpt-4.1-mini-2025-04-14").unwrap().input, 0.40);
        assert_eq!(openai.price("gpt-4.1-something"), None);
    }
}
