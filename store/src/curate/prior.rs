//! Prior correction of label probabilities: batch calibration (Zhou et al., arXiv 2309.17249, equation 5).
//!
//! A way of asking leans towards some answers whatever the item is. Over a batch of items, the mean
//! probability of each answer shows that leaning, and dividing by it takes it out:
//! `log p'(y|x) = log p(y|x) - log mean_x p(y|x)`, normalised again over the choices. The mean is over the
//! probabilities, each normalised over the choices first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Candidate;

/// Whether the teacher's leaning is taken out of label probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriorCorrection {
    /// The probabilities stay as the teacher gave them.
    #[default]
    None,
    /// Batch calibration, one fit for each phrasing.
    Batch,
}

/// The leaning of each phrasing, fitted on one batch and applicable to other answers to the same phrasing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PriorCorrectionFit {
    /// By the phrasing's name.
    pub phrasings: BTreeMap<String, PhrasingPrior>,
}

/// What one phrasing answers on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhrasingPrior {
    /// The choices.
    pub choices: Vec<String>,
    /// The natural logarithm of the mean probability of each choice.
    pub log_mean: Vec<f64>,
    /// How many answers the mean is over.
    pub answers: usize,
}

/// No choice is taken for impossible on the word of a batch: it would divide by zero.
const LEAST_MEAN: f64 = 1e-9;

impl PriorCorrectionFit {
    /// The fit that changes nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Fits every phrasing on the answers with choices among `candidates`.
    ///
    /// Answers whose choices differ from the first of their phrasing are left out.
    pub fn fit(candidates: &[Candidate]) -> Self {
        let mut sums: BTreeMap<&str, (&[String], Vec<f64>, usize)> = BTreeMap::new();
        for candidate in candidates {
            let Some(distribution) = &candidate.choices else {
                continue;
            };
            let probabilities = softmax(&distribution.log_probabilities);
            if probabilities.len() != distribution.choices.len() {
                continue;
            }
            let (choices, sum, answers) = sums
                .entry(&candidate.phrasing)
                .or_insert_with(|| (&distribution.choices, vec![0.0; probabilities.len()], 0));
            if *choices != distribution.choices {
                continue;
            }
            for (total, probability) in sum.iter_mut().zip(&probabilities) {
                *total += probability;
            }
            *answers += 1;
        }
        let phrasings = sums
            .into_iter()
            .map(|(phrasing, (choices, sum, answers))| {
                let log_mean = sum
                    .iter()
                    .map(|total| (total / answers as f64).max(LEAST_MEAN).ln())
                    .collect();
                let prior = PhrasingPrior {
                    choices: choices.to_vec(),
                    log_mean,
                    answers,
                };
                (phrasing.to_owned(), prior)
            })
            .collect();
        Self { phrasings }
    }

    /// The probabilities over the choices of one answer to `phrasing`, corrected where that phrasing was
    /// fitted on as many choices, and merely normalised where it was not.
    pub fn apply(&self, phrasing: &str, log_probabilities: &[f32]) -> Vec<f64> {
        let mut scores: Vec<f64> = log_probabilities.iter().map(|&l| f64::from(l)).collect();
        if let Some(prior) = self.phrasings.get(phrasing)
            && prior.log_mean.len() == scores.len()
        {
            for (score, log_mean) in scores.iter_mut().zip(&prior.log_mean) {
                *score -= log_mean;
            }
        }
        normalised(&scores)
    }
}

fn softmax(log_probabilities: &[f32]) -> Vec<f64> {
    let scores: Vec<f64> = log_probabilities.iter().map(|&l| f64::from(l)).collect();
    normalised(&scores)
}

/// Softmax. What is not a number counts as impossible, and if nothing is possible all are equally likely.
fn normalised(scores: &[f64]) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return vec![1.0 / scores.len() as f64; scores.len()];
    }
    let weights: Vec<f64> = scores
        .iter()
        .map(|score| {
            if score.is_nan() {
                0.0
            } else {
                (score - highest).exp()
            }
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::tests_support::label;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-6, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn the_fit_is_the_mean_and_divides_it_out() {
        // Two answers of 0.8 and 0.6 for the first choice: a mean of 0.7 and 0.3.
        let batch = [
            label("a", "main", &[0.8, 0.2]),
            label("b", "main", &[0.6, 0.4]),
        ];
        let fit = PriorCorrectionFit::fit(&batch);
        let prior = &fit.phrasings["main"];
        close(&prior.log_mean, &[0.7_f64.ln(), 0.3_f64.ln()]);
        assert_eq!(prior.answers, 2);
        // 0.6/0.7 against 0.4/0.3, written out.
        let (p, q) = (0.6 / 0.7, 0.4 / 0.3);
        let corrected = fit.apply("main", &[0.6_f32.ln(), 0.4_f32.ln()]);
        close(&corrected, &[p / (p + q), q / (p + q)]);
        // Log-probabilities that share a constant are the same answer.
        let shifted = fit.apply("main", &[0.6_f32.ln() - 9.0, 0.4_f32.ln() - 9.0]);
        close(&shifted, &corrected);
    }

    #[test]
    fn phrasings_are_fitted_apart_and_an_unknown_one_is_not_corrected() {
        let batch = [
            label("a", "main", &[0.9, 0.1]),
            label("a", "chat", &[0.2, 0.8]),
        ];
        let fit = PriorCorrectionFit::fit(&batch);
        close(
            &fit.apply("main", &[0.9_f32.ln(), 0.1_f32.ln()]),
            &[0.5, 0.5],
        );
        close(
            &fit.apply("chat", &[0.2_f32.ln(), 0.8_f32.ln()]),
            &[0.5, 0.5],
        );
        close(
            &fit.apply("other", &[0.9_f32.ln(), 0.1_f32.ln()]),
            &[0.9, 0.1],
        );
        close(
            &PriorCorrectionFit::none().apply("main", &[0.0, 0.0]),
            &[0.5, 0.5],
        );
    }

    #[test]
    fn hostile_numbers_give_a_distribution() {
        let fit = PriorCorrectionFit::none();
        close(&fit.apply("main", &[f32::NEG_INFINITY; 2]), &[0.5, 0.5]);
        close(&fit.apply("main", &[f32::NAN, 0.0]), &[0.0, 1.0]);
        close(&fit.apply("main", &[f32::INFINITY, 0.0]), &[0.5, 0.5]);
        assert!(fit.apply("main", &[]).is_empty());
        let certain = [label("a", "main", &[1.0, 0.0])];
        let fit = PriorCorrectionFit::fit(&certain);
        let sum: f64 = fit.apply("main", &[-3.0, -1.0]).iter().sum();
        assert!((sum - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_fit_reads_back_from_json() {
        let fit = PriorCorrectionFit::fit(&[label("a", "main", &[0.9, 0.1])]);
        let json = serde_json::to_string(&fit).unwrap();
        assert_eq!(
            serde_json::from_str::<PriorCorrectionFit>(&json).unwrap(),
            fit
        );
    }
}
