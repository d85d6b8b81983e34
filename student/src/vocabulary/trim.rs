//! The teacher's tokenizer, cut down to the tokens that a pool of texts uses.
//!
//! Byte-pair encoding joins pairs in the order of their rank. Within the span of a token that survives to the end, the
//! merges happen in the same order as when its text is encoded alone, since no merge crossed its borders. So it is
//! enough to keep, for each token that occurs, every product on the way when its text is encoded alone, with all
//! merges among kept tokens: at every step of encoding a text of the pool, the merge that the full tokenizer makes is
//! kept, and it is the strongest of the kept ones too. Texts outside the pool are encoded in more tokens, never
//! wrongly, as every byte is kept.

use std::collections::{BTreeSet, HashMap};

use limbeck_model::tokenizer::byte_level;
use limbeck_model::{Tokenizer, TokenizerParts};
use rayon::prelude::*;

use super::{CONTROL_TOKENS, VocabularyError};

/// Texts that are encoded by one task.
const TEXTS_A_TASK: usize = 256;

/// A tokenizer that was cut down, and where its tokens came from.
#[derive(Clone, Debug)]
pub struct Trimmed {
    /// The student's tokenizer; `<|endoftext|>` ends answers, nothing begins a text.
    pub tokenizer: Tokenizer,
    /// For each of its ids, the teacher's. A control token that the teacher lacks has the teacher's end token here.
    pub teacher_ids: Vec<u32>,
}

/// Cuts `teacher` down to the tokens that occur in `corpus`, all bytes, and the control tokens of the student's
/// template. Texts of the corpus are encoded exactly as by the teacher, with other numbers; ids keep their order.
pub fn trim<'a>(
    teacher: &Tokenizer,
    corpus: impl Iterator<Item = &'a str>,
) -> Result<Trimmed, VocabularyError> {
    let parts = teacher.parts();
    let ids: HashMap<&str, u32> = (0..)
        .zip(&parts.tokens)
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    let mut kept = BTreeSet::new();
    for byte in 0..=255u8 {
        let token = byte_level::character_of(byte).to_string();
        match ids.get(token.as_str()) {
            Some(&id) => kept.insert(id),
            // Real vocabularies leave out control codes and bytes that no UTF-8 text has; printable ones they need.
            None if byte.is_ascii_graphic() => return Err(VocabularyError::MissingByte { byte }),
            None => continue,
        };
    }
    let merges = Merges::new(parts);
    for id in used(teacher, &corpus.collect::<Vec<_>>()) {
        merges.add_products(&parts.tokens[id as usize], &ids, &mut kept);
    }
    let spelt_control = CONTROL_TOKENS.map(|token| {
        ids.get(token)
            .copied()
            .filter(|id| parts.control.contains(id))
    });
    kept.retain(|id| !parts.control.contains(id));
    kept.extend(spelt_control.iter().flatten());
    build(parts, &kept, &ids)
}

/// Tokens that occur in the texts.
fn used(teacher: &Tokenizer, corpus: &[&str]) -> BTreeSet<u32> {
    corpus
        .par_chunks(TEXTS_A_TASK)
        .map(|texts| {
            texts
                .iter()
                .flat_map(|text| teacher.encode(text, false))
                .collect::<BTreeSet<u32>>()
        })
        .reduce(BTreeSet::new, |mut left, right| {
            left.extend(right);
            left
        })
}

fn build(
    parts: &TokenizerParts,
    kept: &BTreeSet<u32>,
    ids: &HashMap<&str, u32>,
) -> Result<Trimmed, VocabularyError> {
    let is_kept = |token: &str| ids.get(token).is_some_and(|id| kept.contains(id));
    let mut teacher_ids: Vec<u32> = kept.iter().copied().collect();
    let mut tokens: Vec<String> = kept
        .iter()
        .map(|id| parts.tokens[*id as usize].clone())
        .collect();
    for token in CONTROL_TOKENS.into_iter().filter(|token| !is_kept(token)) {
        tokens.push(token.to_owned());
        teacher_ids.push(parts.eos);
    }
    let place = |token: &str| {
        tokens
            .iter()
            .position(|other| other == token)
            .map(|place| place as u32)
    };
    let control: BTreeSet<u32> = CONTROL_TOKENS
        .iter()
        .filter_map(|token| place(token))
        .collect();
    let eos = place(CONTROL_TOKENS[0]).unwrap_or_default();
    let merges = parts
        .merges
        .iter()
        .filter(|(left, right)| {
            is_kept(left) && is_kept(right) && is_kept(&format!("{left}{right}"))
        })
        .cloned()
        .collect();
    let tokenizer = Tokenizer::from_parts(TokenizerParts {
        tokens,
        merges,
        control,
        pre: parts.pre,
        bos: None,
        eos,
        pad: None,
    })?;
    Ok(Trimmed {
        tokenizer,
        teacher_ids,
    })
}

/// The merges by the pair that they join.
struct Merges<'a> {
    ranks: HashMap<(&'a str, &'a str), usize>,
    /// The strongest merge that makes a token.
    makers: HashMap<String, (&'a str, &'a str)>,
}

impl<'a> Merges<'a> {
    fn new(parts: &'a TokenizerParts) -> Self {
        let mut makers = HashMap::new();
        let mut ranks = HashMap::with_capacity(parts.merges.len());
        for (rank, (left, right)) in parts.merges.iter().enumerate() {
            ranks.entry((left.as_str(), right.as_str())).or_insert(rank);
            makers
                .entry(format!("{left}{right}"))
                .or_insert((left.as_str(), right.as_str()));
        }
        Self { ranks, makers }
    }

    /// Adds a token and every product on the way to it.
    fn add_products(&self, token: &str, ids: &HashMap<&str, u32>, kept: &mut BTreeSet<u32>) {
        let Some(&id) = ids.get(token) else { return };
        let (products, complete) = self.encode_alone(token);
        kept.insert(id);
        kept.extend(
            products
                .iter()
                .filter_map(|product| ids.get(product.as_str())),
        );
        // Some tokenizers take words whole that their merges would not reach. Their halves are kept, so that the
        // token stays within reach of a merge wherever one exists.
        if let (false, Some((left, right))) = (complete, self.makers.get(token)) {
            self.add_products(left, ids, kept);
            self.add_products(right, ids, kept);
        }
    }

    /// Encodes the text of a token; returns the products of all merges made, and whether one token was left.
    fn encode_alone(&self, token: &str) -> (Vec<String>, bool) {
        let mut pieces: Vec<String> = token.chars().map(String::from).collect();
        let mut products = Vec::new();
        while let Some(place) = self.strongest(&pieces) {
            let right = pieces.remove(place + 1);
            pieces[place].push_str(&right);
            products.push(pieces[place].clone());
        }
        (products, pieces.len() == 1)
    }

    /// The place of the strongest pair, the leftmost of equals.
    fn strongest(&self, pieces: &[String]) -> Option<usize> {
        let rank = |place: usize| {
            self.ranks
                .get(&(pieces[place].as_str(), pieces[place + 1].as_str()))
        };
        (0..pieces.len().saturating_sub(1))
            .filter_map(|place| rank(place).map(|rank| (*rank, place)))
            .min()
            .map(|(_, place)| place)
    }
}

#[cfg(test)]
#[path = "trim_tests.rs"]
mod tests;
