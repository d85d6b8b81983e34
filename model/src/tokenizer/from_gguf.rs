//! The tokenizer inside a GGUF file.

use super::{PreTokenizer, Tokenizer, TokenizerParts};
use crate::ModelError;
use crate::gguf::{GgufFile, MetadataArray, MetadataValue};

/// `tokenizer.ggml.token_type` of an ordinary token. Every other type (unknown, control, user-defined, unused) is
/// kept out of text here.
const NORMAL: i32 = 1;

impl Tokenizer {
    /// The tokenizer that the file carries.
    pub fn from_gguf(file: &GgufFile) -> Result<Self, ModelError> {
        let kind = file.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return Err(ModelError::Unsupported {
                path: file.path().to_owned(),
                feature: format!(
                    "a tokenizer of the kind `{kind}` (only `gpt2`, byte-level BPE, is)"
                ),
            });
        }
        let pre: PreTokenizer = file.text("tokenizer.ggml.pre")?.parse()?;
        let tokens = strings(file, "tokenizer.ggml.tokens")?;
        let merges = strings(file, "tokenizer.ggml.merges")?
            .iter()
            .map(|merge| split_merge(merge))
            .collect::<Result<_, _>>()?;
        let eos = token_id(file, "tokenizer.ggml.eos_token_id")?
            .ok_or_else(|| file.wrong_value("tokenizer.ggml.eos_token_id", "a token id"))?;
        let bos = token_id(file, "tokenizer.ggml.bos_token_id")?.filter(|&bos| {
            // Files must name a beginning, since readers otherwise assume token 11; one that has none names its end.
            bos != eos
                || file.metadata().get("tokenizer.ggml.add_bos_token")
                    != Some(&MetadataValue::Bool(false))
        });
        let mut parts = TokenizerParts {
            tokens: tokens.to_vec(),
            merges,
            control: types(file, tokens.len())?
                .iter()
                .zip(0..)
                .filter_map(|(&token_type, id)| (token_type != NORMAL).then_some(id))
                .collect(),
            pre,
            bos,
            eos,
            pad: token_id(file, "tokenizer.ggml.padding_token_id")?,
        };
        // Some converters left these as ordinary tokens; llama.cpp treats them as control tokens all the same.
        parts.control.extend([Some(eos), bos].into_iter().flatten());
        Self::from_parts(parts)
    }
}

fn strings<'file>(file: &'file GgufFile, key: &str) -> Result<&'file [String], ModelError> {
    file.metadata()
        .get(key)
        .and_then(MetadataValue::as_strings)
        .ok_or_else(|| file.wrong_value(key, "a list of texts"))
}

fn types(file: &GgufFile, tokens: usize) -> Result<&[i32], ModelError> {
    let key = "tokenizer.ggml.token_type";
    match file.metadata().get(key) {
        Some(MetadataValue::Array(MetadataArray::I32(types))) if types.len() == tokens => Ok(types),
        _ => Err(file.wrong_value(key, "a list of 32-bit integers, one for each token")),
    }
}

fn token_id(file: &GgufFile, key: &str) -> Result<Option<u32>, ModelError> {
    file.optional_integer(key)?
        .map(|id| u32::try_from(id).map_err(|_| file.wrong_value(key, "a token id")))
        .transpose()
}

/// `"a b"` in two; a token never holds a space, since the alphabet writes it as `Ġ`.
pub(super) fn split_merge(merge: &str) -> Result<(String, String), ModelError> {
    merge
        .split_once(' ')
        .filter(|(left, right)| !left.is_empty() && !right.is_empty())
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .ok_or_else(|| ModelError::tokenizer(format!("the merge {merge:?} is not two tokens")))
}
