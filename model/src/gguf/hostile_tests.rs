//! Files made to break the reader.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::tests::tiny_file;
use super::*;
use crate::{Tokenizer, WeightSource};

/// Bytes of a file with these metadata and tensor sections.
fn file(version: u32, tensors: u64, entries: u64, rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(rest.concat());
    bytes
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    GgufFile::from_bytes(bytes, "hostile")
        .unwrap_err()
        .to_string()
}

#[test]
fn hostile_headers_are_refused_before_anything_is_allocated() {
    let (huge, key) = (u64::MAX.to_le_bytes(), string("k"));
    let kind = |code: u32| code.to_le_bytes();
    let nested: Vec<u8> = (0..64)
        .flat_map(|_| [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
        .collect();
    let architecture = [
        &string("general.architecture")[..],
        &kind(8),
        &string("llama"),
    ]
    .concat();
    let alignment = |value: u32| {
        [
            &string("general.alignment")[..],
            &kind(4),
            &value.to_le_bytes(),
        ]
        .concat()
    };
    let check = |bytes: Vec<u8>, expected: &str| {
        let message = refusal(&bytes);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    };
    check(Vec::new(), "not a GGUF file");
    check(b"GGML...............".to_vec(), "not a GGUF file");
    check(b"GGUF".to_vec(), "the version needs 4 bytes and 0 are left");
    check(file(1, 0, 0, &[]), "version 1, expected 2 or 3");
    check(
        file(0x0300_0000, 0, 0, &[]),
        "expected 2 or 3, little-endian",
    );
    check(file(3, 0, u64::MAX, &[]), "the metadata needs");
    check(file(3, 0, 1, &[&huge, &[0; 5]]), "a metadata key needs");
    check(
        file(3, 0, 1, &[&[0; 13]]),
        "lacks the key `general.architecture`",
    );
    check(
        file(3, 0, 1, &[&key, &kind(8), &huge]),
        "k needs 18446744073709551615",
    );
    check(
        file(3, 0, 1, &[&key, &kind(9), &kind(12), &huge]),
        "k needs 18446744073709551615",
    );
    check(file(3, 0, 1, &[&key, &kind(9), &kind(8), &huge]), "k needs");
    check(
        file(3, 0, 1, &[&key, &kind(9), &nested]),
        "nests arrays more than 8 deep",
    );
    check(file(3, 0, 1, &[&key, &kind(7), &[2]]), "truth value 2");
    check(file(3, 0, 1, &[&key, &kind(99)]), "unknown value type 99");
    check(
        file(3, 0, 1, &[&1_u64.to_le_bytes(), &[0xFF], &kind(0), &[0]]),
        "not UTF-8",
    );
    check(
        file(3, 0, 2, &[&architecture, &architecture]),
        "there twice",
    );
    check(
        file(3, u64::MAX, 1, &[&architecture]),
        "a tensor name needs 8 bytes and 0 are left",
    );
    check(file(3, 0, 1, &[&alignment(0)]), "expected a power of two");
    check(file(3, 0, 1, &[&alignment(1)]), "expected a power of two");
    check(
        file(3, 0, 1, &[&alignment(u32::MAX)]),
        "expected a power of two",
    );
}

#[test]
fn hostile_tensors_are_refused() {
    let tensor = |dimensions: &[u64], kind: u32, offset: u64| {
        let mut bytes = string("t");
        bytes.extend((dimensions.len() as u32).to_le_bytes());
        bytes.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    };
    let check = |tensor: Vec<u8>, expected: &str| {
        let message = refusal(&file(3, 1, 0, &[&tensor, &[0; 256]]));
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    };
    check(tensor(&[], 0, 0), "has 0 dimensions");
    check(tensor(&[1; 5], 0, 0), "has 5 dimensions");
    check(tensor(&[0], 0, 0), "a dimension of 0");
    check(
        tensor(&[1 << 32, 1 << 32], 0, 0),
        "a dimension of 4294967296",
    );
    check(tensor(&[1 << 62], 0, 0), "elements");
    check(
        tensor(&[1 << 40], 0, 0),
        "tensor `t` needs 4398046511104 bytes",
    );
    check(tensor(&[33], 8, 0), "rows of 33, expected a multiple of 32");
    check(tensor(&[32], 4, 0), "tensor type 4 (of `t`)");
    check(tensor(&[1], 0, 1), "starts at 1, expected a multiple of 32");
    check(tensor(&[1], 0, u64::MAX - 31), "tensor `t` needs");
    // In bounds, so that the next complaint is about the metadata.
    check(tensor(&[32], 0, 32), "lacks the key `general.architecture`");
}

#[test]
fn models_that_would_decode_to_nonsense_are_refused() {
    let (_folder, path) = tiny_file(GgufKind::F32);
    let bytes = std::fs::read(&path).unwrap();
    let swap = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = bytes.clone();
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        let file = GgufFile::from_bytes(&bytes, "changed");
        let opened = file.and_then(|file| {
            let config = file.config()?;
            file.check_tensors(&config)?;
            Tokenizer::from_gguf(&file)
        });
        opened.unwrap_err().to_string()
    };
    let check = |from: &str, to: &str, expected: &str| {
        let message = swap(from, to);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    };
    assert!(swap("llama", "qwen2").contains("architecture `qwen2`"));
    check("smollm", "tekken", "unknown pre-tokenizer `tekken`");
    check("gpt2", "bert", "a tokenizer of the kind `bert`");
    check(
        "blk.1.ffn_up.weight",
        "blk.1.ffn_uq.weight",
        "lacks the tensor `model.layers.1.mlp.up_proj.weight`",
    );
    check(
        "llama.block_count",
        "llama.block_conut",
        "lacks the key `llama.block_count`",
    );
}

/// One change to the bytes of a file.
#[derive(Clone, Debug)]
enum Mutation {
    Byte(usize, u8),
    Number(usize, u64),
    Cut(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let number = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        0..300_u64,
        Just(1 << 31),
        Just(1 << 63)
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        (any::<usize>(), number).prop_map(|(at, number)| Mutation::Number(at, number)),
        any::<usize>().prop_map(Mutation::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to its bytes, a file is read or refused.
    #[test]
    fn changed_bytes_never_panic(mutations in proptest::collection::vec(mutation(), 1..6)) {
        static TINY: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let (_folder, path) = tiny_file(GgufKind::Q4_0);
            std::fs::read(path).unwrap()
        });
        let mut bytes = TINY.clone();
        // Most of what can go wrong is in the header, which takes about the first eight thousand bytes.
        for mutation in mutations {
            let header = bytes.len().clamp(1, 9_000);
            match mutation {
                Mutation::Byte(at, byte) => {
                    if let Some(target) = bytes.get_mut(at % header) {
                        *target = byte;
                    }
                }
                Mutation::Number(at, number) => {
                    let at = at % header;
                    if let Some(target) = bytes.get_mut(at..at + 8) {
                        target.copy_from_slice(&number.to_le_bytes());
                    }
                }
                Mutation::Cut(at) => bytes.truncate(at % (bytes.len() + 1)),
            }
        }
        if let Ok(file) = GgufFile::from_bytes(&bytes, "mutated") {
            let _ = Tokenizer::from_gguf(&file);
            if let Ok(config) = file.config() {
                let _ = file.check_tensors(&config);
                for (name, _) in config.weight_names().iter().take(30) {
                    let _ = file.load(name);
                }
            }
        }
    }
}
