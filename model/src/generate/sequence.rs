//! The state of one request between forward passes.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{FinishReason, GeneratedToken, OutputResult, Request, Sampling, Task, sampling};
use crate::decoder::{Chunk, KeyValueCache, Outputs};
use crate::kernels::rows::log_sum_exp;
use crate::{DecodeError, Decoder, Tokenizer};

/// What a request wants to know of one row of logits.
pub(crate) enum Question {
    /// The next token; `uniform` was drawn from the request's own generator.
    Draw { sampling: Sampling, uniform: f64 },
    /// The log-probabilities of these tokens.
    Weigh(Vec<u32>),
}

/// What a row of logits said.
pub(crate) enum Answer {
    Drawn(GeneratedToken),
    Weighed(Vec<f32>),
}

impl Question {
    pub(crate) fn ask(&self, logits: &[f32], weights: &mut Vec<f32>) -> Answer {
        match self {
            Self::Draw { sampling, uniform } => {
                Answer::Drawn(sampling::draw(logits, sampling, *uniform, weights))
            }
            Self::Weigh(tokens) => {
                let total = log_sum_exp(logits);
                Answer::Weighed(
                    tokens
                        .iter()
                        .map(|&token| logits[token as usize] - total)
                        .collect(),
                )
            }
        }
    }
}

/// One request in a batch.
pub(crate) struct Sequence {
    pub(crate) id: u64,
    pub(crate) prompt_tokens: usize,
    pub(crate) cache: KeyValueCache,
    /// Tokens to read next; those before `read` have been.
    pending: Vec<u32>,
    read: usize,
    work: Work,
}

enum Work {
    Generate(Box<Generation>),
    Choose(Choosing),
}

struct Generation {
    sampling: Sampling,
    generator: ChaCha8Rng,
    stop_tokens: Vec<u32>,
    stop: Vec<String>,
    /// The bytes of the answer so far, kept only where there are stop strings.
    text: Vec<u8>,
    tokens: Vec<GeneratedToken>,
}

struct Choosing {
    choices: Vec<Vec<u32>>,
    log_probabilities: Vec<f32>,
    /// The choice whose later tokens are being read; `None` while the prompt is.
    current: Option<usize>,
    /// Positions after the prefix that belong to the prompt.
    prompt_end: usize,
}

impl Sequence {
    /// Checks a request against the model.
    pub(crate) fn new(
        request: Request,
        decoder: &Decoder,
        has_tokenizer: bool,
    ) -> Result<Self, DecodeError> {
        let Request {
            id,
            prefix,
            tokens,
            task,
        } = request;
        if tokens.is_empty() {
            return Err(DecodeError::NoTokens);
        }
        decoder.check_tokens(&tokens)?;
        let cache = KeyValueCache::new(decoder.cache_shape(), prefix)?;
        let prompt_tokens = cache.position() + tokens.len();
        let work = match task {
            Task::Generate {
                sampling,
                stop_tokens,
                stop,
            } => {
                decoder.check_length(prompt_tokens + 1)?;
                Work::Generate(Box::new(Generation::new(
                    sampling,
                    stop_tokens,
                    stop,
                    has_tokenizer,
                )?))
            }
            Task::Choose { choices } => {
                let longest = choices.iter().map(Vec::len).max().unwrap_or(0);
                if choices.iter().any(Vec::is_empty) || longest == 0 {
                    return Err(DecodeError::Empty {
                        what: "a choice, or the list of choices,",
                    });
                }
                for choice in &choices {
                    decoder.check_tokens(choice)?;
                }
                decoder.check_length(prompt_tokens + longest - 1)?;
                let log_probabilities = vec![0.0; choices.len()];
                Work::Choose(Choosing {
                    choices,
                    log_probabilities,
                    current: None,
                    prompt_end: tokens.len(),
                })
            }
        };
        Ok(Self {
            id,
            prompt_tokens,
            cache,
            pending: tokens,
            read: 0,
            work,
        })
    }

    /// The tokens drawn so far.
    pub(crate) fn generated(&self) -> &[GeneratedToken] {
        match &self.work {
            Work::Generate(generation) => &generation.tokens,
            Work::Choose(_) => &[],
        }
    }

    /// How many tokens wait to be read; at least one.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len() - self.read
    }

    /// Takes the next `count` tokens to read, with the rows of the pass that this request asks about.
    pub(crate) fn take(&mut self, count: usize) -> Chunk<'_> {
        let continues_choice =
            matches!(&self.work, Work::Choose(choosing) if choosing.current.is_some());
        let tokens = &self.pending[self.read..][..count];
        self.read += count;
        let outputs = match (continues_choice, self.read == self.pending.len()) {
            (true, _) => Outputs::All,
            (false, true) => Outputs::Last,
            (false, false) => Outputs::None,
        };
        let cache = &mut self.cache;
        Chunk {
            cache,
            tokens,
            outputs,
        }
    }

    /// What to ask of the rows that the last `take` of `count` tokens announced, one question a row.
    pub(crate) fn questions(&mut self, count: usize) -> Vec<Question> {
        let finished = self.read == self.pending.len();
        match &mut self.work {
            Work::Choose(Choosing {
                choices,
                current: Some(current),
                ..
            }) => {
                // Row i of a choice has read its token i and says how likely token i + 1 is.
                let targets = &choices[*current][self.read - count + 1..=self.read];
                targets
                    .iter()
                    .map(|&token| Question::Weigh(vec![token]))
                    .collect()
            }
            _ if !finished => Vec::new(),
            Work::Choose(choosing) => {
                vec![Question::Weigh(
                    choosing.choices.iter().map(|choice| choice[0]).collect(),
                )]
            }
            Work::Generate(generation) => {
                let uniform = generation.generator.random::<f64>();
                vec![Question::Draw {
                    sampling: generation.sampling.clone(),
                    uniform,
                }]
            }
        }
    }

    /// Takes the answers to the last questions; returns the result if that was all.
    pub(crate) fn take_answers(
        &mut self,
        answers: impl Iterator<Item = Answer>,
        context_length: usize,
        tokenizer: Option<&Tokenizer>,
    ) -> Option<OutputResult> {
        let finished = self.read == self.pending.len();
        for answer in answers {
            match (&mut self.work, answer) {
                (Work::Generate(generation), Answer::Drawn(token)) => {
                    self.pending = vec![token.id];
                    self.read = 0;
                    let room = context_length.saturating_sub(self.prompt_tokens);
                    return generation.push(token, room, tokenizer);
                }
                (Work::Choose(choosing), Answer::Weighed(values)) => choosing.add(&values),
                // A question is always answered in kind.
                (Work::Generate(_), Answer::Weighed(_)) | (Work::Choose(_), Answer::Drawn(_)) => {}
            }
        }
        let Work::Choose(choosing) = &mut self.work else {
            return None;
        };
        if !finished {
            return None;
        }
        let Some(tokens) = choosing.next_choice() else {
            let log_probabilities = std::mem::take(&mut choosing.log_probabilities);
            return Some(OutputResult::Chosen { log_probabilities });
        };
        self.cache.roll_back(choosing.prompt_end);
        self.pending = tokens;
        self.read = 0;
        None
    }
}

impl Generation {
    fn new(
        sampling: Sampling,
        stop_tokens: Vec<u32>,
        stop: Vec<String>,
        has_tokenizer: bool,
    ) -> Result<Self, DecodeError> {
        sampling::check(&sampling)?;
        if stop.iter().any(String::is_empty) {
            return Err(DecodeError::Empty {
                what: "a stop string",
            });
        }
        if !stop.is_empty() && !has_tokenizer {
            return Err(DecodeError::NoTokenizer);
        }
        let generator = ChaCha8Rng::seed_from_u64(sampling.seed);
        Ok(Self {
            sampling,
            generator,
            stop_tokens,
            stop,
            text: Vec::new(),
            tokens: Vec::new(),
        })
    }

    /// Adds a token; `room` is how many the context leaves for the answer.
    fn push(
        &mut self,
        token: GeneratedToken,
        room: usize,
        tokenizer: Option<&Tokenizer>,
    ) -> Option<OutputResult> {
        let id = token.id;
        self.tokens.push(token);
        let finish = if self.stop_tokens.contains(&id) || self.completes_stop_string(id, tokenizer)
        {
            FinishReason::Stop
        } else if self.tokens.len() >= self.sampling.max_tokens.min(room) {
            FinishReason::Length
        } else {
            return None;
        };
        Some(OutputResult::Generated {
            tokens: std::mem::take(&mut self.tokens),
            finish,
        })
    }

    fn completes_stop_string(&mut self, id: u32, tokenizer: Option<&Tokenizer>) -> bool {
        let (Some(tokenizer), false) = (tokenizer, self.stop.is_empty()) else {
            return false;
        };
        let before = self.text.len();
        self.text.extend(tokenizer.token_bytes(id));
        self.stop.iter().any(|stop| {
            // Only what ends in the new bytes can be new.
            let start = before.saturating_sub(stop.len() - 1);
            self.text[start..]
                .windows(stop.len())
                .any(|window| window == stop.as_bytes())
        })
    }
}

impl Choosing {
    /// Adds what a row said: first tokens of all choices after the prompt, later one token of the current choice.
    fn add(&mut self, values: &[f32]) {
        match self.current {
            None => self.log_probabilities.copy_from_slice(values),
            Some(current) => self.log_probabilities[current] += values[0],
        }
    }

    /// Goes on to the next choice with more than one token; returns the tokens to read: all but its last.
    fn next_choice(&mut self) -> Option<Vec<u32>> {
        let from = self.current.map_or(0, |current| current + 1);
        let next = (from..self.choices.len()).find(|&index| self.choices[index].len() > 1)?;
        self.current = Some(next);
        let choice = &self.choices[next];
        Some(choice[..choice.len() - 1].to_vec())
    }
}
