//! `[harvest]`: what the teacher is asked, and how.

use limbeck_store::{Reasoning, SamplingParameters};
use serde::{Deserialize, Serialize};

use super::source_table::{PromptTable, optional_string_or_table};

/// The name of the phrasing that `[harvest]` itself describes.
pub const MAIN_PHRASING: &str = "main";

/// `[harvest]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarvestSection {
    /// The teacher that is asked, or a list of several that are asked side by side; may be left out where there is only
    /// one. The first of them also answers the evaluation suites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Names>,
    /// The rows that are asked about; may be left out where there is an `[[import]]`.
    #[serde(
        default,
        deserialize_with = "optional_string_or_table",
        skip_serializing_if = "Option::is_none"
    )]
    pub prompts: Option<PromptTable>,
    /// A template of what the student sees; what the teacher is asked, without instructions and examples, if it is
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether the teacher continues a text or answers in a chat.
    #[serde(default)]
    pub form: Form,
    /// A template of what the teacher is asked about a row; its `messages` or `prompt` if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A text file with instructions for the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// A JSONL file of worked examples: the columns that `template` needs, and the `answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<String>,
    /// The answers to choose from; free text if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// Answers to each prompt.
    #[serde(default = "one")]
    pub samples: u32,
    /// How free text is drawn.
    #[serde(default)]
    pub sampling: SamplingSection,
    /// More ways of asking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phrasing: Vec<PhrasingSection>,
}

/// One name, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Names {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

impl HarvestSection {
    /// How the recipe asks.
    pub fn parameters(&self) -> SamplingParameters {
        let sampling = &self.sampling;
        let mut parameters = match &self.choices {
            Some(choices) => SamplingParameters::choose(choices.clone()),
            None => SamplingParameters {
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                max_tokens: sampling.max_tokens,
                top_logprobs: sampling.top_logprobs,
                seed: sampling.seed,
                ..SamplingParameters::choose(Vec::new())
            },
        };
        if self.choices.is_none() {
            parameters.stop.clone_from(&sampling.stop);
            parameters.json_schema.clone_from(&sampling.json_schema);
        }
        parameters.reasoning = sampling.reasoning;
        parameters
    }
}

/// `[[harvest.phrasing]]`: another way of asking the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhrasingSection {
    /// What reports and verdicts call it.
    pub name: String,
    /// As in `[harvest]`.
    #[serde(default)]
    pub form: Form,
    /// As in `[harvest]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// As in `[harvest]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// As in `[harvest]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<String>,
    /// How many of the prompts are asked in this way too; all if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// How much its answers count beside those of the other ways.
    #[serde(default = "whole")]
    pub weight: f64,
}

/// How a question is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// In the turns of the model's chat template.
    #[default]
    Chat,
    /// As a plain text that the model continues.
    Completion,
}

/// `sampling` of `[harvest]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingSection {
    /// 0 takes the likeliest token each time.
    pub temperature: f32,
    /// Only the likeliest tokens that together reach this probability are drawn.
    pub top_p: f32,
    /// The most tokens of one answer.
    pub max_tokens: u32,
    /// How many of the likeliest tokens are kept with their log-probabilities at every position.
    pub top_logprobs: u32,
    /// Another seed draws other answers.
    pub seed: u64,
    /// Texts that end the answer and are left out of it; only a service takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// The JSON schema that the answer keeps to; only a service takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<serde_json::Value>,
    /// How much the teacher thinks before it answers; only a service takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
}

impl Default for SamplingSection {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 0.95,
            max_tokens: 256,
            top_logprobs: 0,
            seed: 1,
            stop: Vec::new(),
            json_schema: None,
            reasoning: None,
        }
    }
}

fn one() -> u32 {
    1
}

fn whole() -> f64 {
    1.0
}
