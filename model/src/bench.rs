//! How fast a decoder reads prompts and writes answers.

use std::time::Instant;

use crate::decoder::{Chunk, KeyValueCache, Outputs, PASS_ROWS, Workspace};
use crate::{DecodeError, Decoder, ModelError, Precision};

/// What [`decode`] measured.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeBench {
    /// Prompt tokens read a second, all sequences together.
    pub prompt_tokens_per_second: f64,
    /// Tokens decoded a second, all sequences together.
    pub tokens_per_second: f64,
    /// The precision in use.
    pub precision: Precision,
    /// The instructions in use.
    pub instruction_set: &'static str,
    /// Threads in use.
    pub threads: usize,
}

/// Reads prompts of `prompt` tokens for `sequences` sequences, then decodes `new` tokens of each, one of every sequence
/// at a step, with all their logits, through the passes that requests take. `tests/llama-cpp/bench_decode.py` has
/// llama.cpp do the same.
///
/// # Errors
/// All three counts must be at least 1, and `prompt + new` must fit the context.
pub fn decode(
    decoder: &Decoder,
    sequences: usize,
    prompt: usize,
    new: usize,
) -> Result<DecodeBench, ModelError> {
    if sequences == 0 || prompt == 0 || new == 0 {
        return Err(DecodeError::Empty {
            what: "the benchmark (sequences, prompt and new tokens need at least 1 each)",
        }
        .into());
    }
    let mut bench = Bench {
        decoder,
        workspace: Workspace::default(),
        caches: Vec::new(),
    };
    // The first time warms caches and memory up and is thrown away.
    bench.read_prompts(sequences, prompt)?;
    let start = Instant::now();
    bench.read_prompts(sequences, prompt)?;
    let prompt_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    for step in 0..new {
        bench.decode_step(step)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(DecodeBench {
        prompt_tokens_per_second: (sequences * prompt) as f64 / prompt_seconds,
        tokens_per_second: (sequences * new) as f64 / seconds,
        precision: decoder.precision(),
        instruction_set: decoder.instruction_set(),
        threads: rayon::current_num_threads(),
    })
}

struct Bench<'d> {
    decoder: &'d Decoder,
    workspace: Workspace,
    caches: Vec<KeyValueCache>,
}

impl Bench<'_> {
    /// Starts over with prompts that differ from sequence to sequence.
    fn read_prompts(&mut self, sequences: usize, prompt: usize) -> Result<(), ModelError> {
        self.caches
            .drain(..)
            .for_each(|cache| cache.recycle(&mut self.workspace.pool));
        let mut prompts = Vec::with_capacity(sequences);
        for sequence in 0..sequences {
            self.caches
                .push(KeyValueCache::new(self.decoder.cache_shape(), None)?);
            prompts.push(
                (0..prompt)
                    .map(|i| self.token(100 + i + sequence))
                    .collect::<Vec<u32>>(),
            );
        }
        let mut done = 0;
        while done < prompt {
            // As many sequences a pass as fit the usual number of rows, each with the same share of its prompt.
            let length = (prompt - done).min(PASS_ROWS);
            let outputs = if done + length == prompt {
                Outputs::Last
            } else {
                Outputs::None
            };
            let together = (PASS_ROWS / length).max(1);
            for (caches, prompts) in self
                .caches
                .chunks_mut(together)
                .zip(prompts.chunks(together))
            {
                let mut chunks: Vec<Chunk<'_>> = caches
                    .iter_mut()
                    .zip(prompts)
                    .map(|(cache, prompt)| Chunk {
                        cache,
                        tokens: &prompt[done..done + length],
                        outputs,
                    })
                    .collect();
                self.decoder.forward(&mut chunks, &mut self.workspace)?;
                self.decoder
                    .head(&mut self.workspace, |_, logits, _| logits[0]);
            }
            done += length;
        }
        Ok(())
    }

    /// One more token of every sequence.
    fn decode_step(&mut self, step: usize) -> Result<(), ModelError> {
        let tokens: Vec<u32> = (0..self.caches.len())
            .map(|sequence| self.token(200 + step + sequence))
            .collect();
        let mut chunks: Vec<Chunk<'_>> = self
            .caches
            .iter_mut()
            .zip(tokens.chunks(1))
            .map(|(cache, tokens)| Chunk {
                cache,
                tokens,
                outputs: Outputs::Last,
            })
            .collect();
        self.decoder.forward(&mut chunks, &mut self.workspace)?;
        self.decoder
            .head(&mut self.workspace, |_, logits, _| logits[0]);
        Ok(())
    }

    fn token(&self, number: usize) -> u32 {
        (number % self.decoder.config().vocab_size) as u32
    }
}
