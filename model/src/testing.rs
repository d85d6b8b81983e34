//! Tiny models for tests, of this crate and of others (feature `testing`).

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::ModelConfig;
use crate::tokenizer::{PreTokenizer, Tokenizer, TokenizerParts, byte_level};
use crate::weights::{WeightMap, WeightTensor};

/// Pairs that the tiny tokenizer joins, strongest first.
const MERGES: [(&str, &str); 9] = [
    ("Ġ", "t"),
    ("h", "e"),
    ("Ġt", "he"),
    ("i", "n"),
    ("in", "g"),
    ("e", "r"),
    ("Ġ", "a"),
    ("l", "l"),
    ("Ġ", "Ġ"),
];

/// A tokenizer with `<|endoftext|>` (0, which ends answers), `<|im_start|>` (1) and `<|im_end|>` (2), a token for
/// every byte and a few merges.
///
/// # Panics
/// Never: the parts fit together.
pub fn tiny_tokenizer() -> Tokenizer {
    #[expect(
        clippy::expect_used,
        reason = "the parts are constants that fit together"
    )]
    Tokenizer::from_parts(tiny_parts()).expect("the parts of the tiny tokenizer fit together")
}

/// What [`tiny_tokenizer`] is made of.
pub fn tiny_parts() -> TokenizerParts {
    let control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let bytes = (0..=255).map(|byte| byte_level::character_of(byte).to_string());
    let merged = MERGES.iter().map(|(left, right)| format!("{left}{right}"));
    TokenizerParts {
        tokens: control
            .into_iter()
            .map(str::to_owned)
            .chain(bytes)
            .chain(merged)
            .collect(),
        merges: MERGES
            .iter()
            .map(|&(left, right)| (left.to_owned(), right.to_owned()))
            .collect(),
        control: BTreeSet::from([0, 1, 2]),
        pre: PreTokenizer::Smollm,
        bos: None,
        eos: 0,
        pad: None,
    }
}

/// A two-layer decoder with grouped-query attention and a tied head, for [`tiny_tokenizer`]; widths divide by 32, so
/// that every GGUF kind that Limbeck writes fits.
pub fn tiny_config() -> ModelConfig {
    ModelConfig {
        vocab_size: 3 + 256 + MERGES.len(),
        width: 64,
        layers: 2,
        heads: 4,
        key_value_heads: 2,
        head_dim: 16,
        feed_forward: 96,
        context_length: 64,
        rope_base: 10_000.0,
        rms_norm_epsilon: 1e-5,
        tied_embeddings: true,
    }
}

/// Random weights for `config`: uniform with a deviation of one over the square root of the row length, norms around
/// one. The same seed gives the same weights.
pub fn tiny_weights(config: &ModelConfig, seed: u64) -> WeightMap {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    config
        .weight_names()
        .into_iter()
        .map(|(name, shape)| {
            let row = shape.last().copied().unwrap_or(1);
            let (centre, spread) = if shape.len() == 1 {
                (1.0, 0.1)
            } else {
                (0.0, (3.0 / row as f32).sqrt())
            };
            let elements = shape.iter().product();
            let data = (0..elements)
                .map(|_| centre + random.random_range(-spread..spread))
                .collect();
            (name, WeightTensor { shape, data })
        })
        .collect()
}
