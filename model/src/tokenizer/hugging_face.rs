//! `tokenizer.json` and `tokenizer_config.json`, read and written.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::from_gguf::split_merge;
use super::{PreTokenizer, Tokenizer, TokenizerParts};
use crate::ModelError;
use crate::hugging_face::{read_json, read_optional_json};

impl Tokenizer {
    /// Reads `tokenizer.json` of a model folder, with the special tokens that `tokenizer_config.json` or
    /// `config.json` name.
    pub fn from_hugging_face_folder(folder: &Path) -> Result<Self, ModelError> {
        let tokenizer = read_json(&folder.join("tokenizer.json"))?;
        let names = read_optional_json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let ids = read_optional_json(&folder.join("config.json"))?.unwrap_or_default();
        Self::from_hugging_face_json(&tokenizer, &names, &ids)
    }

    /// The same from the JSON of `tokenizer.json`, `tokenizer_config.json` and `config.json`; the last two may be
    /// `null`.
    pub fn from_hugging_face_json(
        tokenizer: &Value,
        names: &Value,
        ids: &Value,
    ) -> Result<Self, ModelError> {
        let pre = refuse_unsupported(tokenizer)?;
        let model = &tokenizer["model"];
        let added = added_tokens(tokenizer)?;
        let tokens = tokens_in_order(model, &added)?;
        let merges = model["merges"]
            .as_array()
            .ok_or_else(|| ModelError::tokenizer("`model.merges` is not a list"))?
            .iter()
            .map(merge)
            .collect::<Result<_, _>>()?;
        let special = |name: &str| special_token(name, names, ids, &tokens);
        let eos = special("eos")?.ok_or_else(|| {
            ModelError::tokenizer(
                "no `eos_token` is named in `tokenizer_config.json` or `config.json`",
            )
        })?;
        let (bos, pad) = (special("bos")?, special("pad")?);
        let mut control: BTreeSet<u32> = added.iter().map(|(_, id)| *id).collect();
        control.extend([Some(eos), bos].into_iter().flatten());
        Self::from_parts(TokenizerParts {
            tokens,
            merges,
            control,
            pre,
            bos,
            eos,
            pad,
        })
    }

    /// A `tokenizer.json` that Hugging Face's `tokenizers` and transformers load to the same ids. Control tokens are
    /// special added tokens there.
    pub fn hugging_face_json(&self) -> Value {
        let parts = self.parts();
        let added: Vec<Value> = parts
            .control
            .iter()
            .map(|&id| {
                json!({
                    "id": id,
                    "content": parts.tokens[id as usize],
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": true,
                })
            })
            .collect();
        let vocabulary: Map<String, Value> = (0..)
            .zip(&parts.tokens)
            .map(|(id, token): (u32, _)| (token.clone(), id.into()))
            .collect();
        let merges: Vec<String> = parts
            .merges
            .iter()
            .map(|(left, right)| format!("{left} {right}"))
            .collect();
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": parts.pre.hugging_face_json(),
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": parts.pre.ignores_merges(),
                "vocab": vocabulary,
                "merges": merges,
            },
        })
    }

    /// A `tokenizer_config.json` to go with [`Tokenizer::hugging_face_json`].
    pub fn hugging_face_config(&self, context_length: usize, chat_template: Option<&str>) -> Value {
        let parts = self.parts();
        let token = |id: Option<u32>| id.and_then(|id| self.token(id));
        let added: Map<String, Value> = parts
            .control
            .iter()
            .map(|&id| {
                let token = json!({
                    "content": parts.tokens[id as usize],
                    "lstrip": false,
                    "normalized": false,
                    "rstrip": false,
                    "single_word": false,
                    "special": true,
                });
                (id.to_string(), token)
            })
            .collect();
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_prefix_space": false,
            "added_tokens_decoder": added,
            "bos_token": token(parts.bos),
            "eos_token": token(Some(parts.eos)),
            "pad_token": token(parts.pad),
            "unk_token": null,
            "clean_up_tokenization_spaces": false,
            "model_max_length": context_length,
        });
        if let Some(template) = chat_template {
            config["chat_template"] = template.into();
        }
        config
    }
}

/// Refuses what would change ids and is not known here; gives the pre-tokenizer.
fn refuse_unsupported(tokenizer: &Value) -> Result<PreTokenizer, ModelError> {
    let model = &tokenizer["model"];
    if model["type"] != "BPE" {
        return Err(ModelError::tokenizer(format!(
            "the model is of the type {}, expected \"BPE\"",
            model["type"]
        )));
    }
    let absent = |value: &Value| value.is_null() || value == false || value == "" || value == 0.0;
    for field in [
        "byte_fallback",
        "dropout",
        "continuing_subword_prefix",
        "end_of_word_suffix",
    ] {
        if !absent(&model[field]) {
            return Err(ModelError::tokenizer(format!(
                "`model.{field}` is not supported"
            )));
        }
    }
    if !tokenizer["normalizer"].is_null() {
        return Err(ModelError::tokenizer("a `normalizer` is not supported"));
    }
    let json = &tokenizer["pre_tokenizer"];
    let pre =
        PreTokenizer::from_hugging_face_json(json).ok_or_else(|| ModelError::PreTokenizer {
            name: json.to_string(),
        })?;
    if model["ignore_merges"].as_bool().unwrap_or(false) != pre.ignores_merges() {
        return Err(ModelError::tokenizer(format!(
            "`model.ignore_merges` is {}, expected {} with the pre-tokenizer `{}`",
            model["ignore_merges"],
            pre.ignores_merges(),
            pre.name()
        )));
    }
    Ok(pre)
}

fn added_tokens(tokenizer: &Value) -> Result<Vec<(String, u32)>, ModelError> {
    let Some(added) = tokenizer["added_tokens"].as_array() else {
        return Ok(Vec::new());
    };
    added
        .iter()
        .map(
            |token| match (token["content"].as_str(), token_id(&token["id"])) {
                (Some(content), Some(id)) => Ok((content.to_owned(), id)),
                _ => Err(ModelError::tokenizer(format!(
                    "the added token {token} has no content or id"
                ))),
            },
        )
        .collect()
}

fn token_id(json: &Value) -> Option<u32> {
    json.as_u64()?.try_into().ok()
}

/// The vocabulary and the added tokens as one list; ids must run from zero without a gap.
fn tokens_in_order(model: &Value, added: &[(String, u32)]) -> Result<Vec<String>, ModelError> {
    let vocabulary = model["vocab"]
        .as_object()
        .ok_or_else(|| ModelError::tokenizer("`model.vocab` is not a table"))?;
    let mut entries: Vec<(u32, &str)> = added
        .iter()
        .map(|(token, id)| (*id, token.as_str()))
        .collect();
    for (token, id) in vocabulary {
        let id = token_id(id)
            .ok_or_else(|| ModelError::tokenizer(format!("token {token:?} has the id {id}")))?;
        entries.push((id, token));
    }
    entries.sort_unstable();
    entries.dedup();
    for (expected, (id, token)) in (0..).zip(&entries) {
        if *id != expected {
            return Err(ModelError::tokenizer(format!(
                "token {token:?} has the id {id}, expected {expected}: ids must run from zero without a gap"
            )));
        }
    }
    Ok(entries
        .into_iter()
        .map(|(_, token)| token.to_owned())
        .collect())
}

/// A merge, written as `"a b"` or as `["a", "b"]`.
fn merge(json: &Value) -> Result<(String, String), ModelError> {
    match json {
        Value::String(text) => split_merge(text),
        _ => match (json[0].as_str(), json[1].as_str()) {
            (Some(left), Some(right)) => Ok((left.to_owned(), right.to_owned())),
            _ => Err(ModelError::tokenizer(format!(
                "the merge {json} is not two tokens"
            ))),
        },
    }
}

/// The id of the `name` token: by its text in `tokenizer_config.json`, else by its id in `config.json`.
fn special_token(
    name: &str,
    names: &Value,
    ids: &Value,
    tokens: &[String],
) -> Result<Option<u32>, ModelError> {
    let token = &names[format!("{name}_token")];
    if let Some(text) = token.as_str().or(token["content"].as_str()) {
        let id = tokens
            .iter()
            .position(|known| known == text)
            .ok_or_else(|| {
                ModelError::tokenizer(format!(
                    "the {name} token `{text}` is not in the vocabulary"
                ))
            })?;
        return Ok(Some(id as u32));
    }
    // Several ids may end an answer; the first is the model's own.
    let id = &ids[format!("{name}_token_id")];
    Ok(token_id(id).or_else(|| token_id(&id[0])))
}
