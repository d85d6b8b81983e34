//! What is checked before a question is written down.

use limbeck_store::{PromptBody, Reasoning, SamplingParameters};

use super::{RequestError, schema, thinks};
use crate::Ask;
use crate::wire::Preset;
use crate::wire::efforts::Efforts;
use crate::wire::preset::{ModelProfile, ReasoningAbility, SamplingAbility};

/// Tokens beside the choice itself that its answer may take: what ends it, and quotes or a full stop.
const AROUND_A_CHOICE: usize = 8;

/// The fewest tokens that services allow to be asked for.
const LEAST_TOKENS: usize = 16;

/// Tokens of thinking that an answer with a choice may take where there is thinking without a budget.
const THINKING_ABOUT_A_CHOICE: u32 = 4096;

/// A question whose settings the model takes.
pub(super) struct Checked<'a> {
    pub(super) preset: &'a Preset,
    pub(super) model: &'a str,
    pub(super) ask: &'a Ask,
    pub(super) profile: ModelProfile,
    /// The most tokens of the answer, reasoning included.
    pub(super) max_tokens: u32,
    /// `None` where the service's own is the same.
    pub(super) temperature: Option<f32>,
    /// `None` where the service's own is the same.
    pub(super) top_p: Option<f32>,
    /// The alternatives to ask for; `None` for no log-probabilities.
    pub(super) top_logprobs: Option<u32>,
}

impl<'a> Checked<'a> {
    pub(super) fn new(
        preset: &'a Preset,
        model: &'a str,
        ask: &'a Ask,
    ) -> Result<Self, RequestError> {
        let profile = preset.profile(model);
        let parameters = &ask.parameters;
        check_numbers(parameters)?;
        check_body(&ask.prompt.body)?;
        let mut checked = Self {
            preset,
            model,
            ask,
            profile,
            max_tokens: max_tokens(parameters, profile.thinks_by_itself),
            temperature: Some(parameters.temperature).filter(|value| differs_from_1(*value)),
            top_p: Some(parameters.top_p).filter(|value| differs_from_1(*value)),
            top_logprobs: (parameters.top_logprobs > 0).then_some(parameters.top_logprobs),
        };
        checked.check_settings()?;
        checked.check_sampling()?;
        checked.check_log_probabilities()?;
        Ok(checked)
    }

    fn check_settings(&self) -> Result<(), RequestError> {
        let parameters = &self.ask.parameters;
        let most = self.profile.most_temperature;
        if parameters.temperature > most {
            let what = format!("`temperature = {}`", parameters.temperature);
            return Err(self.unsupported(&what, &format!("set it to {most} or less")));
        }
        if parameters.json_schema.is_some() && !self.profile.json_schema {
            return Err(self.unsupported("`json_schema`", "ask for JSON in the prompt instead"));
        }
        let (stops, most) = (parameters.stop.len(), self.profile.stop);
        if stops > most {
            let hint = match most {
                0 => "leave `stop` out".to_owned(),
                most => format!("give at most {most}"),
            };
            return Err(self.unsupported(&format!("`stop` with {stops} texts"), &hint));
        }
        if parameters.reasoning.is_some() && self.profile.reasoning == ReasoningAbility::None {
            return Err(self.unsupported("`reasoning`", "leave `reasoning` out"));
        }
        if let (Some(reasoning), Some(efforts)) = (parameters.reasoning, self.profile.efforts)
            && !matches!(reasoning, Reasoning::Budget(1..))
            && !efforts.take(reasoning)
        {
            let what = match reasoning.effort() {
                Some("none") | None => "`reasoning` off".to_owned(),
                Some(effort) => format!("`reasoning` {effort}"),
            };
            return Err(self.unsupported(&what, &format!("set it to {}", efforts.names())));
        }
        if matches!(self.ask.prompt.body, PromptBody::Completion { .. }) && !self.preset.completions
        {
            return Err(self.no_completions());
        }
        Ok(())
    }

    /// A choice is taken at temperature 0 only to make it certain, so where that cannot be set it is left out.
    fn check_sampling(&mut self) -> Result<(), RequestError> {
        let choosing = !self.ask.parameters.choices.is_empty();
        let free = match self.profile.sampling {
            SamplingAbility::Always => true,
            SamplingAbility::WithoutReasoning => match self.ask.parameters.reasoning {
                None => !self.profile.thinks_by_itself,
                reasoning => !thinks(reasoning),
            },
            SamplingAbility::OneOfTwo => {
                if self.temperature.is_some() && self.top_p.is_some() {
                    let what = "`temperature` and `top_p` together";
                    return Err(self.unsupported(what, "set `top_p = 1`"));
                }
                true
            }
            SamplingAbility::Never => false,
        };
        if free {
            return Ok(());
        }
        if choosing {
            (self.temperature, self.top_p) = (None, None);
        }
        if self.temperature.is_none() && self.top_p.is_none() {
            return Ok(());
        }
        let hint = match self.profile.sampling {
            SamplingAbility::WithoutReasoning => {
                "set `reasoning = \"off\"`, or `temperature = 1` and `top_p = 1`"
            }
            _ => "set `temperature = 1` and `top_p = 1`",
        };
        Err(self.unsupported("`temperature` or `top_p`", hint))
    }

    /// For a choice as many alternatives are asked for as there are, if there are any.
    fn check_log_probabilities(&mut self) -> Result<(), RequestError> {
        let most = match self.ask.prompt.body {
            PromptBody::Completion { .. } => self.preset.completion_logprobs,
            PromptBody::Chat { .. } => None,
        };
        let most = most.unwrap_or(self.profile.top_logprobs);
        let wanted = self.ask.parameters.top_logprobs;
        if wanted > most {
            let hint = match most {
                0 => "leave `top_logprobs` out".to_owned(),
                most => format!("set `top_logprobs` to {most} or less"),
            };
            return Err(self.unsupported(&format!("`top_logprobs = {wanted}`"), &hint));
        }
        if !self.ask.parameters.choices.is_empty() {
            self.top_logprobs = (most > 0).then_some(most);
        }
        Ok(())
    }

    pub(super) fn unsupported(&self, what: &str, hint: &str) -> RequestError {
        RequestError::Unsupported {
            what: what.to_owned(),
            provider: self.preset.name.clone(),
            model: self.model.to_owned(),
            hint: hint.to_owned(),
        }
    }

    /// The efforts of thinking that a recipe can name.
    pub(super) fn efforts(&self) -> String {
        let efforts = self.profile.efforts;
        efforts.map_or_else(|| "low, medium or high".to_owned(), Efforts::names)
    }

    pub(super) fn no_completions(&self) -> RequestError {
        self.unsupported("`form = \"completion\"`", "set `form = \"chat\"`")
    }
}

/// 1 is what every service does by itself.
fn differs_from_1(value: f32) -> bool {
    (value - 1.0).abs() > f32::EPSILON
}

fn check_numbers(parameters: &SamplingParameters) -> Result<(), RequestError> {
    let invalid = |what, value: &dyn std::fmt::Display, expected: &str| RequestError::Invalid {
        what,
        value: value.to_string(),
        expected: expected.to_owned(),
    };
    let SamplingParameters {
        temperature, top_p, ..
    } = parameters;
    if !(0.0..=2.0).contains(temperature) {
        return Err(invalid("temperature", temperature, "0 to 2"));
    }
    if !(*top_p > 0.0 && *top_p <= 1.0) {
        return Err(invalid("top_p", top_p, "more than 0 and at most 1"));
    }
    if parameters.max_tokens == 0 && parameters.choices.is_empty() {
        return Err(invalid("max_tokens", &0, "1 or more"));
    }
    if parameters.stop.iter().any(String::is_empty) {
        return Err(invalid("stop", &"an empty text", "texts"));
    }
    if parameters
        .choices
        .iter()
        .any(|choice| choice.trim().is_empty())
    {
        return Err(invalid("choices", &"an empty text", "texts"));
    }
    if let Some(schema) = &parameters.json_schema
        && let Err(what) = schema::check(schema)
    {
        let value = format!("no schema ({what})");
        return Err(invalid("json_schema", &value, "a JSON schema"));
    }
    Ok(())
}

fn check_body(body: &PromptBody) -> Result<(), RequestError> {
    let messages = match body {
        PromptBody::Completion { text } if text.is_empty() => return Err(RequestError::Empty),
        PromptBody::Completion { .. } => return Ok(()),
        PromptBody::Chat { messages } => messages,
    };
    let known = |role: &str| matches!(role, "system" | "user" | "assistant");
    if let Some(turn) = messages.iter().position(|message| !known(&message.role)) {
        return Err(RequestError::Role {
            turn: turn + 1,
            role: messages[turn].role.clone(),
        });
    }
    let asks = |message: &limbeck_store::Message| {
        message.role != "system" && !message.content.trim().is_empty()
    };
    if messages.iter().any(asks) {
        Ok(())
    } else {
        Err(RequestError::Empty)
    }
}

/// The most tokens to ask for. A choice takes no more tokens than it has bytes.
fn max_tokens(parameters: &SamplingParameters, thinks_by_itself: bool) -> u32 {
    if parameters.max_tokens > 0 || parameters.choices.is_empty() {
        return parameters.max_tokens;
    }
    let longest = parameters
        .choices
        .iter()
        .map(String::len)
        .max()
        .unwrap_or(0);
    let choice = (longest + AROUND_A_CHOICE).max(LEAST_TOKENS) as u32;
    match parameters.reasoning {
        Some(Reasoning::Budget(budget)) => choice.saturating_add(budget),
        reasoning if thinks(reasoning) => choice.saturating_add(THINKING_ABOUT_A_CHOICE),
        None if thinks_by_itself => choice.saturating_add(THINKING_ABOUT_A_CHOICE),
        _ => choice,
    }
}
