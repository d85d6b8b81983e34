//! Asking a student: labels, greedy answers, and the loss of given answers.
//!
//! A student sees bare text: an input rendered by its own chat template, nothing before it. Inputs that leave no room
//! for an answer lose their end, never the marks around them. Times include tokenising, since whoever uses the model
//! waits for it as well.

use std::sync::Arc;
use std::time::Instant;

use limbeck_model::{
    Batcher, ChatMessage, ChatTemplate, Decoder, FinishReason, ModelError, Output, OutputResult,
    Request, Sampling, Task, Tokenizer,
};
use tokio_util::sync::CancellationToken;

use super::floors::most_likely;
use super::metric::AnswerNats;

/// Sequences scored between two looks at the cancellation token.
const SCORED_AT_A_TIME: usize = 64;

/// Why a student could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The model refused, or its template or tokenizer did.
    #[error("cannot ask the student")]
    Model(#[from] ModelError),
    /// The choices do not make a question.
    #[error("cannot choose between {choices:?}: {reason}")]
    Choices {
        /// The choices given.
        choices: Vec<String>,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// What has to be in a sequence does not fit the model's context.
    #[error(
        "{tokens} tokens are needed around an input, and the student's context is {context_length}"
    )]
    NoRoom {
        /// Tokens needed besides the input.
        tokens: usize,
        /// Positions that the model has.
        context_length: usize,
    },
    /// Somebody asked to stop.
    #[error("stopped before the student had answered everything")]
    Cancelled,
}

/// A student ready to be asked.
pub struct Student {
    decoder: Arc<Decoder>,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    /// What the template puts around an input.
    frame: Vec<u32>,
    concurrent: usize,
}

/// Labels for a list of inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// For each input the natural-log probability of each choice, not renormalised.
    pub log_probabilities: Vec<Vec<f32>>,
    /// For each input the index of the likeliest choice.
    pub labels: Vec<usize>,
    /// Prompt tokens read.
    pub tokens: usize,
    /// Wall time.
    pub seconds: f64,
}

/// Greedy answers to a list of inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The text of each, without its end token.
    pub texts: Vec<String>,
    /// Whether each ended by itself rather than at the token limit.
    pub ended: Vec<bool>,
    /// Prompt tokens read and answer tokens written.
    pub tokens: usize,
    /// Wall time.
    pub seconds: f64,
}

/// The loss of a list of given answers.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerScores {
    /// One for each pair of input and answer.
    pub answers: Vec<AnswerNats>,
    /// Tokens read.
    pub tokens: usize,
    /// Wall time.
    pub seconds: f64,
}

/// An input with a given answer as the student reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSequence {
    /// The rendered input, the answer, and the end token if the answer fits whole.
    pub tokens: Vec<u32>,
    /// Where the answer starts in `tokens`.
    pub answer_start: usize,
    /// UTF-8 bytes of the answer's tokens here.
    pub bytes: usize,
}

impl Student {
    /// A student that answers up to `concurrent` inputs side by side.
    pub fn new(
        decoder: Arc<Decoder>,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        concurrent: usize,
    ) -> Result<Self, AskError> {
        let frame = render(&template, &tokenizer, "")?;
        Ok(Self {
            decoder,
            tokenizer,
            template,
            frame,
            concurrent: concurrent.max(1),
        })
    }

    /// The likeliest of `choices` for each input.
    ///
    /// The probability of a choice is that of the answer beginning as no other choice does: its tokens, and its end
    /// token where it begins another, up to the first that tells it apart. What follows is certain to a student that
    /// has learnt the choices, and would cost a forward pass.
    pub fn label(
        &self,
        inputs: &[String],
        choices: &[String],
        cancel: &CancellationToken,
    ) -> Result<Labelled, AskError> {
        let start = Instant::now();
        let choices = self.choice_tokens(choices)?;
        let longest = choices.iter().map(Vec::len).max().unwrap_or(0);
        let outputs = self.ask(inputs, longest, cancel, || Task::Choose {
            choices: choices.clone(),
        })?;
        let tokens = outputs.iter().map(|output| output.prompt_tokens).sum();
        let log_probabilities: Vec<Vec<f32>> = outputs
            .into_iter()
            .map(|output| match output.result {
                OutputResult::Chosen { log_probabilities } => log_probabilities,
                OutputResult::Generated { .. } => Vec::new(),
            })
            .collect();
        Ok(Labelled {
            labels: log_probabilities
                .iter()
                .map(|row| most_likely(row))
                .collect(),
            log_probabilities,
            tokens,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// The greedy answer to each input, of at most `max_tokens` tokens, the end token included.
    pub fn answer(
        &self,
        inputs: &[String],
        max_tokens: usize,
        cancel: &CancellationToken,
    ) -> Result<Answers, AskError> {
        let start = Instant::now();
        // A long input may take up to half of the context from a long answer.
        let reserved = max_tokens.clamp(1, (self.context_length() / 2).max(1));
        let outputs = self.ask(inputs, reserved, cancel, || Task::Generate {
            sampling: Sampling {
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
                max_tokens: max_tokens.max(1),
                top_logprobs: 0,
            },
            stop_tokens: vec![self.tokenizer.eos()],
            stop: Vec::new(),
        })?;
        let mut answers = Answers {
            texts: Vec::with_capacity(outputs.len()),
            ended: Vec::with_capacity(outputs.len()),
            tokens: 0,
            seconds: 0.0,
        };
        for output in outputs {
            if let OutputResult::Generated { tokens, finish } = output.result {
                let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
                answers.texts.push(self.tokenizer.decode(&ids));
                answers.ended.push(finish == FinishReason::Stop);
                answers.tokens += output.prompt_tokens + ids.len();
            }
        }
        answers.seconds = start.elapsed().as_secs_f64();
        Ok(answers)
    }

    /// The loss of each given answer after its input; see [`AnswerNats`] for the convention.
    pub fn score(
        &self,
        pairs: &[(String, String)],
        cancel: &CancellationToken,
    ) -> Result<AnswerScores, AskError> {
        let start = Instant::now();
        let sequences = self.sequences(pairs)?;
        let mut answers = Vec::with_capacity(pairs.len());
        for batch in sequences.chunks(SCORED_AT_A_TIME) {
            if cancel.is_cancelled() {
                return Err(AskError::Cancelled);
            }
            let tokens: Vec<Vec<u32>> = batch.iter().map(|one| one.tokens.clone()).collect();
            let scores = self.decoder.score(&tokens)?;
            answers.extend(batch.iter().zip(scores).map(|(sequence, scores)| {
                // `scores[i]` is that of token `i + 1`.
                let answer = &scores[sequence.answer_start - 1..];
                AnswerNats {
                    nats: answer.iter().map(|score| -f64::from(*score)).sum(),
                    bytes: sequence.bytes,
                    tokens: answer.len(),
                }
            }));
        }
        Ok(AnswerScores {
            answers,
            tokens: sequences.iter().map(|one| one.tokens.len()).sum(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Each input with its answer as [`Student::score`] reads it, for other models over the same tokens.
    pub fn sequences(&self, pairs: &[(String, String)]) -> Result<Vec<AnswerSequence>, AskError> {
        let pair = |(input, answer): &(String, String)| self.sequence(input, answer);
        pairs.iter().map(pair).collect()
    }

    fn sequence(&self, input: &str, answer: &str) -> Result<AnswerSequence, AskError> {
        // The last token of a sequence is only ever predicted and takes no position.
        let positions = self.context_length() + 1;
        let mut answer = self.tokenizer.encode(answer, false);
        answer.push(self.tokenizer.eos());
        answer.truncate(positions.saturating_sub(self.frame.len()));
        let mut tokens = self.prompt(input, positions - answer.len())?;
        let answer_start = tokens.len();
        let bytes = answer
            .iter()
            .map(|id| self.tokenizer.token_bytes(*id).len())
            .sum();
        tokens.extend(answer);
        Ok(AnswerSequence {
            tokens,
            answer_start,
            bytes,
        })
    }

    /// The rendered input in at most `room` tokens: what does not fit is cut from the input's end.
    fn prompt(&self, input: &str, room: usize) -> Result<Vec<u32>, AskError> {
        if room < self.frame.len() || self.frame.is_empty() {
            return Err(AskError::NoRoom {
                tokens: self.context_length() - room.min(self.context_length()) + self.frame.len(),
                context_length: self.context_length(),
            });
        }
        let mut tokens = render(&self.template, &self.tokenizer, input)?;
        if tokens.len() > room {
            let same = tokens.iter().rev().zip(self.frame.iter().rev());
            let tail = same.take_while(|(a, b)| a == b).count();
            let end = tokens.len() - tail;
            tokens.drain(end - (tokens.len() - room)..end);
        }
        Ok(tokens)
    }

    fn choice_tokens(&self, choices: &[String]) -> Result<Vec<Vec<u32>>, AskError> {
        let refuse = |reason| AskError::Choices {
            choices: choices.to_vec(),
            reason,
        };
        if choices.is_empty() {
            return Err(refuse("there is none"));
        }
        if choices.iter().any(String::is_empty) {
            return Err(refuse("one is empty"));
        }
        let whole = |choice: &String| {
            let mut tokens = self.tokenizer.encode(choice, false);
            tokens.push(self.tokenizer.eos());
            tokens
        };
        let whole: Vec<Vec<u32>> = choices.iter().map(whole).collect();
        let telling = |at: usize| {
            let shared = |other: &Vec<u32>| {
                let pairs = whole[at].iter().zip(other);
                pairs.take_while(|(a, b)| a == b).count()
            };
            let others = whole.iter().enumerate().filter(|(other, _)| *other != at);
            let longest = others.map(|(_, other)| shared(other)).max().unwrap_or(0);
            whole[at].get(..=longest).map(<[u32]>::to_vec)
        };
        let telling: Option<Vec<Vec<u32>>> = (0..whole.len()).map(telling).collect();
        telling.ok_or_else(|| refuse("two are the same"))
    }

    /// Puts `task` to every input, each cut to leave `reserved` tokens; the outputs come in the order of the inputs.
    fn ask(
        &self,
        inputs: &[String],
        reserved: usize,
        cancel: &CancellationToken,
        task: impl Fn() -> Task,
    ) -> Result<Vec<Output>, AskError> {
        let room = self.context_length().saturating_sub(reserved);
        let mut batcher = Batcher::new(Arc::clone(&self.decoder), None, self.concurrent);
        let mut waiting = inputs.iter().enumerate();
        let mut outputs: Vec<Output> = Vec::with_capacity(inputs.len());
        while outputs.len() < inputs.len() {
            if cancel.is_cancelled() {
                return Err(AskError::Cancelled);
            }
            while batcher.has_room()
                && let Some((at, input)) = waiting.next()
            {
                batcher.submit(Request {
                    id: at as u64,
                    prefix: None,
                    tokens: self.prompt(input, room)?,
                    task: task(),
                })?;
            }
            outputs.extend(batcher.step()?);
        }
        outputs.sort_unstable_by_key(|output| output.id);
        Ok(outputs)
    }

    /// Tokens of the student's vocabulary.
    pub fn vocabulary_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    fn context_length(&self) -> usize {
        self.decoder.config().context_length
    }
}

fn render(
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
    input: &str,
) -> Result<Vec<u32>, ModelError> {
    template.encode(tokenizer, &[ChatMessage::new("user", input)], true)
}

#[cfg(test)]
mod tests;
