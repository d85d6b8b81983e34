//! Texts as sparse TF-IDF vectors, for the linear floor.

use std::collections::{HashMap, HashSet};

/// A word or pair of words that fewer training texts have says nothing of others.
const LEAST_DOCUMENTS: usize = 2;

/// Weights words and pairs of neighbouring words into vectors of length 1.
///
/// Words are runs of at least two letters, digits or underscores, lower-cased; weights are counts times the smoothed
/// inverse document frequency `ln((1 + n) / (1 + documents with it)) + 1` of the training texts, as scikit-learn's
/// `TfidfVectorizer` has them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Features {
    /// Columns in the order of the words, so that sums repeat to the last bit.
    columns: HashMap<String, usize>,
    /// Inverse document frequency of each column.
    inverse_frequencies: Vec<f64>,
}

/// The non-zero columns of one text, ascending, and their weights.
pub(super) type SparseRow = Vec<(usize, f64)>;

impl Features {
    /// Chooses the words by `texts`. Without a word that two of them have the width is 0.
    pub(super) fn learn(texts: &[String]) -> Self {
        let mut frequencies: HashMap<String, usize> = HashMap::new();
        for text in texts {
            let distinct: HashSet<String> = grams(text).into_iter().collect();
            for gram in distinct {
                *frequencies.entry(gram).or_default() += 1;
            }
        }
        let mut common: Vec<(String, usize)> = frequencies
            .into_iter()
            .filter(|(_, documents)| *documents >= LEAST_DOCUMENTS)
            .collect();
        common.sort_unstable();
        let inverse_frequencies = common
            .iter()
            .map(|(_, documents)| ((1 + texts.len()) as f64 / (1 + documents) as f64).ln() + 1.0)
            .collect();
        let columns = common.into_iter().map(|(gram, _)| gram).zip(0..).collect();
        Self {
            columns,
            inverse_frequencies,
        }
    }

    /// Columns of a vector.
    pub(super) fn width(&self) -> usize {
        self.inverse_frequencies.len()
    }

    /// The vector of `text`; without a known word it is all zero.
    pub(super) fn weigh(&self, text: &str) -> SparseRow {
        let mut known: Vec<usize> = grams(text)
            .iter()
            .filter_map(|gram| self.columns.get(gram).copied())
            .collect();
        known.sort_unstable();
        let mut row: SparseRow = known
            .chunk_by(|a, b| a == b)
            .map(|run| (run[0], run.len() as f64 * self.inverse_frequencies[run[0]]))
            .collect();
        let length = row.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
        for (_, weight) in &mut row {
            *weight /= length;
        }
        row
    }
}

/// Words and pairs of neighbouring words, repeats included.
fn grams(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let mut grams: Vec<String> = text
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| word.chars().nth(1).is_some())
        .map(str::to_owned)
        .collect();
    let pairs: Vec<String> = grams.windows(2).map(|pair| pair.join(" ")).collect();
    grams.extend(pairs);
    grams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_formula() {
        let texts = [
            "Fine fine day!",
            "fine night",
            "dull day",
            "dull dull",
            "x",
            "y",
        ];
        let texts = texts.map(str::to_owned);
        let features = Features::learn(&texts);
        // In two documents or more: day, dull, fine; single letters are no words and no pair occurs twice.
        assert_eq!(features.width(), 3);
        let idf = (7.0_f64 / 3.0).ln() + 1.0;
        let length = (idf * idf + 4.0 * idf * idf).sqrt();
        let row = features.weigh(&texts[0]);
        assert_eq!(
            row.iter().map(|(column, _)| *column).collect::<Vec<_>>(),
            [0, 2]
        );
        assert!((row[0].1 - idf / length).abs() < 1e-12);
        assert!((row[1].1 - 2.0 * idf / length).abs() < 1e-12);
        assert_eq!(features.weigh("x unheard-of"), []);
    }

    #[test]
    fn pairs_are_of_neighbouring_words() {
        assert_eq!(
            grams("Not a GOOD day_1"),
            ["not", "good", "day_1", "not good", "good day_1"]
        );
        assert_eq!(grams("¡ña!"), ["ña"]);
        assert!(grams("a . b").is_empty());
    }
}
