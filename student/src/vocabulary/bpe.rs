//! Byte-level BPE trained on the pool.

use std::collections::BTreeSet;

use limbeck_model::tokenizer::byte_level;
use limbeck_model::{PreTokenizer, Tokenizer, TokenizerParts};
use serde_json::Value;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::{AddedToken, PreTokenizerWrapper, Trainer};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

use super::{CONTROL_TOKENS, VocabularyError};

/// Trains a byte-level BPE of at most `vocab_size` tokens, control tokens and bytes included, with the word pattern
/// of Qwen 2, which llama.cpp knows. The same texts give the same tokenizer.
pub fn train_bpe<'a>(
    corpus: impl Iterator<Item = &'a str>,
    vocab_size: usize,
) -> Result<Tokenizer, VocabularyError> {
    let least = CONTROL_TOKENS.len() + 256;
    if vocab_size < least {
        return Err(VocabularyError::TooSmall {
            asked: vocab_size,
            least,
        });
    }
    let pre = PreTokenizer::Qwen2;
    let splitter: PreTokenizerWrapper =
        serde_json::from_value(pre.hugging_face_json()).map_err(|error| training(&error))?;
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocab_size)
        .min_frequency(2)
        .special_tokens(
            CONTROL_TOKENS
                .map(|token| AddedToken::from(token, true))
                .to_vec(),
        )
        .initial_alphabet((0..=255).map(byte_level::character_of).collect())
        .build();
    let texts: Vec<&str> = corpus.collect();
    trainer
        .feed(texts.iter(), |text| words(&splitter, text))
        .map_err(|error| training(error.as_ref()))?;
    let mut model = BPE::default();
    trainer
        .train(&mut model)
        .map_err(|error| training(error.as_ref()))?;
    let model = serde_json::to_value(&model).map_err(|error| training(&error))?;
    Ok(Tokenizer::from_parts(parts(&model, pre)?)?)
}

/// The words of a text, in the byte-level alphabet.
fn words(splitter: &PreTokenizerWrapper, text: &str) -> tokenizers::Result<Vec<String>> {
    let mut split = PreTokenizedString::from(text);
    splitter.pre_tokenize(&mut split)?;
    Ok(split
        .get_splits(OffsetReferential::Original, OffsetType::Byte)
        .into_iter()
        .map(|(word, ..)| word.to_owned())
        .collect())
}

/// Reads tokens and merges out of the model's JSON, which is the one public way to its merges in order.
fn parts(model: &Value, pre: PreTokenizer) -> Result<TokenizerParts, VocabularyError> {
    let unexpected = || VocabularyError::Training {
        reason: "the trainer gave a model of unknown form".to_owned(),
    };
    let vocabulary = model["vocab"].as_object().ok_or_else(unexpected)?;
    let mut tokens: Vec<(u64, String)> = vocabulary
        .iter()
        .map(|(token, id)| Some((id.as_u64()?, token.clone())))
        .collect::<Option<_>>()
        .ok_or_else(unexpected)?;
    tokens.sort_unstable();
    if !tokens.iter().map(|(id, _)| *id).eq(0..tokens.len() as u64) {
        return Err(unexpected());
    }
    let merges = model["merges"].as_array().ok_or_else(unexpected)?;
    let merges = merges
        .iter()
        .map(merge)
        .collect::<Option<_>>()
        .ok_or_else(unexpected)?;
    let tokens: Vec<String> = tokens.into_iter().map(|(_, token)| token).collect();
    let place = |name: &str| {
        tokens
            .iter()
            .position(|token| token == name)
            .map(|id| id as u32)
    };
    let control: Option<BTreeSet<u32>> = CONTROL_TOKENS.iter().map(|token| place(token)).collect();
    let eos = place(CONTROL_TOKENS[0]).ok_or_else(unexpected)?;
    Ok(TokenizerParts {
        control: control.ok_or_else(unexpected)?,
        tokens,
        merges,
        pre,
        bos: None,
        eos,
        pad: None,
    })
}

/// A merge is written as a pair, or in older versions as two tokens with a space between.
fn merge(json: &Value) -> Option<(String, String)> {
    let (left, right) = match json {
        Value::Array(pair) => (pair.first()?.as_str()?, pair.get(1)?.as_str()?),
        other => other.as_str()?.split_once(' ')?,
    };
    Some((left.to_owned(), right.to_owned()))
}

fn training(error: &(impl std::fmt::Display + ?Sized)) -> VocabularyError {
    VocabularyError::Training {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TEXTS: [&str; 3] = [
        "low lower lowest low low lower",
        "new newer newest wide wider widest",
        "it's 2024, the newest year: naïve 日本語",
    ];

    #[test]
    fn the_same_texts_give_the_same_tokenizer() {
        let train = || train_bpe(TEXTS.iter().copied(), 300).unwrap();
        assert_eq!(train().parts(), train().parts());
    }

    #[test]
    fn texts_round_trip_in_fewer_tokens_than_bytes() {
        let tokenizer = train_bpe(TEXTS.iter().copied(), 300).unwrap();
        assert!(tokenizer.vocab_size() <= 300);
        assert_eq!(tokenizer.id_of("<|endoftext|>"), Some(tokenizer.eos()));
        for text in TEXTS
            .into_iter()
            .chain(["never seen: 🙂\n\t", "<|im_end|>"])
        {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text, false)), text);
        }
        assert!(tokenizer.encode(TEXTS[0], false).len() < TEXTS[0].len() / 2);
        assert_eq!(tokenizer.parts().control.len(), 3);
    }

    #[test]
    fn a_vocabulary_without_room_for_bytes_is_refused() {
        let result = train_bpe(TEXTS.iter().copied(), 258);
        assert!(matches!(
            result,
            Err(VocabularyError::TooSmall {
                asked: 258,
                least: 259
            })
        ));
    }
}
