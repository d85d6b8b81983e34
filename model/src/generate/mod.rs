//! Requests to a decoder and their answers.
//!
//! - [`batcher`]: many requests at a time, joined and left freely between forward passes
//! - [`sequence`]: what one request has read and what it waits for
//! - [`sampling`]: from logits to a token

use std::sync::Arc;

use crate::Prefix;

mod batcher;
mod sampling;
mod sequence;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use batcher::Batcher;

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Draws only from the likeliest tokens that together have this probability, in (0, 1].
    pub top_p: f32,
    /// Seeds this request's own generator: the same request gives the same tokens in any company.
    pub seed: u64,
    /// The answer ends after this many tokens at the latest; at least 1.
    pub max_tokens: usize,
    /// How many of the likeliest tokens to report at each position.
    pub top_logprobs: usize,
}

/// What to do after a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Continue it.
    Generate {
        /// How tokens are drawn.
        sampling: Sampling,
        /// Tokens that end the answer.
        stop_tokens: Vec<u32>,
        /// Texts that end the answer as soon as they appear in it.
        stop: Vec<String>,
    },
    /// Weigh given continuations. A choice of one token costs no position beyond the prompt.
    Choose {
        /// The tokens of each choice.
        choices: Vec<Vec<u32>>,
    },
}

/// A prompt and what to do with it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Chosen by the caller; comes back with the output.
    pub id: u64,
    /// The beginning of the prompt, if it is shared with other requests.
    pub prefix: Option<Arc<Prefix>>,
    /// The prompt after the prefix; at least one token.
    pub tokens: Vec<u32>,
    /// What to do after it.
    pub task: Task,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The request's.
    pub id: u64,
    /// Tokens of the prompt, prefix included.
    pub prompt_tokens: usize,
    /// What came out.
    pub result: OutputResult,
}

/// What came out of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputResult {
    /// Of [`Task::Generate`].
    Generated {
        /// All tokens drawn. Where a stop token ended the answer it is the last one; where a stop string did, the last
        /// one completes it, and the text is what comes before (see [`text_before_stop`]).
        tokens: Vec<GeneratedToken>,
        /// Why it ended.
        finish: FinishReason,
    },
    /// Of [`Task::Choose`].
    Chosen {
        /// For each choice the sum of its tokens' natural-log probabilities at temperature 1.
        log_probabilities: Vec<f32>,
    },
}

/// A token that was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedToken {
    /// The token.
    pub id: u32,
    /// Its natural-log probability at temperature 1, before truncation.
    pub log_probability: f32,
    /// The likeliest tokens at this position with their log-probabilities, likeliest first.
    pub top: Vec<(u32, f32)>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token or a stop string.
    Stop,
    /// `max_tokens`, or the end of the model's context.
    Length,
}

/// The part of `text` before the first of the `stop` strings in it.
pub fn text_before_stop<'t>(text: &'t str, stop: &[String]) -> &'t str {
    let end = stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()))
        .min();
    &text[..end.unwrap_or(text.len())]
}
