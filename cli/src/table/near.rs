//! Texts that are so alike that one gives the other away.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Words of one shingle.
const SHINGLE: usize = 5;
/// Share of common shingles (Jaccard) from which two texts are near duplicates.
const ALIKE: f64 = 0.7;
/// A loose key of fewer words would join texts that have little in common.
const LOOSE_WORDS: usize = 3;

/// Texts that others are compared with. All texts are given [normalised](limbeck_store::normalise()).
///
/// A text is near one of the index if it is the same; the same without numbers and words of one or two characters
/// (`rt`, `2`, `pm`), where at least three others are left; or if seven tenths of all their runs of five words are
/// common to both.
#[derive(Clone, Debug, Default)]
pub struct NearIndex {
    exact: HashSet<String>,
    loose: HashSet<String>,
    /// For each shingle, the texts that have it; and for each text, how many it has.
    shingles: HashMap<u64, Vec<u32>>,
    sizes: Vec<usize>,
}

impl NearIndex {
    /// Adds one text.
    pub fn add(&mut self, text: &str) {
        if !self.exact.insert(text.to_owned()) {
            return;
        }
        self.loose.extend(loose(text));
        let shingles = shingles(text);
        let id = self.sizes.len() as u32;
        self.sizes.push(shingles.len());
        for shingle in shingles {
            self.shingles.entry(shingle).or_default().push(id);
        }
    }

    /// Whether `text` is near one of the index.
    pub fn is_near(&self, text: &str) -> bool {
        if self.exact.is_empty() {
            return false;
        }
        self.exact.contains(text)
            || loose(text).is_some_and(|key| self.loose.contains(&key))
            || self.shares_shingles(text)
    }

    fn shares_shingles(&self, text: &str) -> bool {
        let own = shingles(text);
        let mut common: HashMap<u32, usize> = HashMap::new();
        for shingle in &own {
            for id in self.shingles.get(shingle).into_iter().flatten() {
                *common.entry(*id).or_default() += 1;
            }
        }
        common.into_iter().any(|(id, common)| {
            let all = own.len() + self.sizes[id as usize] - common;
            common as f64 >= ALIKE * all as f64
        })
    }
}

/// The text without numbers and the shortest words, if enough is left of it.
fn loose(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(' ')
        .filter(|word| word.chars().count() > 2 && !word.chars().all(char::is_numeric))
        .collect();
    (words.len() >= LOOSE_WORDS).then(|| words.join(" "))
}

/// Hashes of every run of five words. They are compared within one process only, so any hash will do.
fn shingles(text: &str) -> HashSet<u64> {
    let words: Vec<&str> = text.split(' ').collect();
    let hash = |words: &[&str]| {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        hasher.finish()
    };
    words.windows(SHINGLE).map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str =
        "my flight to boston was cancelled and nobody told us why it happened at all";

    fn check(text: &str, expected: bool) {
        let mut index = NearIndex::default();
        for known in [MESSAGE, "thanks", "so good 10 times"] {
            index.add(known);
        }
        assert_eq!(index.is_near(text), expected, "{text}");
    }

    #[test]
    fn the_same_text_is_near() {
        check(MESSAGE, true);
        check("thanks", true);
        check("thank", false);
    }

    #[test]
    fn numbers_and_the_shortest_words_do_not_matter() {
        check(&format!("rt {MESSAGE} 2"), true);
        check("so good 11 times", false); // only two words are left to compare
        check("thanks 2", false);
    }

    #[test]
    fn a_few_changed_words_do_not_matter() {
        check(&MESSAGE.replace("at all", "at any point"), true);
        check(
            &MESSAGE.replace("boston", "denver").replace("why", "how"),
            false,
        );
    }

    #[test]
    fn a_text_of_which_only_a_piece_is_common_is_not_near() {
        let longer =
            format!("{MESSAGE} and then we had to sleep at the airport for a night without food");
        check(&longer, false);
        check("my flight to boston was great", false);
    }
}
