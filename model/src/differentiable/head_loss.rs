//! Output head and loss in one, against sparse targets, in blocks of rows: the logits of a whole batch never exist.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, Var, bail};
use rayon::prelude::*;

use super::Gradients;
use super::access::{Values, matrix, read, values};
use crate::Precision;
use crate::kernels::product::{self, Arithmetic, View};
use crate::kernels::softmax;

/// Rows whose logits are held at a time: few, so that they stay in the outer cache, but about as many as the head is wide
/// at least, as every block goes over the gradient of the head.
fn block_rows(width: usize) -> usize {
    width.next_power_of_two().clamp(128, 512)
}

/// What one row of the head is compared with: a sum of terms. A row without terms costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadTarget {
    /// The parts of the loss.
    pub terms: Vec<TargetTerm>,
}

/// `weight * KL(p || q)` to the head's distribution q, where p is known on few tokens and the rest of its mass is one
/// bucket: `sum over S of p log(p/q) + p_t log(p_t/q_t)`, with `q_t` the mass of q outside S.
///
/// With one token of probability 1 this is the cross-entropy.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetTerm {
    /// Factor of this term.
    pub weight: f32,
    /// The tokens S; no token twice.
    pub ids: Vec<u32>,
    /// Their probabilities, as many as `ids`.
    pub probabilities: Vec<f32>,
    /// `p_t`; zero where S is all there is.
    pub tail: f32,
}

impl TargetTerm {
    /// Cross-entropy to one token.
    pub fn token(id: u32, weight: f32) -> Self {
        Self {
            weight,
            ids: vec![id],
            probabilities: vec![1.0],
            tail: 0.0,
        }
    }
}

/// The sum over rows of each row's weighted loss, as a scalar tensor.
///
/// `hidden` is `[rows, width]`, `head` is `[vocabulary, width]`, `targets` has one entry a row. Products are computed in
/// `precision`, the softmax in f32. Gradients are computed on the way forward, that of the head only where `gradients`
/// wants it, to which it is added on the way back; `backward` may run once.
pub fn head_loss(
    hidden: &Tensor,
    head: &Tensor,
    targets: Vec<HeadTarget>,
    precision: Precision,
    gradients: &Arc<Gradients>,
) -> Result<Tensor> {
    let loss = HeadLoss {
        head: head.clone(),
        targets,
        arithmetic: precision.arithmetic().map_err(Error::wrap)?,
        gradients: Arc::clone(gradients),
        found: Mutex::default(),
    };
    // The head learns also where nothing asks for the gradient of what it reads.
    if hidden.track_op() {
        hidden.contiguous()?.apply_op1(loss)
    } else {
        Var::from_tensor(hidden)?.apply_op1(loss)
    }
}

/// The weighted loss of every row, without gradients.
pub fn head_losses(
    hidden: &Tensor,
    head: &Tensor,
    targets: &[HeadTarget],
    precision: Precision,
) -> Result<Vec<f64>> {
    let hidden = hidden.contiguous()?;
    let values = read(&hidden)?;
    let operands = Operands::new(&values, hidden.dims2()?, head, targets)?;
    let arithmetic = precision.arithmetic().map_err(Error::wrap)?;
    let mut losses = Vec::with_capacity(operands.rows);
    operands.blocks(arithmetic, |_, block, _| losses.extend(block));
    Ok(losses)
}

struct HeadLoss {
    head: Tensor,
    targets: Vec<HeadTarget>,
    arithmetic: Arithmetic,
    gradients: Arc<Gradients>,
    /// What the way forward found.
    found: Mutex<Option<Found>>,
}

/// Gradients of the hidden rows, and of the head where it is not frozen.
struct Found {
    hidden: Vec<f32>,
    head: Option<Vec<f32>>,
}

/// Both matrices with their sizes.
struct Operands<'a> {
    hidden: &'a [f32],
    head: Values<'a>,
    targets: &'a [HeadTarget],
    rows: usize,
    width: usize,
    vocabulary: usize,
}

impl<'a> Operands<'a> {
    fn new(
        hidden: &'a [f32],
        (rows, width): (usize, usize),
        head: &'a Tensor,
        targets: &'a [HeadTarget],
    ) -> Result<Self> {
        let (vocabulary, head_width) = head.dims2()?;
        if width != head_width || rows != targets.len() {
            bail!(
                "head-loss: hidden [{rows}, {width}], head [{vocabulary}, {head_width}], {} targets",
                targets.len()
            );
        }
        for term in targets.iter().flat_map(|target| &target.terms) {
            if term.ids.len() != term.probabilities.len()
                || term.ids.iter().any(|id| *id as usize >= vocabulary)
            {
                bail!("head-loss: a target does not fit a vocabulary of {vocabulary}");
            }
        }
        Ok(Self {
            hidden,
            head: read(head)?,
            targets,
            rows,
            width,
            vocabulary,
        })
    }

    fn head(&self) -> View<'_> {
        View::new(&self.head, self.vocabulary, self.width)
    }

    /// Rows from `start` on.
    fn hidden(&self, start: usize, rows: usize) -> View<'a> {
        let values = &self.hidden[start * self.width..][..rows * self.width];
        View::new(values, rows, self.width)
    }

    /// Calls `then` with the first row, the losses and the gradients of the logits of every block of rows.
    fn blocks(&self, arithmetic: Arithmetic, mut then: impl FnMut(usize, Vec<f64>, &[f32])) {
        let block = block_rows(self.width);
        for start in (0..self.rows).step_by(block) {
            let rows = block.min(self.rows - start);
            let (hidden, head) = (self.hidden(start, rows), self.head().transpose());
            let mut logits = product::multiply(arithmetic, hidden, head, None);
            let losses = logits
                .par_chunks_mut(self.vocabulary)
                .zip(&self.targets[start..start + rows])
                .map(|(row, target)| loss_and_gradient(row, target))
                .collect();
            then(start, losses, &logits);
        }
    }
}

impl CustomOp1 for HeadLoss {
    fn name(&self) -> &'static str {
        "head-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let hidden = values(storage, layout)?;
        let operands = Operands::new(hidden, matrix(layout)?, &self.head, &self.targets)?;
        let (width, vocabulary) = (operands.width, operands.vocabulary);
        let wanted = self.gradients.wants(&self.head);
        let mut total = 0.0;
        let mut dhidden = vec![0.0; operands.rows * width];
        let mut dhead: Option<Vec<f32>> = None;
        operands.blocks(self.arithmetic, |start, losses, dlogits| {
            total += losses.iter().sum::<f64>();
            let dlogits = View::new(dlogits, losses.len(), vocabulary);
            let part = &mut dhidden[start * width..][..losses.len() * width];
            product::multiply_into(self.arithmetic, dlogits, operands.head(), part, false);
            let (left, right) = (dlogits.transpose(), operands.hidden(start, losses.len()));
            match &mut dhead {
                _ if !wanted => (),
                Some(sum) => product::multiply_into(self.arithmetic, left, right, sum, true),
                None => dhead = Some(product::multiply(self.arithmetic, left, right, None)),
            }
        });
        if wanted && dhead.is_none() {
            dhead = Some(vec![0.0; vocabulary * width]);
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(Found {
            hidden: dhidden,
            head: dhead,
        });
        Ok((CpuStorage::F32(vec![total as f32]), Shape::from(())))
    }

    fn bwd(&self, hidden: &Tensor, _: &Tensor, dloss: &Tensor) -> Result<Option<Tensor>> {
        let found = self
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut found) = found else {
            bail!("head-loss: backward may run once")
        };
        let scale = read(dloss)?.first().copied().unwrap_or(1.0);
        // Exactly one where the loss is the root of the graph.
        if scale.to_bits() != 1.0_f32.to_bits() {
            softmax::scale(&mut found.hidden, scale);
            softmax::scale(found.head.as_deref_mut().unwrap_or_default(), scale);
        }
        if let Some(head) = found.head {
            self.gradients.add(&self.head, head);
        }
        Ok(Some(Tensor::from_vec(
            found.hidden,
            hidden.shape(),
            hidden.device(),
        )?))
    }
}

/// Turns a row of logits into the gradient of its loss, and returns the loss.
///
/// The gradient of one term is `q_j - p_j` inside S and `q_j (1 - p_t / q_t)` outside, so a row of terms is
/// `q_j * sum(weight (1 - p_t / q_t))` with corrections at the few tokens of each S.
fn loss_and_gradient(row: &mut [f32], target: &HeadTarget) -> f64 {
    if target.terms.is_empty() {
        row.fill(0.0);
        return 0.0;
    }
    let shift = softmax::maximum(row);
    let logits: Vec<Vec<f32>> = target
        .terms
        .iter()
        .map(|term| gather(row, &term.ids))
        .collect();
    // From here on the row holds probabilities times `total`.
    let total = softmax::exponentials(row, shift);
    let log_total = f64::from(shift) + total.ln();
    let share = (1.0 / total) as f32;
    let (mut loss, mut factor) = (0.0, 0.0);
    let mut corrections = Vec::new();
    for (term, logits) in target.terms.iter().zip(&logits) {
        let weight = f64::from(term.weight);
        for (&p, &logit) in term
            .probabilities
            .iter()
            .zip(logits)
            .filter(|(p, _)| **p > 0.0)
        {
            let p = f64::from(p);
            loss += weight * p * (p.ln() - (f64::from(logit) - log_total));
        }
        let mut ratio = 0.0;
        if term.tail > 0.0 {
            let outside = (outside(row, &term.ids) / total) as f32;
            let outside = outside.max(f32::MIN_POSITIVE);
            let (p, q) = (f64::from(term.tail), f64::from(outside));
            loss += weight * p * (p.ln() - q.ln());
            ratio = term.tail / outside;
        }
        factor += term.weight * (1.0 - ratio);
        for (&id, &p) in term.ids.iter().zip(&term.probabilities) {
            let q = row[id as usize] * share;
            corrections.push((id as usize, term.weight * (q * ratio - p)));
        }
    }
    softmax::scale(row, factor * share);
    for (id, correction) in corrections {
        row[id] += correction;
    }
    loss
}

fn gather(row: &[f32], ids: &[u32]) -> Vec<f32> {
    ids.iter().map(|id| row[*id as usize]).collect()
}

/// The mass of `probabilities` outside `ids`: summed over the complement, as one minus the rest would cancel.
fn outside(probabilities: &mut [f32], ids: &[u32]) -> f64 {
    let inside = gather(probabilities, ids);
    for id in ids {
        probabilities[*id as usize] = 0.0;
    }
    let outside = softmax::sum(probabilities);
    for (id, value) in ids.iter().zip(inside) {
        probabilities[*id as usize] = value;
    }
    outside
}

#[cfg(test)]
#[path = "head_loss_tests.rs"]
mod tests;
