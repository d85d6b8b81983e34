//! From a row of logits to a token.

use super::{GeneratedToken, Sampling};
use crate::DecodeError;
use crate::kernels::rows::{log_sum_exp, scaled_exponentials};

/// Refuses parameters out of their range.
pub(crate) fn check(sampling: &Sampling) -> Result<(), DecodeError> {
    let Sampling {
        temperature,
        top_p,
        max_tokens,
        ..
    } = sampling;
    if !(temperature.is_finite() && *temperature >= 0.0) {
        let (value, expected) = (temperature.to_string(), "a number of at least 0");
        return Err(DecodeError::Sampling {
            field: "temperature",
            value,
            expected,
        });
    }
    if !(*top_p > 0.0 && *top_p <= 1.0) {
        let (value, expected) = (top_p.to_string(), "above 0 and at most 1");
        return Err(DecodeError::Sampling {
            field: "top_p",
            value,
            expected,
        });
    }
    if *max_tokens == 0 {
        let (value, expected) = (max_tokens.to_string(), "at least 1");
        return Err(DecodeError::Sampling {
            field: "max_tokens",
            value,
            expected,
        });
    }
    Ok(())
}

/// Draws a token; `uniform`, from [0, 1), decides which. `weights` is scratch.
pub(crate) fn draw(
    logits: &[f32],
    sampling: &Sampling,
    uniform: f64,
    weights: &mut Vec<f32>,
) -> GeneratedToken {
    let total = log_sum_exp(logits);
    let id = if sampling.temperature == 0.0 {
        likeliest(logits, 1).first().map_or(0, |&(id, _)| id)
    } else {
        draw_from_distribution(logits, sampling, uniform, weights)
    };
    let mut top = likeliest(logits, sampling.top_logprobs);
    for (_, logit) in &mut top {
        *logit -= total;
    }
    GeneratedToken {
        id,
        log_probability: logits[id as usize] - total,
        top,
    }
}

/// The `count` largest values with their indices, largest first; of equal ones the first comes first.
fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let count = count.min(logits.len());
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    let mut threshold = f32::NEG_INFINITY;
    for (id, &logit) in logits.iter().enumerate() {
        if best.len() == count && logit <= threshold {
            continue;
        }
        let place = best.partition_point(|&(_, other)| other >= logit);
        best.insert(place, (id as u32, logit));
        best.truncate(count);
        threshold = best.last().map_or(f32::INFINITY, |&(_, logit)| logit);
    }
    best
}

fn draw_from_distribution(
    logits: &[f32],
    sampling: &Sampling,
    uniform: f64,
    weights: &mut Vec<f32>,
) -> u32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    weights.resize(logits.len(), 0.0);
    let total = scaled_exponentials(logits, largest, 1.0 / sampling.temperature, weights);
    if sampling.top_p >= 1.0 {
        return pick(weights.iter().copied().enumerate(), uniform * total);
    }
    // Tokens below the floor have less than 1 - top_p together, so none of them is in the nucleus: sorting the others,
    // usually a few hundred, is enough.
    let floor = (total * (1.0 - f64::from(sampling.top_p)) / logits.len() as f64) as f32;
    let mut nucleus: Vec<(usize, f32)> = weights
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, weight)| *weight >= floor)
        .collect();
    nucleus.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut mass = 0.0;
    let mut size = 0;
    while size < nucleus.len() && mass < total * f64::from(sampling.top_p) {
        mass += f64::from(nucleus[size].1);
        size += 1;
    }
    pick(nucleus[..size].iter().copied(), uniform * mass)
}

/// The first candidate at which the running sum of weights exceeds `mark`; the last one with a weight where rounding
/// keeps the sum below it.
fn pick(candidates: impl Iterator<Item = (usize, f32)>, mark: f64) -> u32 {
    let mut sum = 0.0;
    let mut chosen = 0;
    for (id, weight) in candidates.filter(|(_, weight)| *weight > 0.0) {
        chosen = id;
        sum += f64::from(weight);
        if sum > mark {
            break;
        }
    }
    chosen as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::matrix::test_values;

    fn sampling(temperature: f32, top_p: f32) -> Sampling {
        Sampling {
            temperature,
            top_p,
            seed: 0,
            max_tokens: 1,
            top_logprobs: 3,
        }
    }

    /// How often each token is drawn over an even grid of uniform numbers.
    fn shares(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        let draws = 20_000;
        for i in 0..draws {
            let uniform = (f64::from(i) + 0.5) / f64::from(draws);
            counts[draw(logits, sampling, uniform, &mut Vec::new()).id as usize] +=
                1.0 / f64::from(draws);
        }
        counts
    }

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert!(
            got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3),
            "{got:?} instead of {expected:?}"
        );
    }

    #[test]
    fn tokens_are_drawn_in_proportion_to_their_probability() {
        let probabilities = [0.5_f32, 0.2, 0.3];
        let logits = probabilities.map(f32::ln);
        assert_close(&shares(&logits, &sampling(1.0, 1.0)), &[0.5, 0.2, 0.3]);
        // At temperature 1/2 probabilities are squared and renormalised.
        assert_close(
            &shares(&logits, &sampling(0.5, 1.0)),
            &[25.0 / 38.0, 4.0 / 38.0, 9.0 / 38.0],
        );
        // 0.5 + 0.3 is the first sum to reach 0.6.
        assert_close(&shares(&logits, &sampling(1.0, 0.6)), &[0.625, 0.0, 0.375]);
        assert_close(&shares(&logits, &sampling(1.0, 0.4)), &[1.0, 0.0, 0.0]);
        assert_close(&shares(&logits, &sampling(0.0, 1.0)), &[1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_nucleus_of_a_large_vocabulary_equals_that_of_a_full_sort() {
        let logits: Vec<f32> = test_values(5000, 1).iter().map(|x| x * 9.0).collect();
        let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        let mut sorted: Vec<(usize, f64)> = logits
            .iter()
            .map(|&x| f64::from(x).exp() / total)
            .enumerate()
            .collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        for top_p in [0.1_f32, 0.5, 0.9, 0.99] {
            let mut mass = 0.0;
            let nucleus: Vec<usize> = sorted
                .iter()
                .take_while(|(_, p)| {
                    let inside = mass < f64::from(top_p);
                    mass += p;
                    inside
                })
                .map(|(id, _)| *id)
                .collect();
            let mut weights = Vec::new();
            let last = draw(&logits, &sampling(1.0, top_p), 1.0 - 1e-12, &mut weights).id as usize;
            assert_eq!(Some(&last), nucleus.last(), "top_p {top_p}");
        }
    }

    #[test]
    fn log_probabilities_are_taken_at_temperature_one() {
        let logits = [2.0_f32, 1.0, 0.0, 1.0];
        let drawn = draw(&logits, &sampling(0.3, 0.5), 0.0, &mut Vec::new());
        let total = logits.iter().map(|x| x.exp()).sum::<f32>().ln();
        assert_eq!(drawn.id, 0);
        assert!((drawn.log_probability - (2.0 - total)).abs() < 1e-6);
        assert_eq!(
            drawn.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            [0, 1, 3]
        );
        assert!((drawn.top[1].1 - (1.0 - total)).abs() < 1e-6);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for bad in [
            sampling(-1.0, 1.0),
            sampling(f32::NAN, 1.0),
            sampling(1.0, 0.0),
            sampling(1.0, 1.5),
            sampling(1.0, f32::NAN),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        assert!(
            check(&Sampling {
                max_tokens: 0,
                ..sampling(1.0, 1.0)
            })
            .is_err()
        );
        assert!(check(&sampling(0.0, 1.0)).is_ok());
    }
}
