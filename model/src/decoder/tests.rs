//! The decoder against a forward pass written out in f64, and against itself in other company.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use super::*;
use crate::kernels::simd::{InstructionSet, has_bf16_dot_products, with_instructions};
use test_support::{InBlocks, Reference, block_config, odd_config, random_tokens, random_weights};

fn decoder(tied: bool, precision: Precision) -> Decoder {
    let config = odd_config(tied);
    Decoder::load(&config, &random_weights(&config), precision).unwrap()
}

/// A model in every precision that this processor has.
fn decoders(tied: bool) -> Vec<Decoder> {
    let mut decoders = vec![decoder(tied, Precision::F32), integer_decoder(tied)];
    if has_bf16_dot_products() {
        decoders.push(decoder(tied, Precision::Bf16));
    }
    decoders
}

fn integer_decoder(tied: bool) -> Decoder {
    let config = block_config(tied);
    let weights = InBlocks::new(random_weights(&config));
    Decoder::load(&config, &weights, Precision::Integer).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn logits_equal_the_reference() {
    // Longer than two blocks of the cache.
    let tokens = random_tokens(150, 7);
    for tied in [true, false] {
        let config = odd_config(tied);
        let weights = random_weights(&config);
        let expected = Reference {
            config: &config,
            weights: &weights,
        }
        .logits(&tokens);
        let spread = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(
            spread > 2.0,
            "the reference must have something to say: {spread}"
        );
        let mut tolerances = vec![(Precision::F32, 1e-4)];
        if has_bf16_dot_products() {
            tolerances.push((Precision::Bf16, 0.15));
        }
        for (precision, tolerance) in tolerances {
            let decoder = Decoder::load(&config, &weights, precision).unwrap();
            let difference = largest_difference(&decoder.logits(&tokens).unwrap(), &expected);
            assert!(
                difference < tolerance,
                "tied {tied}, {precision:?}: {difference}"
            );
        }
    }
}

#[test]
fn logits_of_weights_in_blocks_equal_the_reference() {
    let tokens = random_tokens(150, 7);
    for tied in [true, false] {
        let config = block_config(tied);
        let weights = InBlocks::new(random_weights(&config));
        let expected = Reference {
            config: &config,
            weights: &weights.weights,
        }
        .logits(&tokens);
        for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Integer, 0.3)] {
            let decoder = Decoder::load(&config, &weights, precision).unwrap();
            assert_eq!(decoder.precision(), precision);
            let difference = largest_difference(&decoder.logits(&tokens).unwrap(), &expected);
            assert!(
                difference < tolerance,
                "tied {tied}, {precision:?}: {difference}"
            );
        }
    }
}

#[test]
fn the_decoder_says_what_it_runs_on() {
    let f32 = decoder(true, Precision::F32);
    assert_eq!(f32.precision(), Precision::F32);
    assert_ne!(f32.instruction_set(), "AVX512-BF16");
    let panels = if has_bf16_dot_products() {
        Precision::Bf16
    } else {
        Precision::F32
    };
    // Nothing of this model is in blocks.
    assert_eq!(decoder(true, Precision::Auto).precision(), panels);
    assert_eq!(decoder(true, Precision::Integer).precision(), panels);
    let integer = integer_decoder(true);
    assert_eq!(integer.precision(), Precision::Integer);
    assert_ne!(integer.instruction_set(), "AVX512-BF16");
    let config = block_config(true);
    let weights = InBlocks::new(random_weights(&config));
    let auto = Decoder::load(&config, &weights, Precision::Auto).unwrap();
    let expected = if has_bf16_dot_products() {
        Precision::Bf16
    } else if crate::kernels::quantised::is_fast() {
        Precision::Integer
    } else {
        Precision::F32
    };
    assert_eq!(auto.precision(), expected);
    let auto = with_instructions(InstructionSet::Portable, || {
        assert_eq!(Precision::for_one_sequence(), Precision::Auto);
        Decoder::load(&config, &weights, Precision::Auto).unwrap()
    });
    assert_eq!(auto.precision(), Precision::F32);
}

#[test]
fn next_token_probabilities_are_the_last_row_normalised() {
    let decoder = decoder(false, Precision::F32);
    // More than one pass.
    let tokens = random_tokens(600, 3);
    let all = decoder.logits(&tokens).unwrap();
    let last = &all[all.len() - 101..];
    let total = last.iter().map(|x| x.exp()).sum::<f32>().ln();
    let expected: Vec<f32> = last.iter().map(|x| x - total).collect();
    assert!(largest_difference(&decoder.next_token_logits(&tokens).unwrap(), &expected) < 1e-4);
}

#[test]
fn scores_are_log_probabilities_of_the_given_tokens() {
    for decoder in decoders(true) {
        let precision = decoder.precision();
        let lengths = [1, 2, 65, 600, 40, 3, 1, 300];
        let sequences: Vec<Vec<u32>> = lengths
            .iter()
            .map(|&n| random_tokens(n, n as u64))
            .collect();
        let scores = decoder.score(&sequences).unwrap();
        for (sequence, scores) in sequences.iter().zip(scores) {
            assert_eq!(scores.len(), sequence.len() - 1);
            let logits = decoder.logits(sequence).unwrap();
            for (i, score) in scores.iter().enumerate() {
                let row = &logits[i * 101..][..101];
                let total = row.iter().map(|x| x.exp()).sum::<f32>().ln();
                let expected = row[sequence[i + 1] as usize] - total;
                assert!(
                    (score - expected).abs() < 1e-4,
                    "{precision:?}, position {i}: {score} instead of {expected}"
                );
            }
        }
        assert!(decoder.score(&[]).unwrap().is_empty());
    }
}

/// Log-probabilities after a prefix and a suffix, read in pieces.
fn in_pieces(decoder: &Decoder, prefix: Option<Arc<Prefix>>, pieces: &[&[u32]]) -> Vec<f32> {
    let mut workspace = Workspace::default();
    let mut cache = KeyValueCache::new(decoder.cache_shape(), prefix).unwrap();
    let mut rows = Vec::new();
    for tokens in pieces {
        let chunk = Chunk {
            cache: &mut cache,
            tokens,
            outputs: Outputs::Last,
        };
        decoder.forward(&mut [chunk], &mut workspace).unwrap();
        rows = decoder.head(&mut workspace, |_, logits, _| logits.to_vec());
    }
    rows.pop().unwrap()
}

#[test]
fn a_prefix_and_a_suffix_equal_the_whole() {
    let tokens = random_tokens(200, 11);
    for decoder in decoders(true) {
        let precision = decoder.precision();
        let whole = in_pieces(&decoder, None, &[&tokens]);
        for split in [1, 63, 64, 65, 128, 199] {
            let prefix = decoder.prefix(&tokens[..split]).unwrap();
            assert_eq!(prefix.tokens(), &tokens[..split]);
            let after_prefix = in_pieces(&decoder, Some(prefix), &[&tokens[split..]]);
            let continued = in_pieces(&decoder, None, &[&tokens[..split], &tokens[split..]]);
            // To the last bit: whether a beginning was shared is chance, and must not show in an answer.
            assert!(after_prefix == whole, "{precision:?}, prefix of {split}");
            assert!(continued == whole, "{precision:?}, pieces at {split}");
        }
    }
}

#[test]
fn a_sequence_does_not_notice_the_others_in_its_pass() {
    for decoder in decoders(true) {
        let precision = decoder.precision();
        let prefix = decoder.prefix(&random_tokens(90, 1)).unwrap();
        let prompts: Vec<Vec<u32>> = (0..20)
            .map(|i| random_tokens(1 + i * 7 % 90, i as u64))
            .collect();
        let own_prefix = |i: usize| (!i.is_multiple_of(3)).then(|| prefix.clone());
        let mut caches: Vec<KeyValueCache> = (0..prompts.len())
            .map(|i| KeyValueCache::new(decoder.cache_shape(), own_prefix(i)).unwrap())
            .collect();
        let mut chunks: Vec<Chunk<'_>> = caches
            .iter_mut()
            .zip(&prompts)
            .map(|(cache, tokens)| Chunk {
                cache,
                tokens,
                outputs: Outputs::Last,
            })
            .collect();
        let mut workspace = Workspace::default();
        decoder.forward(&mut chunks, &mut workspace).unwrap();
        let together = decoder.head(&mut workspace, |_, logits, _| logits.to_vec());
        for (i, together) in together.iter().enumerate() {
            let alone = in_pieces(&decoder, own_prefix(i), &[&prompts[i]]);
            assert_eq!(&alone, together, "{precision:?}, sequence {i}");
        }
    }
}

#[test]
fn what_cannot_be_answered_is_an_error() {
    let decoder = decoder(true, Precision::F32);
    let kind = |error: ModelError| match error {
        ModelError::Decode(error) => error,
        other => panic!("unexpected {other}"),
    };
    let too_long = random_tokens(701, 1);
    assert!(matches!(
        kind(decoder.logits(&[]).unwrap_err()),
        DecodeError::NoTokens
    ));
    assert!(matches!(
        kind(decoder.prefix(&[]).unwrap_err()),
        DecodeError::NoTokens
    ));
    assert!(matches!(
        kind(decoder.score(&[vec![]]).unwrap_err()),
        DecodeError::NoTokens
    ));
    assert!(matches!(
        kind(decoder.logits(&[101]).unwrap_err()),
        DecodeError::TokenOutOfRange { id: 101, .. }
    ));
    assert!(matches!(
        kind(decoder.score(&[vec![1, u32::MAX]]).unwrap_err()),
        DecodeError::TokenOutOfRange { .. }
    ));
    assert!(matches!(
        kind(decoder.next_token_logits(&too_long).unwrap_err()),
        DecodeError::TooLong { tokens: 701, .. }
    ));
    assert!(decoder.next_token_logits(&too_long[..700]).is_ok());
    assert!(
        decoder.score(&[too_long]).is_ok(),
        "the last token is not read"
    );
}

#[test]
fn weights_of_another_shape_are_refused() {
    let config = odd_config(true);
    let mut weights = random_weights(&config);
    weights
        .get_mut("model.layers.1.mlp.down_proj.weight")
        .unwrap()
        .shape
        .reverse();
    let error = Decoder::load(&config, &weights, Precision::F32)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "weight `model.layers.1.mlp.down_proj.weight` has shape [53, 30] and 1590 values, expected [30, 53]"
    );
    weights.remove("model.layers.0.input_layernorm.weight");
    assert!(Decoder::load(&config, &weights, Precision::F32).is_err());
}

#[test]
fn a_prefix_of_another_model_is_refused() {
    let decoder = decoder(true, Precision::F32);
    let other = ModelConfig {
        layers: 2,
        ..odd_config(true)
    };
    let other = Decoder::load(&other, &random_weights(&other), Precision::F32).unwrap();
    let prefix = other.prefix(&[1, 2]).unwrap();
    let refused = KeyValueCache::new(decoder.cache_shape(), Some(prefix))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(refused, DecodeError::ForeignPrefix));
}
