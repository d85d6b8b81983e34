//! Questions about whole sequences: logits, log-probabilities of given tokens, prefixes.

use std::sync::Arc;

use super::{Chunk, DecodeError, Decoder, KeyValueCache, Outputs, PASS_ROWS, Prefix, Workspace};
use crate::ModelError;
use crate::kernels::rows::log_sum_exp;

/// A sequence that is being scored, a piece of it in each pass.
struct Scoring {
    /// Which sequence of the question.
    index: usize,
    cache: KeyValueCache,
    read: usize,
}

impl Decoder {
    /// Natural-log probabilities over the whole vocabulary for the token that follows `tokens`.
    pub fn next_token_logits(&self, tokens: &[u32]) -> Result<Vec<f32>, ModelError> {
        let mut workspace = Workspace::default();
        self.read(tokens, Outputs::Last, &mut workspace, |workspace| {
            self.head(workspace, |_, logits, _| {
                let total = log_sum_exp(logits);
                logits
                    .iter()
                    .map(|logit| logit - total)
                    .collect::<Vec<f32>>()
            })
        })
        .map(|mut rows| rows.pop().unwrap_or_default())
    }

    /// Logits at every position: `tokens.len() x vocab_size`, row-major.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>, ModelError> {
        let mut workspace = Workspace::default();
        let rows = self.read(tokens, Outputs::All, &mut workspace, |workspace| {
            self.head(workspace, |_, logits, _| logits.to_vec())
        })?;
        Ok(rows.concat())
    }

    /// For each sequence the natural-log probability of `tokens[i + 1]` given `tokens[..=i]`: one value fewer than it has
    /// tokens. Sequences are read side by side; logits exist for a few rows at a time only.
    ///
    /// # Errors
    /// Every sequence needs a token, ids within the vocabulary, and at most `context_length + 1` tokens.
    pub fn score(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, ModelError> {
        for sequence in sequences {
            self.check_tokens(sequence)?;
            let inputs = sequence.len().checked_sub(1).ok_or(DecodeError::NoTokens)?;
            self.check_length(inputs)?;
        }
        let mut scores: Vec<Vec<f32>> = sequences
            .iter()
            .map(|s| Vec::with_capacity(s.len() - 1))
            .collect();
        let mut waiting = (0..sequences.len())
            .filter(|&index| sequences[index].len() > 1)
            .peekable();
        let mut active: Vec<Scoring> = Vec::new();
        let mut workspace = Workspace::default();
        loop {
            let mut planned: usize = active
                .iter()
                .map(|scoring| sequences[scoring.index].len() - 1 - scoring.read)
                .sum();
            while planned < PASS_ROWS
                && let Some(index) = waiting.next()
            {
                planned += sequences[index].len() - 1;
                active.push(Scoring {
                    index,
                    cache: KeyValueCache::new(self.cache_shape(), None)?,
                    read: 0,
                });
            }
            if active.is_empty() {
                return Ok(scores);
            }
            self.score_pass(sequences, &mut active, &mut scores, &mut workspace)?;
            let (done, left): (Vec<_>, Vec<_>) = active
                .into_iter()
                .partition(|scoring| scoring.read + 1 == sequences[scoring.index].len());
            for scoring in done {
                scoring.cache.recycle(&mut workspace.pool);
            }
            active = left;
        }
    }

    /// Reads up to [`PASS_ROWS`] tokens of the active sequences and appends what they say of the tokens that follow.
    fn score_pass(
        &self,
        sequences: &[Vec<u32>],
        active: &mut [Scoring],
        scores: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) -> Result<(), ModelError> {
        let mut budget = PASS_ROWS;
        let mut chunks = Vec::new();
        let mut targets = Vec::new();
        for scoring in active.iter_mut() {
            let sequence = &sequences[scoring.index];
            let end = (scoring.read + budget).min(sequence.len() - 1);
            if end == scoring.read {
                break;
            }
            let tokens = &sequence[scoring.read..end];
            targets.extend(
                sequence[scoring.read + 1..=end]
                    .iter()
                    .map(|&target| (scoring.index, target)),
            );
            chunks.push(Chunk {
                cache: &mut scoring.cache,
                tokens,
                outputs: Outputs::All,
            });
            scoring.read = end;
            budget -= tokens.len();
        }
        self.forward(&mut chunks, workspace)?;
        let values = self.head(workspace, |row, logits, _| {
            logits[targets[row].1 as usize] - log_sum_exp(logits)
        });
        for ((index, _), value) in targets.into_iter().zip(values) {
            scores[index].push(value);
        }
        Ok(())
    }

    /// Reads `tokens` once for any number of requests that begin with them.
    pub fn prefix(&self, tokens: &[u32]) -> Result<Arc<Prefix>, ModelError> {
        let mut workspace = Workspace::default();
        let cache = self.read_into_cache(tokens, Outputs::None, &mut workspace, |_| ())?;
        Ok(Arc::new(cache.into_prefix(tokens.to_vec())))
    }

    /// Reads one sequence from its start and collects what `answer` says after each pass.
    fn read<R>(
        &self,
        tokens: &[u32],
        outputs: Outputs,
        workspace: &mut Workspace,
        answer: impl Fn(&mut Workspace) -> Vec<R>,
    ) -> Result<Vec<R>, ModelError> {
        let mut answers = Vec::new();
        self.read_into_cache(tokens, outputs, workspace, |workspace| {
            answers.extend(answer(workspace));
        })?;
        Ok(answers)
    }

    fn read_into_cache(
        &self,
        tokens: &[u32],
        outputs: Outputs,
        workspace: &mut Workspace,
        mut after_pass: impl FnMut(&mut Workspace),
    ) -> Result<KeyValueCache, ModelError> {
        if tokens.is_empty() {
            return Err(DecodeError::NoTokens.into());
        }
        self.check_tokens(tokens)?;
        self.check_length(tokens.len())?;
        let mut cache = KeyValueCache::new(self.cache_shape(), None)?;
        let passes = tokens.len().div_ceil(PASS_ROWS);
        for (pass, tokens) in tokens.chunks(PASS_ROWS).enumerate() {
            let outputs = if outputs == Outputs::Last && pass + 1 < passes {
                Outputs::None
            } else {
                outputs
            };
            self.forward(
                &mut [Chunk {
                    cache: &mut cache,
                    tokens,
                    outputs,
                }],
                workspace,
            )?;
            after_pass(workspace);
        }
        Ok(cache)
    }
}
