//! From a question to tokens, and from tokens to an answer.

use limbeck_model::{
    ChatMessage, ChatTemplate, FinishReason, GeneratedToken, OutputResult, Sampling, Task,
    Tokenizer, text_before_stop,
};
use limbeck_store::{PromptBody, SamplingParameters, TokenLogProbabilities, Trace};

use crate::{Ask, AskError};

/// Control tokens that end a turn, in the families of models that share this decoder. A model's own end token is
/// not always the one that ends a turn of a chat, so all that its vocabulary has are taken.
const TURN_ENDS: [&str; 9] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "</s>",
];

/// How one model reads and writes text.
pub(super) struct Encoding {
    /// The recipe's name for the teacher.
    pub(super) teacher: String,
    pub(super) tokenizer: Tokenizer,
    pub(super) chat_template: Option<ChatTemplate>,
    /// Most tokens of a prompt and its answer together.
    pub(super) context: usize,
}

/// A question in tokens.
pub(super) struct Encoded {
    pub(super) tokens: Vec<u32>,
    pub(super) task: Task,
}

impl Encoding {
    /// Turns a question into tokens and checks that it fits.
    pub(super) fn encode(&self, ask: &Ask) -> Result<Encoded, AskError> {
        check_settings(&ask.parameters)?;
        let tokens = self.prompt(&ask.prompt.body)?;
        if tokens.is_empty() {
            return Err(AskError::EmptyPrompt);
        }
        let (task, least) = if ask.parameters.choices.is_empty() {
            (self.generation(ask, tokens.len())?, 1)
        } else {
            let choices = self.choices(&ask.prompt.body, &ask.parameters.choices)?;
            let longest = choices.iter().map(Vec::len).max().unwrap_or(0);
            (Task::Choose { choices }, longest)
        };
        if tokens.len() + least > self.context {
            return Err(AskError::TooLong {
                prompt: tokens.len(),
                answer: least,
                context: self.context,
            });
        }
        Ok(Encoded { tokens, task })
    }

    /// A prompt holds text of strangers: what looks like a control token in it stays text.
    fn prompt(&self, body: &PromptBody) -> Result<Vec<u32>, AskError> {
        match body {
            PromptBody::Completion { text } => Ok(self.tokenizer.encode(text, false)),
            PromptBody::Chat { messages } => {
                let template =
                    self.chat_template
                        .as_ref()
                        .ok_or_else(|| AskError::NoChatTemplate {
                            teacher: self.teacher.clone(),
                        })?;
                let messages: Vec<ChatMessage> = messages
                    .iter()
                    .map(|turn| ChatMessage::new(&turn.role, &turn.content))
                    .collect();
                Ok(template.encode(&self.tokenizer, &messages, true)?)
            }
        }
    }

    fn choices(&self, body: &PromptBody, choices: &[String]) -> Result<Vec<Vec<u32>>, AskError> {
        let encode = |choice: &String| {
            let tokens = self.tokenizer.encode(&continuation(body, choice), false);
            if choice.trim().is_empty() || tokens.is_empty() {
                return Err(AskError::EmptyChoice {
                    choice: choice.clone(),
                });
            }
            Ok(tokens)
        };
        choices.iter().map(encode).collect()
    }

    fn generation(&self, ask: &Ask, prompt_tokens: usize) -> Result<Task, AskError> {
        let SamplingParameters {
            temperature,
            top_p,
            max_tokens,
            top_logprobs,
            ..
        } = ask.parameters;
        if max_tokens == 0 {
            return Err(AskError::NoTokens);
        }
        let room = self.context.saturating_sub(prompt_tokens).max(1);
        let sampling = Sampling {
            temperature,
            top_p,
            seed: ask.seed(),
            max_tokens: room.min(max_tokens as usize),
            top_logprobs: top_logprobs as usize,
        };
        Ok(Task::Generate {
            sampling,
            stop_tokens: self.stop_tokens(),
            stop: ask.parameters.stop.clone(),
        })
    }

    fn stop_tokens(&self) -> Vec<u32> {
        let mut stop: Vec<u32> = TURN_ENDS
            .iter()
            .filter_map(|token| self.tokenizer.id_of(token))
            .filter(|id| self.tokenizer.is_control(*id))
            .chain([self.tokenizer.eos()])
            .collect();
        stop.sort_unstable();
        stop.dedup();
        stop
    }

    /// Puts together what is kept of an answer. `prompt_tokens` counts every token of the prompt, shared or not.
    pub(super) fn trace(
        &self,
        ask: &Ask,
        prompt_tokens: usize,
        result: OutputResult,
    ) -> Result<Trace, AskError> {
        let prompt_tokens = prompt_tokens as u32;
        match result {
            OutputResult::Chosen { log_probabilities } => {
                let text =
                    likeliest(&ask.parameters.choices, &log_probabilities).ok_or_else(|| {
                        AskError::Decode {
                            message: format!(
                                "the log-probabilities of the choices are {log_probabilities:?}"
                            ),
                        }
                    })?;
                Ok(Trace {
                    text: text.clone(),
                    reasoning: None,
                    choice_log_probabilities: Some(log_probabilities),
                    finish_reason: limbeck_store::FinishReason::Choice,
                    prompt_tokens,
                    completion_tokens: 0,
                    tokens: Vec::new(),
                    vocabulary: Vec::new(),
                    retracted: None,
                })
            }
            OutputResult::Generated { tokens, finish } => {
                let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
                let text = self.tokenizer.decode(&ids);
                Ok(Trace {
                    text: text_before_stop(&text, &ask.parameters.stop).to_owned(),
                    reasoning: None,
                    choice_log_probabilities: None,
                    finish_reason: match finish {
                        FinishReason::Stop => limbeck_store::FinishReason::Stop,
                        FinishReason::Length => limbeck_store::FinishReason::Length,
                    },
                    prompt_tokens,
                    completion_tokens: tokens.len() as u32,
                    tokens: tokens.into_iter().map(kept).collect(),
                    vocabulary: Vec::new(),
                    retracted: None,
                })
            }
        }
    }
}

/// What only services take.
fn check_settings(parameters: &SamplingParameters) -> Result<(), AskError> {
    let unsupported = |what: &str| AskError::Other {
        kind: "unsupported".to_owned(),
        message: format!("`{what}` cannot be asked of a local teacher"),
        fatal: true,
    };
    if parameters.stop.iter().any(String::is_empty) {
        return Err(AskError::Other {
            kind: "unsupported".to_owned(),
            message: "a text in `stop` is empty".to_owned(),
            fatal: true,
        });
    }
    if parameters.json_schema.is_some() {
        return Err(unsupported("json_schema"));
    }
    match parameters.reasoning {
        Some(_) => Err(unsupported("reasoning")),
        None => Ok(()),
    }
}

/// How a choice follows its prompt.
///
/// In running text a word brings its leading space along: `Sentiment: positive` is read as `Sentiment`, `:`,
/// ` positive`. So a choice gets one, unless it has one or the prompt ends in whitespace (which most vocabularies
/// read as a token of its own, an unlikely place for a word to begin: better to end a template without). The turn
/// of a chat begins with the word itself.
fn continuation(body: &PromptBody, choice: &str) -> String {
    let joined = match body {
        PromptBody::Chat { .. } => true,
        PromptBody::Completion { text } => {
            text.ends_with(char::is_whitespace) || choice.starts_with(char::is_whitespace)
        }
    };
    if joined {
        choice.to_owned()
    } else {
        format!(" {choice}")
    }
}

/// The choice with the highest log-probability, the first of equals; `None` if any is not a number.
fn likeliest<'a>(choices: &'a [String], log_probabilities: &[f32]) -> Option<&'a String> {
    if log_probabilities.len() != choices.len()
        || log_probabilities.iter().any(|value| value.is_nan())
    {
        return None;
    }
    let mut best = 0;
    for (index, value) in log_probabilities.iter().enumerate() {
        if *value > log_probabilities[best] {
            best = index;
        }
    }
    choices.get(best)
}

fn kept(token: GeneratedToken) -> TokenLogProbabilities {
    TokenLogProbabilities {
        id: token.id,
        log_probability: token.log_probability,
        top: token.top,
    }
}

#[cfg(test)]
mod tests {
    use limbeck_store::Message;

    use super::*;

    #[test]
    fn a_choice_brings_its_space_where_the_prompt_has_none() {
        let completion = |text: &str| PromptBody::Completion {
            text: text.to_owned(),
        };
        assert_eq!(
            continuation(&completion("Sentiment:"), "positive"),
            " positive"
        );
        assert_eq!(
            continuation(&completion("Sentiment: "), "positive"),
            "positive"
        );
        assert_eq!(
            continuation(&completion("Sentiment:\n"), "positive"),
            "positive"
        );
        assert_eq!(
            continuation(&completion("Sentiment:"), "\npositive"),
            "\npositive"
        );
        let chat = PromptBody::Chat {
            messages: vec![Message::new("user", "Sentiment?")],
        };
        assert_eq!(continuation(&chat, "positive"), "positive");
    }

    #[test]
    fn the_likeliest_choice_is_the_first_of_equals_and_never_a_guess() {
        let choices = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(likeliest(&choices, &[-2.0, -1.0, -1.0]), Some(&choices[1]));
        assert_eq!(
            likeliest(&choices, &[f32::NEG_INFINITY, f32::NEG_INFINITY, -9.0]),
            Some(&choices[2])
        );
        assert_eq!(likeliest(&choices, &[-2.0, f32::NAN, -1.0]), None);
        assert_eq!(likeliest(&choices, &[-2.0]), None);
    }
}
