//! Output head and loss in one, against sparse targets, in blocks of rows: the logits of a whole batch never exist.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::access::{matrix, read, values};
use crate::Precision;
use crate::kernels::product::{Arithmetic, Right, View};
use crate::kernels::softmax;

/// Rows whose logits are held at a time.
const ROWS: usize = 512;

/// The logits of one block, kept from call to call: as fresh pages they would cost as much as filling them.
static LOGITS: Mutex<Vec<f32>> = Mutex::new(Vec::new());

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
/// `precision`, the softmax in f32. Gradients are computed on the way forward, that of a head that is no variable (nor
/// computed from one) not at all; `backward` may run once.
pub fn head_loss(
    hidden: &Tensor,
    head: &Tensor,
    targets: Vec<HeadTarget>,
    precision: Precision,
) -> Result<Tensor> {
    hidden.contiguous()?.apply_op2(
        head,
        HeadLoss {
            targets,
            arithmetic: precision.arithmetic().map_err(Error::wrap)?,
            frozen: !head.track_op(),
            gradients: Mutex::new(None),
        },
    )
}

/// The weighted loss of every row, without gradients.
pub fn head_losses(
    hidden: &Tensor,
    head: &Tensor,
    targets: &[HeadTarget],
    precision: Precision,
) -> Result<Vec<f64>> {
    let hidden = hidden.contiguous()?;
    let ((hidden_storage, hidden_layout), (head_storage, head_layout)) =
        (hidden.storage_and_layout(), head.storage_and_layout());
    let (Storage::Cpu(hidden_storage), Storage::Cpu(head_storage)) =
        (&*hidden_storage, &*head_storage)
    else {
        bail!("head-loss: expected tensors on the processor")
    };
    let operands = Operands::new(
        (hidden_storage, hidden_layout),
        (head_storage, head_layout),
        targets,
    )?;
    let arithmetic = precision.arithmetic().map_err(Error::wrap)?;
    let head = Right::pack(arithmetic, operands.head().transpose());
    let mut losses = Vec::with_capacity(operands.rows);
    operands.blocks(&head, |_, block, _| losses.extend(block));
    Ok(losses)
}

struct HeadLoss {
    targets: Vec<HeadTarget>,
    arithmetic: Arithmetic,
    /// The head gets no gradient.
    frozen: bool,
    /// Of the hidden rows and of the head (empty where it is frozen), from the forward pass.
    gradients: Mutex<Option<(Vec<f32>, Vec<f32>)>>,
}

/// Both matrices with their sizes.
struct Operands<'a> {
    hidden: &'a [f32],
    head: &'a [f32],
    targets: &'a [HeadTarget],
    rows: usize,
    width: usize,
    vocabulary: usize,
}

impl<'a> Operands<'a> {
    fn new(
        (hidden, hidden_layout): (&'a CpuStorage, &Layout),
        (head, head_layout): (&'a CpuStorage, &Layout),
        targets: &'a [HeadTarget],
    ) -> Result<Self> {
        let ((rows, width), (vocabulary, head_width)) =
            (matrix(hidden_layout)?, matrix(head_layout)?);
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
            hidden: values(hidden, hidden_layout)?,
            head: values(head, head_layout)?,
            targets,
            rows,
            width,
            vocabulary,
        })
    }

    fn head(&self) -> View<'a> {
        View::new(self.head, self.vocabulary, self.width)
    }

    /// Rows from `start` on.
    fn hidden(&self, start: usize, rows: usize) -> View<'a> {
        let values = &self.hidden[start * self.width..][..rows * self.width];
        View::new(values, rows, self.width)
    }

    /// Calls `then` with the first row, the losses and the gradients of the logits of every block of rows.
    fn blocks(&self, head: &Right, mut then: impl FnMut(usize, Vec<f64>, &[f32])) {
        // Whoever comes while the logits are in use gets others.
        let mut kept = std::mem::take(&mut *LOGITS.lock().unwrap_or_else(PoisonError::into_inner));
        let most = ROWS.min(self.rows) * self.vocabulary;
        if kept.len() < most {
            kept = vec![0.0; most];
        }
        for start in (0..self.rows).step_by(ROWS) {
            let rows = ROWS.min(self.rows - start);
            let logits = &mut kept[..rows * self.vocabulary];
            head.multiply_into(self.hidden(start, rows), logits, false);
            let losses = logits
                .par_chunks_mut(self.vocabulary)
                .zip(&self.targets[start..start + rows])
                .map(|(row, target)| loss_and_gradient(row, target))
                .collect();
            then(start, losses, logits);
        }
        *LOGITS.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

impl CustomOp2 for HeadLoss {
    fn name(&self) -> &'static str {
        "head-loss"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let operands = Operands::new((s1, l1), (s2, l2), &self.targets)?;
        let (width, vocabulary) = (operands.width, operands.vocabulary);
        // Every block of rows needs the head twice, so it is packed once for all of them.
        let forward = Right::pack(self.arithmetic, operands.head().transpose());
        let backward = Right::pack(self.arithmetic, operands.head());
        let mut total = 0.0;
        let mut dhidden = vec![0.0; operands.rows * width];
        let mut dhead = vec![0.0; if self.frozen { 0 } else { vocabulary * width }];
        operands.blocks(&forward, |start, losses, dlogits| {
            total += losses.iter().sum::<f64>();
            let dlogits = View::new(dlogits, losses.len(), vocabulary);
            let part = &mut dhidden[start * width..][..losses.len() * width];
            backward.multiply_into(dlogits, part, false);
            if !self.frozen {
                Right::pack(self.arithmetic, operands.hidden(start, losses.len())).multiply_into(
                    dlogits.transpose(),
                    &mut dhead,
                    start > 0,
                );
            }
        });
        *self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((dhidden, dhead));
        Ok((CpuStorage::F32(vec![total as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        hidden: &Tensor,
        head: &Tensor,
        _: &Tensor,
        dloss: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((mut dhidden, mut dhead)) = gradients else {
            bail!("head-loss: backward may run once")
        };
        let scale = read(dloss)?.first().copied().unwrap_or(1.0);
        // Exactly one where the loss is the root of the graph.
        if scale.to_bits() != 1.0_f32.to_bits() {
            softmax::scale(&mut dhidden, scale);
            softmax::scale(&mut dhead, scale);
        }
        let dhead = if self.frozen {
            None
        } else {
            Some(Tensor::from_vec(dhead, head.shape(), head.device())?)
        };
        let dhidden = Tensor::from_vec(dhidden, hidden.shape(), hidden.device())?;
        Ok((Some(dhidden), dhead))
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
