//! Intervals of 95 % confidence: Wilson's for shares, the percentile bootstrap for everything else.
//!
//! The bootstrap resamples whole documents, since the tokens of one document are not independent, and it is seeded,
//! so that a report repeats to the last digit.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The two-sided 95 % quantile of the standard normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// Resamples of a bootstrap; more would move the ends by less than the third digit that a report shows.
const MOST_RESAMPLES: usize = 10_000;

/// Draws over all resamples, so that a suite of a hundred thousand documents does not take minutes.
const DRAW_BUDGET: usize = 40_000_000;

/// A 95 % confidence interval, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure over all documents.
    pub value: f64,
    /// Its 95 % confidence interval.
    pub interval: Interval,
}

/// Wilson's score interval for `successes` out of `trials` (Wilson 1927): unlike the normal approximation it stays
/// inside 0 to 1 and has a width at 0 and at 1. Nothing tried gives the whole of 0 to 1.
pub fn wilson(successes: usize, trials: usize) -> Interval {
    if trials == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let n = trials as f64;
    let share = successes.min(trials) as f64 / n;
    let z2 = NORMAL_QUANTILE * NORMAL_QUANTILE;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half_width =
        NORMAL_QUANTILE / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    Interval {
        low: (centre - half_width).max(0.0),
        high: (centre + half_width).min(1.0),
    }
}

/// `sum(numerators) / sum(denominators)` with a bootstrap interval over the pairs, such as nats over bytes with one
/// pair a document, or the student's nats over a floor's on the same documents. The slices pair up by position.
/// `None` if there is no pair or the denominators do not sum to a positive number.
pub fn ratio(numerators: &[f64], denominators: &[f64], seed: u64) -> Option<Estimate> {
    let pairs: Vec<(f64, f64)> = pair_up(numerators, denominators)?;
    let quotient = |(above, below): (f64, f64)| (below > 0.0).then(|| above / below);
    let value = quotient(sum(pairs.iter().copied()))?;
    Some(Estimate {
        value,
        interval: bootstrap(&pairs, seed, quotient)?,
    })
}

/// `mean(ours - theirs)` with a bootstrap interval that resamples both sides of a document together, so that what
/// makes a document hard for both does not widen it. For accuracy the values are 0 and 1. `None` without a pair.
pub fn paired_difference(ours: &[f64], theirs: &[f64], seed: u64) -> Option<Estimate> {
    let differences: Vec<f64> = pair_up(ours, theirs)?
        .into_iter()
        .map(|(our, their)| our - their)
        .collect();
    ratio(&differences, &vec![1.0; differences.len()], seed)
}

fn pair_up(left: &[f64], right: &[f64]) -> Option<Vec<(f64, f64)>> {
    (!left.is_empty() && left.len() == right.len())
        .then(|| left.iter().copied().zip(right.iter().copied()).collect())
}

fn sum(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    pairs.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y))
}

/// The 2.5 and 97.5 percentiles of `statistic` over resamples of the summed pairs. Resamples without a statistic
/// (all weight missed) are left out.
fn bootstrap(
    pairs: &[(f64, f64)],
    seed: u64,
    statistic: impl Fn((f64, f64)) -> Option<f64>,
) -> Option<Interval> {
    let resamples = (DRAW_BUDGET / pairs.len()).clamp(1_000, MOST_RESAMPLES);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut statistics: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            let drawn = pairs.iter().map(|_| pairs[draw(&mut random, pairs.len())]);
            statistic(sum(drawn))
        })
        .collect();
    if statistics.is_empty() {
        return None;
    }
    statistics.sort_by(f64::total_cmp);
    let at =
        |quantile: f64| statistics[(quantile * (statistics.len() - 1) as f64).round() as usize];
    Some(Interval {
        low: at(0.025),
        high: at(0.975),
    })
}

/// A uniform index below `bound` by multiply-high: the same stream whatever version of `rand` samples ranges.
pub(super) fn draw(random: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(random.next_u64()) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!(
            (actual - expected).abs() <= tolerance,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998, table I: 81 of 263 and 0 of 20 by the score method without continuity correction.
        let interval = wilson(81, 263);
        close(interval.low, 0.2553, 5e-5);
        close(interval.high, 0.3662, 5e-5);
        let none = wilson(0, 20);
        close(none.low, 0.0, 1e-12);
        close(none.high, 0.1611, 5e-5);
        assert_eq!(
            wilson(0, 0),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn bootstrap_of_a_mean_agrees_with_the_normal_interval() {
        // 400 values of mean 0.5 and variance 1/12: the standard error is 0.01443.
        let values: Vec<f64> = (0..400).map(|i| (f64::from(i) + 0.5) / 400.0).collect();
        let estimate = ratio(&values, &[1.0; 400], 7).expect("values");
        close(estimate.value, 0.5, 1e-12);
        close(estimate.interval.low, 0.5 - 1.96 * 0.014_43, 2e-3);
        close(estimate.interval.high, 0.5 + 1.96 * 0.014_43, 2e-3);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_does_not() {
        let above: Vec<f64> = (0..50).map(|i| f64::from(i % 7) + 0.25).collect();
        let below: Vec<f64> = (0..50).map(|i| f64::from(i % 5) + 1.0).collect();
        assert_eq!(ratio(&above, &below, 1), ratio(&above, &below, 1));
        assert_ne!(ratio(&above, &below, 1), ratio(&above, &below, 2));
    }

    #[test]
    fn pairing_cancels_what_documents_share() {
        let theirs: Vec<f64> = (0..200).map(|i| f64::from(i % 10)).collect();
        let ours: Vec<f64> = theirs.iter().map(|value| value * 0.9).collect();
        let paired = ratio(&ours, &theirs, 3).expect("pairs");
        close(paired.value, 0.9, 1e-12);
        close(paired.interval.high - paired.interval.low, 0.0, 1e-12);
        let shifted: Vec<f64> = theirs.iter().map(|value| value - 0.5).collect();
        let difference = paired_difference(&shifted, &theirs, 3).expect("pairs");
        close(difference.interval.low, -0.5, 1e-12);
        close(difference.interval.high, -0.5, 1e-12);
    }

    #[test]
    fn nothing_to_compare_is_none() {
        assert_eq!(ratio(&[], &[], 1), None);
        assert_eq!(ratio(&[1.0], &[0.0], 1), None);
        assert_eq!(paired_difference(&[1.0], &[1.0, 2.0], 1), None);
    }
}
