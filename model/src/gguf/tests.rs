#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use candle_core::quantized::gguf_file::Content;
use candle_core::{D, Device, Tensor};

use super::*;
use crate::testing::{tiny_config, tiny_tokenizer, tiny_weights};
use crate::{
    Decoder, ModelConfig, ModelError, ModelFiles, Precision, Tokenizer, WeightMap, WeightSource,
};

const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";

fn write(path: &Path, config: &ModelConfig, weights: &WeightMap, kind: GgufKind) {
    let extra = [(
        "limbeck.recipe".to_owned(),
        MetadataValue::String("tiny".to_owned()),
    )];
    let tokenizer = tiny_tokenizer();
    let (template, license) = (Some(TEMPLATE), Some("mit"));
    write_gguf(
        path, config, weights, &tokenizer, template, "Tiny", license, kind, &extra,
    )
    .unwrap();
}

pub(super) fn tiny_file(kind: GgufKind) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let config = tiny_config();
    write(&path, &config, &tiny_weights(&config, 1), kind);
    (folder, path)
}

#[test]
fn what_is_written_reads_back() {
    for tied_embeddings in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        let config = ModelConfig {
            tied_embeddings,
            head_dim: 8,
            ..tiny_config()
        };
        let weights = tiny_weights(&config, 7);
        write(&path, &config, &weights, GgufKind::F32);
        let file = GgufFile::open(&path).unwrap();
        assert_eq!(file.metadata()["limbeck.recipe"].as_str(), Some("tiny"));
        let files = ModelFiles::open(&path).unwrap();
        assert_eq!(files.config, config);
        assert_eq!(files.tokenizer.parts(), tiny_tokenizer().parts());
        assert_eq!(files.chat_template.unwrap().source(), TEMPLATE);
        assert_eq!(
            (files.name.as_str(), files.license.as_deref()),
            ("Tiny", Some("mit"))
        );
        assert_eq!(files.weights.contains("lm_head.weight"), !tied_embeddings);
        for (name, weight) in &weights {
            assert_eq!(files.weights.load(name).unwrap(), *weight, "{name}");
        }
    }
}

/// The largest error of a kind, as a share of the largest value of a block of 32: half a step, and for `Q4_0` a whole
/// one, since its steps reach one further down than up; the scale itself is a half float.
fn tolerance(kind: GgufKind) -> f32 {
    match kind {
        GgufKind::F32 => 0.0,
        GgufKind::F16 => 1.0 / 1024.0,
        GgufKind::Q8_0 => 0.5 / 127.0 + 1.0 / 2048.0,
        GgufKind::Q4_0 => 1.0 / 8.0 + 1.0 / 2048.0,
    }
}

/// Query and key rows change places on the way in, in blocks as well as dequantised.
#[test]
fn a_decoder_of_blocks_computes_what_one_of_dequantised_weights_does() {
    let tokens: Vec<u32> = (3..40).collect();
    for kind in [GgufKind::Q8_0, GgufKind::Q4_0] {
        let (_folder, path) = tiny_file(kind);
        let files = ModelFiles::open(&path).unwrap();
        let weights = files.weights.as_ref();
        assert!(weights.load_blocks("model.norm.weight").unwrap().is_none());
        let blocks = weights.load_blocks("model.layers.0.mlp.up_proj.weight");
        assert!(blocks.unwrap().is_some());
        let logits = |precision| {
            let decoder = Decoder::load(&files.config, weights, precision).unwrap();
            assert_eq!(decoder.precision(), precision);
            decoder.logits(&tokens).unwrap()
        };
        let (exact, integer) = (logits(Precision::F32), logits(Precision::Integer));
        let largest = exact.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        // Inputs of 8 bits beside 4-bit weights, of 16 beside those of 8 bits.
        let tolerance = largest * if kind == GgufKind::Q4_0 { 0.05 } else { 5e-4 };
        for (exact, integer) in exact.iter().zip(integer) {
            let difference = (exact - integer).abs();
            assert!(
                difference < tolerance,
                "{kind:?}: {difference} of {largest}"
            );
        }
    }
}

#[test]
fn quantised_weights_stay_within_the_step_of_their_kind() {
    let config = tiny_config();
    let weights = tiny_weights(&config, 1);
    for kind in GgufKind::ALL {
        let (_folder, path) = tiny_file(kind);
        let file = GgufFile::open(&path).unwrap();
        for (name, weight) in &weights {
            let read = file.load(name).unwrap();
            assert_eq!(read.shape, weight.shape);
            for (read, wanted) in read.data.chunks(32).zip(weight.data.chunks(32)) {
                let largest = wanted
                    .iter()
                    .fold(0.0_f32, |most, value| most.max(value.abs()));
                for (read, wanted) in read.iter().zip(wanted) {
                    let error = (read - wanted).abs();
                    assert!(
                        error <= tolerance(kind) * largest,
                        "{kind} {name}: {read} for {wanted}"
                    );
                }
            }
        }
    }
}

#[test]
fn norms_stay_f32_and_odd_rows_fall_back() {
    let config = ModelConfig {
        feed_forward: 40,
        ..tiny_config()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.gguf");
    write(&path, &config, &tiny_weights(&config, 1), GgufKind::Q4_0);
    let file = GgufFile::open(&path).unwrap();
    let kind = |name: &str| format!("{:?}", file.tensor(name).unwrap().kind);
    assert_eq!(kind("model.norm.weight"), "F32");
    assert_eq!(kind("model.layers.1.mlp.up_proj.weight"), "Q4_0");
    assert_eq!(kind("model.layers.1.mlp.down_proj.weight"), "F16");
}

/// candle's own reader sees rows in the order that llama.cpp's converter gives them.
#[test]
fn another_reader_sees_the_rows_in_llama_cpp_order() {
    let config = tiny_config();
    let weights = tiny_weights(&config, 1);
    let (_folder, path) = tiny_file(GgufKind::F32);
    let mut input = std::fs::File::open(&path).unwrap();
    let content = Content::read(&mut input).unwrap();
    for (ours, theirs, heads) in [
        (
            "model.layers.1.self_attn.q_proj.weight",
            "blk.1.attn_q.weight",
            config.heads,
        ),
        (
            "model.layers.1.self_attn.k_proj.weight",
            "blk.1.attn_k.weight",
            config.key_value_heads,
        ),
        (
            "model.layers.1.self_attn.v_proj.weight",
            "blk.1.attn_v.weight",
            0,
        ),
    ] {
        let weight = &weights[ours];
        let mut expected =
            Tensor::from_slice(&weight.data, weight.shape.as_slice(), &Device::Cpu).unwrap();
        if heads > 0 {
            let halves = expected
                .reshape((heads, 2, config.head_dim / 2, config.width))
                .unwrap();
            expected = halves.transpose(1, 2).unwrap().contiguous().unwrap();
            expected = expected.reshape(weight.shape.as_slice()).unwrap();
        }
        let found = content.tensor(&mut input, theirs, &Device::Cpu).unwrap();
        let found = found.dequantize(&Device::Cpu).unwrap();
        assert_eq!(found.dims(), expected.dims());
        let difference = (found - expected)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap();
        let largest: f32 = difference.max(D::Minus1).unwrap().to_scalar().unwrap();
        assert!(
            largest.abs() < f32::EPSILON,
            "{theirs} differs by {largest}"
        );
    }
}

#[test]
fn a_beginning_is_always_named_and_never_invented() {
    let (_folder, path) = tiny_file(GgufKind::F16);
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(
        file.metadata()["tokenizer.ggml.bos_token_id"],
        MetadataValue::U32(0)
    );
    assert_eq!(
        file.metadata()["tokenizer.ggml.add_bos_token"],
        MetadataValue::Bool(false)
    );
    assert_eq!(Tokenizer::from_gguf(&file).unwrap().bos(), None);
}

#[test]
fn a_failed_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, "old").unwrap();
    let config = tiny_config();
    let mut weights = tiny_weights(&config, 1);
    weights.remove("model.norm.weight");
    let tokenizer = tiny_tokenizer();
    let result = write_gguf(
        &path,
        &config,
        &weights,
        &tokenizer,
        None,
        "x",
        None,
        GgufKind::F16,
        &[],
    );
    assert!(matches!(result, Err(ModelError::MissingTensor { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
