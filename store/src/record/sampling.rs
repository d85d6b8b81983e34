//! How a teacher is asked, and the identity of one answer.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::identity::{canonical_json, decimal, sha256_hex, write_string};

/// Everything beside the prompt that decides what a teacher answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingParameters {
    /// The answers to choose from, in the order of the log-probabilities; empty for free text.
    #[serde(default)]
    pub choices: Vec<String>,
    /// 0 takes the likeliest token each time.
    pub temperature: f32,
    /// Nucleus sampling: only the likeliest tokens that together reach this probability are drawn.
    pub top_p: f32,
    /// The most tokens of one answer.
    pub max_tokens: u32,
    /// How many of the likeliest tokens are kept with their log-probabilities at every position.
    pub top_logprobs: u32,
    /// The recipe's seed; the seed of one request is derived from it, the prompt and the sample number.
    pub seed: u64,
    /// Texts that end the answer and are left out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// The JSON schema that the answer keeps to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// How much the teacher thinks before it answers; its own habit if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
}

/// How much a teacher is asked to think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// As little as it can.
    Minimal,
    /// A little.
    Low,
    /// In between.
    Medium,
    /// Much.
    High,
    /// More than that.
    Xhigh,
    /// As much as it can.
    Max,
    /// Up to this many tokens.
    Budget(u32),
}

impl Reasoning {
    /// The name of an effort as services take it; `None` for a budget.
    pub fn effort(self) -> Option<&'static str> {
        match self {
            Self::Off => Some("none"),
            Self::Minimal => Some("minimal"),
            Self::Low => Some("low"),
            Self::Medium => Some("medium"),
            Self::High => Some("high"),
            Self::Xhigh => Some("xhigh"),
            Self::Max => Some("max"),
            Self::Budget(_) => None,
        }
    }
}

impl SamplingParameters {
    /// The parameters for choosing one of `choices`; nothing is drawn, so the rest is at rest.
    pub fn choose(choices: Vec<String>) -> Self {
        Self {
            choices,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: 0,
            top_logprobs: 0,
            seed: 0,
            stop: Vec::new(),
            json_schema: None,
            reasoning: None,
        }
    }

    fn canonical(&self) -> Value {
        let mut value = json!({
            "choices": self.choices,
            "temperature": decimal(self.temperature),
            "top_p": decimal(self.top_p),
            "max_tokens": self.max_tokens,
            "top_logprobs": self.top_logprobs,
            "seed": self.seed,
        });
        // Later additions appear only where they are used, so that ids from before them stay as they are.
        if !self.stop.is_empty() {
            value["stop"] = json!(self.stop);
        }
        if let Some(schema) = &self.json_schema {
            // As text: the order of properties decides the order in which they are answered.
            value["json_schema"] = Value::String(schema.to_string());
        }
        if let Some(reasoning) = self.reasoning {
            value["reasoning"] = match reasoning {
                Reasoning::Budget(tokens) => json!(tokens),
                effort => json!(effort.effort()),
            };
        }
        value
    }
}

/// What identifies one answer before it is given: the question, which try at it, whom and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceKey {
    /// The prompt's id.
    pub prompt_id: String,
    /// Which answer to the prompt this is, counted from 0.
    pub sample: u32,
    /// The teacher's identity, such as `local|SHA256|in-process`.
    pub teacher: String,
    /// How the teacher is asked.
    pub parameters: SamplingParameters,
}

impl TraceKey {
    /// The trace's id: hex SHA-256 over every field. Equal keys have equal ids for ever.
    pub fn id(&self) -> String {
        TraceIds::new(&self.teacher, &self.parameters).of(&self.prompt_id, self.sample)
    }
}

/// The ids of many answers of one teacher that is asked in one way: what they share is written once.
#[derive(Debug, Clone)]
pub struct TraceIds {
    /// The canonical JSON of a key, up to the prompt's id.
    head: String,
    /// The same from behind the sample's number.
    tail: String,
}

impl TraceIds {
    /// Those of the teacher with this identity, see [`TraceKey`].
    pub fn new(teacher: &str, parameters: &SamplingParameters) -> Self {
        let parameters = canonical_json(&parameters.canonical());
        let teacher = canonical_json(&Value::from(teacher));
        Self {
            head: format!(r#"{{"limbeck":"trace/1","parameters":{parameters},"prompt":"#),
            tail: format!(r#","teacher":{teacher}}}"#),
        }
    }

    /// The id of one; see [`TraceKey::id`].
    pub fn of(&self, prompt_id: &str, sample: u32) -> String {
        let mut json =
            String::with_capacity(self.head.len() + prompt_id.len() + self.tail.len() + 32);
        json.push_str(&self.head);
        write_string(prompt_id, &mut json);
        json.push_str(r#","sample":"#);
        json.push_str(&sample.to_string());
        json.push_str(&self.tail);
        sha256_hex(json.as_bytes())
    }
}
