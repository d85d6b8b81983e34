//! Weights and texts that other programs can make as well, number by number.
//!
//! Every stream of numbers has a name and is `SplitMix64` (doi 10.1145/2660193.2660195) as a function of the place in
//! it: number `i` is `mix(start + (i + 1) · 0x9E3779B97F4A7C15)` in wrapping 64-bit arithmetic, where `start` is the
//! first eight bytes, little-endian, of the SHA-256 of `SEED NAME` (the seed in decimals, a space, the name).
//! `tests/pytorch/generated.py` is the same in numpy.

use limbeck_model::{ModelConfig, WeightMap, WeightTensor};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Deviation of the weights; those of projections back into the residual stream are smaller by the square root of
/// their number, as the trainer's are.
const DEVIATION: f64 = 0.02;

/// How far back the copied token stands.
const COPY_DISTANCE: usize = 8;

/// A named stream of numbers.
#[derive(Clone, Copy, Debug)]
struct Stream(u64);

impl Stream {
    fn new(seed: u64, name: &str) -> Self {
        let digest = Sha256::digest(format!("{seed} {name}"));
        let (start, _) = digest.split_at(8);
        Self(
            start
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    fn number(self, place: u64) -> u64 {
        let z = self
            .0
            .wrapping_add((place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

/// All weights of a decoder, from streams with their Hugging Face names.
///
/// Vectors (of norms) are ones. Matrices are uniform over an interval around zero: with `k` the upper 24 bits of a
/// number, the weight is the f32 product of `2k + 1 - 2²⁴` and the f32 nearest to `deviation · √3 / 2²⁴`, so that no
/// function whose last bit depends on a library has a part in it.
pub(super) fn weights(config: &ModelConfig, seed: u64) -> WeightMap {
    let into_residual = DEVIATION / (2.0 * config.layers as f64).sqrt();
    config
        .weight_names()
        .into_iter()
        .map(|(name, shape)| {
            let count: usize = shape.iter().product();
            let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let deviation = if residual { into_residual } else { DEVIATION };
            let unit = (deviation * 3f64.sqrt() / 2f64.powi(24)) as f32;
            let stream = Stream::new(seed, &name);
            let data = match shape.len() {
                1 => vec![1.0; count],
                _ => (0..count as u64)
                    .into_par_iter()
                    .map(|place| uniform(stream.number(place)) * unit)
                    .collect(),
            };
            (name, WeightTensor { shape, data })
        })
        .collect()
}

/// An odd whole number between -2²⁴ and 2²⁴, exact in f32.
fn uniform(number: u64) -> f32 {
    (2 * (number >> 40) as i64 + 1 - (1 << 24)) as f32
}

/// The tokens of a text: `length` of them, below `vocabulary`.
///
/// Three rules take turns at random, so that there is something to learn for the embeddings, for attention, and
/// something that cannot be learnt. With `r` the number `text · length + place` of the stream `tokens`, the lower
/// three bits of `r` choose: 0, and always at the first place, a token at random, `r >> 32` modulo the vocabulary;
/// 1 and 2, from the ninth place on, the token eight places before; otherwise `5t + 7` modulo the vocabulary, where
/// `t` is the token before.
pub(super) fn text(seed: u64, text: u64, length: usize, vocabulary: usize) -> Vec<u32> {
    let stream = Stream::new(seed, "tokens");
    let vocabulary = vocabulary as u64;
    let mut tokens: Vec<u32> = Vec::with_capacity(length);
    for place in 0..length {
        let number = stream.number(text * length as u64 + place as u64);
        let token = match (tokens.last(), number & 7) {
            (None, _) | (_, 0) => (number >> 32) % vocabulary,
            (_, 1 | 2) if place >= COPY_DISTANCE => tokens[place - COPY_DISTANCE].into(),
            (Some(&before), _) => (5 * u64::from(before) + 7) % vocabulary,
        };
        tokens.push(token as u32);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_model::testing::tiny_config;

    /// What `tests/pytorch/generated.py` makes.
    #[test]
    fn streams_are_those_of_the_peer() {
        let stream = Stream::new(1, "model.embed_tokens.weight");
        assert_eq!(
            [stream.number(0), stream.number(1), stream.number(1 << 40)],
            [
                0x4dfe_cd40_efb5_9515,
                0xa968_3162_9f51_42a8,
                0xf5a2_29fe_5000_d9cc
            ]
        );
        assert_eq!(
            text(1, 3, 20, 100),
            [
                4, 27, 42, 17, 92, 67, 42, 17, 92, 67, 42, 17, 92, 67, 42, 17, 92, 67, 42, 17
            ]
        );
        let config = tiny_config();
        let made = weights(&config, 1);
        let table = &made["model.layers.1.mlp.down_proj.weight"].data;
        assert_eq!(
            [table[0].to_bits(), table[1].to_bits()],
            [0x399a_16d5, 0xbc82_7697]
        );
    }

    #[test]
    fn weights_fit_the_shape_and_have_their_deviation() {
        let config = tiny_config();
        let made = weights(&config, 7);
        assert_ne!(made, weights(&config, 8));
        for (name, shape) in config.weight_names() {
            assert_eq!(made[&name].shape, shape);
            assert_eq!(made[&name].data.len(), shape.iter().product::<usize>());
        }
        let table = &made["model.embed_tokens.weight"].data;
        let squares: f32 = table.iter().map(|value| value * value).sum();
        assert!(((squares / table.len() as f32).sqrt() / 0.02 - 1.0).abs() < 0.05);
        assert_eq!(made["model.norm.weight"].data, vec![1.0; config.width]);
    }

    #[test]
    fn texts_keep_the_rules() {
        let tokens = text(5, 0, 4000, 50);
        assert!(tokens.iter().all(|&token| token < 50));
        let follows = |place: usize| tokens[place] == (5 * tokens[place - 1] + 7) % 50;
        let copies = |place: usize| tokens[place] == tokens[place - COPY_DISTANCE];
        let places = COPY_DISTANCE..tokens.len();
        let free = places
            .clone()
            .filter(|&place| !follows(place) && !copies(place));
        let (free, all) = (free.count() as f64, places.len() as f64);
        // One in eight is at random, and a few of those keep a rule by chance.
        assert!((free / all - 0.12).abs() < 0.03, "{free} of {all}");
        assert_ne!(text(5, 1, 40, 50), text(5, 0, 40, 50));
    }
}
