//! Floors of labelling suites: what is reached with no language model at all.
//!
//! Both learn from the teacher's hard labels (the most likely choice), as the student learns from the teacher alone.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::features::{Features, SparseRow};
use super::interval::draw;
use super::logistic::Logistic;

/// Strengths of the squared penalty that are tried on held-out documents. The features have length 1, so that these
/// fit corpora of a hundred to some ten thousand documents.
const PENALTIES: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];

/// Share of the documents on which the penalty is chosen.
const HELD_OUT: f64 = 0.2;

/// Fewer held-out documents than this cannot tell penalties apart.
const LEAST_HELD_OUT: usize = 20;

/// Why a floor could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// Texts and labels do not pair up.
    #[error("{texts} texts came with {labels} labels")]
    Unpaired {
        /// Texts given.
        texts: usize,
        /// Labels given.
        labels: usize,
    },
    /// There is nothing to learn from.
    #[error("there is no labelled text to train a floor on")]
    Empty,
    /// The logistic regression failed.
    #[error("cannot fit a logistic regression to {texts} texts of {features} features: {reason}")]
    Fit {
        /// Texts given.
        texts: usize,
        /// Words and pairs of words that they share.
        features: usize,
        /// What the solver said.
        reason: String,
    },
}

/// The most frequent label, the smallest such of equals; `None` without labels.
pub fn majority_class(labels: &[usize]) -> Option<usize> {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    // `max_by_key` keeps the last of equals, so the runs are walked from the largest label down.
    let runs: Vec<&[usize]> = runs.collect();
    runs.iter()
        .rev()
        .max_by_key(|run| run.len())
        .map(|run| run[0])
}

/// TF-IDF over words and word pairs with an l2-penalised multinomial logistic regression.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearFloor {
    kind: Kind,
    /// The l2 strength chosen.
    penalty: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// One class or no shared word: always this label.
    Constant(usize),
    Fitted {
        features: Features,
        model: Logistic,
    },
}

impl LinearFloor {
    /// Learns `labels[i]` for `texts[i]`; labels are indices of choices. The strength of the penalty is chosen by the
    /// log-loss on a seeded fifth of the documents; the model is then fitted to all of them. One class, or texts that
    /// share no word, give the majority class.
    pub fn train(texts: &[String], labels: &[usize], seed: u64) -> Result<Self, FloorError> {
        if texts.len() != labels.len() {
            return Err(FloorError::Unpaired {
                texts: texts.len(),
                labels: labels.len(),
            });
        }
        let majority = majority_class(labels).ok_or(FloorError::Empty)?;
        let features = Features::learn(texts);
        if features.width() == 0 || labels.iter().all(|label| *label == majority) {
            return Ok(Self {
                kind: Kind::Constant(majority),
                penalty: 0.0,
            });
        }
        let rows: Vec<SparseRow> = texts.iter().map(|text| features.weigh(text)).collect();
        let order = shuffled(texts.len(), seed);
        let examples = Examples {
            rows: order.iter().map(|at| &rows[*at]).collect(),
            labels: order.iter().map(|at| labels[*at]).collect(),
            width: features.width(),
            classes: labels.iter().max().map_or(0, |most| most + 1),
        };
        let penalty = examples.choose_penalty()?;
        let model = examples.fit(examples.rows.len(), penalty)?;
        Ok(Self {
            kind: Kind::Fitted { features, model },
            penalty,
        })
    }

    /// The most likely label of `text`, the smallest such of equals.
    pub fn predict(&self, text: &str) -> usize {
        match &self.kind {
            Kind::Constant(label) => *label,
            Kind::Fitted { features, model } => {
                most_likely(&model.log_probabilities(&features.weigh(text)))
            }
        }
    }

    /// Words and word pairs that the model looks at; 0 where it fell back to the majority class.
    pub fn features(&self) -> usize {
        match &self.kind {
            Kind::Constant(_) => 0,
            Kind::Fitted { features, .. } => features.width(),
        }
    }

    /// The l2 strength that held-out documents chose.
    pub fn penalty(&self) -> f64 {
        self.penalty
    }
}

/// The index of the largest value, the first of equals; NaN is never chosen over a number.
pub(super) fn most_likely<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let better = |best: usize, at: usize| if values[at] > values[best] { at } else { best };
    (0..values.len()).reduce(better).unwrap_or(0)
}

/// Shuffled training rows with their labels.
struct Examples<'a> {
    rows: Vec<&'a SparseRow>,
    labels: Vec<usize>,
    width: usize,
    classes: usize,
}

impl Examples<'_> {
    /// The penalty with the least log-loss on the last fifth of the rows, or 1 where that fifth is too small to tell.
    fn choose_penalty(&self) -> Result<f64, FloorError> {
        let held_out = (self.rows.len() as f64 * HELD_OUT) as usize;
        if held_out < LEAST_HELD_OUT {
            return Ok(1.0);
        }
        let train = self.rows.len() - held_out;
        let mut best = (f64::INFINITY, 1.0);
        for penalty in PENALTIES {
            let model = self.fit(train, penalty)?;
            let unseen = self.rows[train..].iter().zip(&self.labels[train..]);
            let loss: f64 = unseen
                .map(|(row, label)| -model.log_probabilities(row)[*label])
                .sum();
            if loss < best.0 {
                best = (loss, penalty);
            }
        }
        Ok(best.1)
    }

    /// Fits the first `documents` rows.
    fn fit(&self, documents: usize, penalty: f64) -> Result<Logistic, FloorError> {
        Logistic::fit(
            &self.rows[..documents],
            &self.labels[..documents],
            self.width,
            self.classes,
            penalty,
        )
        .map_err(|error| FloorError::Fit {
            texts: documents,
            features: self.width,
            reason: error.to_string(),
        })
    }
}

/// 0 to `length` in a seeded random order (Fisher and Yates).
fn shuffled(length: usize, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..length).collect();
    for at in (1..length).rev() {
        order.swap(at, draw(&mut random, at + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of which a word of the class is the only sign, with `noise` of the labels wrong.
    fn corpus(documents: usize, classes: usize, noise: usize) -> (Vec<String>, Vec<usize>) {
        const SIGNS: [&str; 3] = ["lovely", "dreadful", "tuesday"];
        const FILLER: [&str; 5] = [
            "the bus",
            "my phone",
            "a letter",
            "their soup",
            "your answer",
        ];
        let mut random = ChaCha8Rng::seed_from_u64(11);
        (0..documents)
            .map(|at| {
                let class = at % classes;
                let filler = FILLER[draw(&mut random, FILLER.len())];
                let text = format!("{filler} was {} and {at}x", SIGNS[class]);
                let wrong = draw(&mut random, 100) < noise;
                (text, (class + usize::from(wrong)) % classes)
            })
            .unzip()
    }

    #[test]
    fn the_majority_is_the_smallest_of_equals() {
        assert_eq!(majority_class(&[2, 1, 1, 2, 0]), Some(1));
        assert_eq!(majority_class(&[3, 3, 0]), Some(3));
        assert_eq!(majority_class(&[]), None);
    }

    #[test]
    fn signs_are_learnt_through_noise() {
        for classes in [2, 3] {
            let (texts, labels) = corpus(300, classes, 15);
            let floor = LinearFloor::train(&texts, &labels, 1).expect("trains");
            let (fresh, truth) = corpus(90, classes, 0);
            let predicted: Vec<usize> = fresh.iter().map(|text| floor.predict(text)).collect();
            assert_eq!(predicted, truth, "{classes} classes");
            assert!(floor.features() > 5);
            assert!(PENALTIES.contains(&floor.penalty()));
        }
    }

    #[test]
    fn training_repeats_to_the_last_bit() {
        let (texts, labels) = corpus(200, 3, 30);
        let train = || LinearFloor::train(&texts, &labels, 4).expect("trains");
        assert_eq!(train(), train());
    }

    #[test]
    fn degenerate_corpora_fall_back_to_the_majority() {
        let train = |texts: &[&str], labels: &[usize]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            LinearFloor::train(&texts, labels, 1)
        };
        let one_class = train(&["good day", "good night"], &[1, 1]).expect("trains");
        assert_eq!(one_class.predict("x"), 1);
        let wordless = train(&["!", "?", "", "!", "?", "."], &[0, 1, 0, 0, 1, 0]).expect("trains");
        assert_eq!((wordless.features(), wordless.predict("anything")), (0, 0));
        let tiny = train(
            &["good day", "good day", "bad day", "bad day"],
            &[0, 0, 1, 1],
        )
        .expect("trains");
        assert_eq!((tiny.predict("good"), tiny.predict("bad")), (0, 1));
        // A label that never occurs is never predicted, and does not stop the others.
        let gap = train(
            &["good day", "good day", "bad day", "bad day"],
            &[0, 0, 5, 5],
        )
        .expect("trains");
        assert_eq!((gap.predict("good"), gap.predict("bad")), (0, 5));
        assert!(matches!(train(&[], &[]), Err(FloorError::Empty)));
        assert!(matches!(
            train(&["a"], &[]),
            Err(FloorError::Unpaired {
                texts: 1,
                labels: 0
            })
        ));
    }

    #[test]
    fn the_first_of_equals_is_most_likely() {
        assert_eq!(most_likely(&[0.1, 0.7, 0.7]), 1);
        assert_eq!(most_likely::<f32>(&[]), 0);
    }
}
