//! The metadata of a file that we write, in the order that llama.cpp's own converter uses.

use super::GgufKind;
use super::value::{MetadataArray, MetadataValue};
use super::write::{ALIGNMENT, GgufDescription};
use crate::ModelError;

/// `tokenizer.ggml.token_type` of an ordinary and of a control token.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

pub(super) fn build(
    description: &GgufDescription<'_>,
) -> Result<Vec<(String, MetadataValue)>, ModelError> {
    let (tokens, rows) = (
        description.tokenizer.vocab_size(),
        description.config.vocab_size,
    );
    if tokens != rows {
        return Err(ModelError::Config {
            field: "vocab_size",
            value: rows.to_string(),
            expected: format!("{tokens}, the number of tokens of the tokenizer"),
        });
    }
    let mut entries = general(description);
    entries.extend(shape(description));
    entries.extend(tokenizer(description));
    let mut entries: Vec<(String, MetadataValue)> = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    for (key, value) in description.extra {
        if entries.iter().any(|(known, _)| known == key) {
            return Err(ModelError::malformed(
                description.name.as_ref(),
                format!("the extra key `{key}` is there already"),
            ));
        }
        entries.push((key.clone(), value.clone()));
    }
    Ok(entries)
}

type Entries = Vec<(&'static str, MetadataValue)>;

fn text(value: &str) -> MetadataValue {
    MetadataValue::String(value.to_owned())
}

fn number(value: usize) -> MetadataValue {
    MetadataValue::U32(value as u32)
}

fn general(description: &GgufDescription<'_>) -> Entries {
    let mut entries = vec![
        ("general.architecture", text("llama")),
        ("general.type", text("model")),
        ("general.name", text(description.name)),
        ("general.alignment", number(ALIGNMENT)),
        (
            "general.file_type",
            MetadataValue::U32(description.kind.file_type()),
        ),
    ];
    if let Some(license) = description.license {
        entries.push(("general.license", text(license)));
    }
    if matches!(description.kind, GgufKind::Q8_0 | GgufKind::Q4_0) {
        entries.push(("general.quantization_version", MetadataValue::U32(2)));
    }
    entries
}

fn shape(description: &GgufDescription<'_>) -> Entries {
    let config = description.config;
    vec![
        ("llama.vocab_size", number(config.vocab_size)),
        ("llama.context_length", number(config.context_length)),
        ("llama.embedding_length", number(config.width)),
        ("llama.block_count", number(config.layers)),
        ("llama.feed_forward_length", number(config.feed_forward)),
        ("llama.attention.head_count", number(config.heads)),
        (
            "llama.attention.head_count_kv",
            number(config.key_value_heads),
        ),
        ("llama.attention.key_length", number(config.head_dim)),
        ("llama.attention.value_length", number(config.head_dim)),
        (
            "llama.attention.layer_norm_rms_epsilon",
            MetadataValue::F32(config.rms_norm_epsilon),
        ),
        ("llama.rope.freq_base", MetadataValue::F32(config.rope_base)),
        ("llama.rope.dimension_count", number(config.head_dim)),
    ]
}

fn tokenizer(description: &GgufDescription<'_>) -> Entries {
    let parts = description.tokenizer.parts();
    let types = (0..parts.tokens.len() as u32)
        .map(|id| {
            if parts.control.contains(&id) {
                CONTROL
            } else {
                NORMAL
            }
        })
        .collect();
    let merges = parts
        .merges
        .iter()
        .map(|(left, right)| format!("{left} {right}"))
        .collect();
    let mut entries = vec![
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text(parts.pre.name())),
        (
            "tokenizer.ggml.tokens",
            MetadataValue::Array(MetadataArray::String(parts.tokens.clone())),
        ),
        (
            "tokenizer.ggml.token_type",
            MetadataValue::Array(MetadataArray::I32(types)),
        ),
        (
            "tokenizer.ggml.merges",
            MetadataValue::Array(MetadataArray::String(merges)),
        ),
        // llama.cpp takes token 11 for the beginning where none is named, so a model without one names its end.
        (
            "tokenizer.ggml.bos_token_id",
            MetadataValue::U32(parts.bos.unwrap_or(parts.eos)),
        ),
        ("tokenizer.ggml.eos_token_id", MetadataValue::U32(parts.eos)),
        ("tokenizer.ggml.add_bos_token", MetadataValue::Bool(false)),
        (
            "tokenizer.ggml.add_space_prefix",
            MetadataValue::Bool(false),
        ),
    ];
    if let Some(pad) = parts.pad {
        entries.push(("tokenizer.ggml.padding_token_id", MetadataValue::U32(pad)));
    }
    if let Some(template) = description.chat_template {
        entries.push(("tokenizer.chat_template", text(template)));
    }
    entries
}
