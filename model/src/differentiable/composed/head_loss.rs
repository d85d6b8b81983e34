//! The output head with its loss against sparse targets, with all logits in memory.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::linear;
use crate::differentiable::{HeadTarget, TargetTerm};

/// The weighted loss of every row, `[rows]`: see [`head_loss`](crate::differentiable::head_loss), which gives their sum.
///
/// `hidden` is `[rows, width]`, `head` is `[vocabulary, width]`, `targets` has one entry a row.
///
/// # Errors
/// Targets that do not fit, and what the device refuses.
pub fn head_losses(hidden: &Tensor, head: &Tensor, targets: &[HeadTarget]) -> Result<Tensor> {
    let (rows, vocabulary) = (hidden.dim(0)?, head.dim(0)?);
    check(targets, rows, vocabulary)?;
    let device = hidden.device();
    let constant = targets.iter().map(entropy).collect::<Vec<f32>>();
    let mut losses = Tensor::from_vec(constant, rows, device)?;
    if rows == 0 {
        return Ok(losses);
    }
    let logits = linear(hidden, head)?;
    let logits = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
    let log_q = logits.broadcast_sub(&logits.exp()?.sum_keepdim(1)?.log()?)?;

    let known = Columns::new(targets, |target| {
        let terms = target.terms.iter();
        terms.flat_map(known_tokens).collect()
    });
    let (ids, factors) = known.tensors(device)?;
    losses = (losses - (log_q.gather(&ids, 1)? * factors)?.sum(1)?)?;
    // As a rule a row has one term with a tail, so this runs once.
    let most = targets.iter().map(|target| tails(target).count()).max();
    for place in 0..most.unwrap_or(0) {
        let inside = Columns::new(targets, |target| {
            let ids = tails(target).nth(place).map(|term| term.ids.as_slice());
            let ids = ids.unwrap_or_default().iter();
            ids.map(|id| (*id, f32::NEG_INFINITY)).collect()
        });
        let (ids, hidden) = inside.tensors(device)?;
        let none = Tensor::zeros((rows, vocabulary), DType::F32, device)?;
        let log_outside = (&log_q + none.scatter_add(&ids, &hidden, 1)?)?;
        // Summed over the complement, as one minus the rest would cancel.
        let outside = log_outside.exp()?.sum(1)?.maximum(f32::MIN_POSITIVE)?;
        let weights = targets.iter().map(|target| {
            let term = tails(target).nth(place);
            term.map_or(0.0, |term| term.weight * term.tail)
        });
        let weights = Tensor::from_vec(weights.collect::<Vec<f32>>(), rows, device)?;
        losses = (losses - (outside.log()? * weights)?)?;
    }
    Ok(losses)
}

fn check(targets: &[HeadTarget], rows: usize, vocabulary: usize) -> Result<()> {
    if rows != targets.len() {
        bail!("head-losses: {rows} rows, {} targets", targets.len());
    }
    // A device may read past the end without a word.
    for term in targets.iter().flat_map(|target| &target.terms) {
        if term.ids.len() != term.probabilities.len()
            || term.ids.iter().any(|id| *id as usize >= vocabulary)
        {
            bail!("head-losses: a target does not fit a vocabulary of {vocabulary}");
        }
    }
    Ok(())
}

/// What does not depend on the student: the sum over terms of `weight * sum p log p`.
fn entropy(target: &HeadTarget) -> f32 {
    let terms = target.terms.iter().map(|term| {
        let all = term.probabilities.iter().chain([&term.tail]);
        let known = all.map(|p| f64::from(*p)).filter(|p| *p > 0.0);
        f64::from(term.weight) * known.map(|p| p * p.ln()).sum::<f64>()
    });
    terms.sum::<f64>() as f32
}

/// Tokens of a term with the factors of their log-probabilities.
fn known_tokens(term: &TargetTerm) -> impl Iterator<Item = (u32, f32)> {
    let tokens = term.ids.iter().zip(&term.probabilities);
    let known = tokens.filter(|(_, p)| **p > 0.0);
    known.map(|(id, p)| (*id, term.weight * p))
}

fn tails(target: &HeadTarget) -> impl Iterator<Item = &TargetTerm> {
    target.terms.iter().filter(|term| term.tail > 0.0)
}

/// Few columns of each row of a matrix, with a value for each. Short rows are filled up with column 0 and the value 0,
/// which neither a product nor a sum notices; there is one column at least, so that a loss of nothing has gradients as well.
struct Columns {
    ids: Vec<u32>,
    values: Vec<f32>,
    rows: usize,
    width: usize,
}

impl Columns {
    fn new(targets: &[HeadTarget], entries: impl Fn(&HeadTarget) -> Vec<(u32, f32)>) -> Self {
        let entries: Vec<_> = targets.iter().map(entries).collect();
        let width = entries.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let filled = entries.iter().flat_map(|row| {
            let rest = std::iter::repeat_n((0, 0.0), width - row.len());
            row.iter().copied().chain(rest)
        });
        let (ids, values) = filled.unzip();
        Self {
            ids,
            values,
            rows: targets.len(),
            width,
        }
    }

    /// Both as `[rows, width]`.
    fn tensors(self, device: &Device) -> Result<(Tensor, Tensor)> {
        let shape = (self.rows, self.width);
        Ok((
            Tensor::from_vec(self.ids, shape, device)?,
            Tensor::from_vec(self.values, shape, device)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::Precision;
    use crate::differentiable::test_support::{
        check_close, check_gradients, check_same_captured, random,
    };

    const VOCABULARY: usize = 9;

    /// Terms of up to four tokens, with and without a tail, or none.
    fn term() -> impl Strategy<Value = TargetTerm> {
        let ids = prop::sample::subsequence((0..VOCABULARY as u32).collect::<Vec<_>>(), 0..5);
        (ids, 0.1..2.0_f32, prop::bool::ANY).prop_map(|(ids, weight, tailed)| {
            let tailed = tailed || ids.is_empty();
            let share = 1.0 / (ids.len() + usize::from(tailed)) as f32;
            TargetTerm {
                weight,
                probabilities: vec![share; ids.len()],
                ids,
                tail: if tailed { share } else { 0.0 },
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn losses_and_gradients_are_those_of_the_fused_head(
            terms in prop::collection::vec(prop::collection::vec(term(), 0..4), 1..9),
            seed: u64,
        ) {
            let targets: Vec<_> = terms.into_iter().map(|terms| HeadTarget { terms }).collect();
            let inputs = [random(&[targets.len(), 4], seed), random(&[VOCABULARY, 4], seed ^ 1)];
            let fused = crate::differentiable::head_losses(&inputs[0], &inputs[1], &targets, Precision::F32).unwrap();
            let fused: Vec<f32> = fused.into_iter().map(|loss| loss as f32).collect();
            let fused = Tensor::from_vec(fused, targets.len(), &Device::Cpu).unwrap();
            check_close(&head_losses(&inputs[0], &inputs[1], &targets).unwrap(), &fused, 1e-5);
            check_same_captured(
                &inputs,
                1e-5,
                |v, gradients| {
                    crate::differentiable::head_loss(&v[0], &v[1], targets.clone(), Precision::F32, gradients)
                },
                |v| head_losses(&v[0], &v[1], &targets)?.sum_all(),
            );
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let soft = TargetTerm {
            weight: 0.7,
            ids: vec![1, 4],
            probabilities: vec![0.5, 0.2],
            tail: 0.3,
        };
        let terms = vec![TargetTerm::token(3, 0.4), soft];
        let targets = [HeadTarget { terms }, HeadTarget::default()];
        check_gradients(&[random(&[2, 4], 3), random(&[VOCABULARY, 4], 4)], |v| {
            head_losses(&v[0], &v[1], &targets)
        });
    }

    #[test]
    fn targets_that_do_not_fit_are_refused() {
        let (hidden, head) = (random(&[1, 4], 9), random(&[VOCABULARY, 4], 10));
        let past = HeadTarget {
            terms: vec![TargetTerm::token(VOCABULARY as u32, 1.0)],
        };
        assert!(head_losses(&hidden, &head, &[past]).is_err());
        assert!(head_losses(&hidden, &head, &[]).is_err());
    }
}
