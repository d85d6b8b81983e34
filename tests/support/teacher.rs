//! Teachers of about a hundred thousand weights, made by the tests themselves.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use limbeck_model::testing::{tiny_config, tiny_parts, tiny_weights};
use limbeck_model::{
    GgufKind, ModelConfig, Tokenizer, TokenizerParts, WeightMap, WeightTensor, write_gguf,
};

/// The turns of `SmolLM2`, without its default system turn.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// What the hostile teacher answers, whatever it is asked: markup, control codes that retitle a terminal and clear
/// it, and an override that turns text around.
pub const HOSTILE_ANSWER: &str = "<script>alert(1)</script> & <img src=x onerror=alert(2)> \u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}end";

/// A teacher with random weights, which ends its answers after a few tokens: they mean nothing, and are the same every
/// time.
pub fn tiny_teacher() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let (config, parts) = (config(), tiny_parts());
        let mut weights = tiny_weights(&config, 1);
        // The first channel, which no block changes, speaks for the end and for nothing else.
        silence(&mut weights, &config, |channel| channel == 0);
        set(&mut weights, "model.embed_tokens.weight", |_, channel| {
            (channel == 0).then_some(1.0)
        });
        set(&mut weights, "lm_head.weight", |token, channel| {
            let end = token == parts.eos as usize;
            (channel == 0).then_some(if end { 4.0 } else { 0.0 })
        });
        write("tiny-teacher.gguf", &config, &weights, parts)
    })
}

/// A teacher that answers [`HOSTILE_ANSWER`] to everything.
pub fn hostile_teacher() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let mut parts = tiny_parts();
        // No merge leads to this token, so that text which spells it is read byte by byte; it can only be written.
        let answer = parts.tokens.len();
        parts.tokens.push(byte_level(HOSTILE_ANSWER));
        let config = ModelConfig {
            vocab_size: parts.tokens.len(),
            ..config()
        };
        let weights = one_answer(&config, answer, parts.eos as usize);
        write("hostile-teacher.gguf", &config, &weights, parts)
    })
}

fn config() -> ModelConfig {
    ModelConfig {
        context_length: 1024,
        tied_embeddings: false,
        ..tiny_config()
    }
}

/// Weights with which `answer` follows every token, and `end` follows `answer`. The blocks add nothing to the
/// embeddings, of which the first channel means "ask" and the second "answered".
fn one_answer(config: &ModelConfig, answer: usize, end: usize) -> WeightMap {
    let mut weights = tiny_weights(config, 1);
    let one = |holds: bool| Some(if holds { 1.0 } else { 0.0 });
    silence(&mut weights, config, |_| true);
    set(
        &mut weights,
        "model.embed_tokens.weight",
        |token, channel| one(channel == usize::from(token == answer)),
    );
    set(&mut weights, "lm_head.weight", |token, channel| {
        one((token, channel) == (answer, 0) || (token, channel) == (end, 1)).map(|one| 4.0 * one)
    });
    weights
}

/// Lets no block write to these channels of the residual stream.
fn silence(weights: &mut WeightMap, config: &ModelConfig, channels: impl Fn(usize) -> bool) {
    for layer in 0..config.layers {
        for part in ["self_attn.o_proj", "mlp.down_proj"] {
            let name = format!("model.layers.{layer}.{part}.weight");
            set(weights, &name, |channel, _| {
                channels(channel).then_some(0.0)
            });
        }
    }
}

/// Sets those numbers of a matrix for which `value` has one, by row and column.
fn set(weights: &mut WeightMap, name: &str, value: impl Fn(usize, usize) -> Option<f32>) {
    let WeightTensor { shape, data } = weights.get_mut(name).expect("a tensor of the decoder");
    let width = shape[1];
    for (index, number) in data.iter_mut().enumerate() {
        *number = value(index / width, index % width).unwrap_or(*number);
    }
}

/// Text in the alphabet of byte-level vocabularies.
fn byte_level(text: &str) -> String {
    text.bytes()
        .map(limbeck_model::tokenizer::byte_level::character_of)
        .collect()
}

/// Writes a model to Cargo's folder for files of tests. The file appears whole, so other processes may do the same.
fn write(name: &str, config: &ModelConfig, weights: &WeightMap, parts: TokenizerParts) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let tokenizer = Tokenizer::from_parts(parts).expect("the parts fit together");
    write_gguf(
        &path,
        config,
        weights,
        &tokenizer,
        Some(CHAT_TEMPLATE),
        "tiny",
        Some("mit"),
        GgufKind::F32,
        &[],
    )
    .expect("the teacher is written");
    path
}
