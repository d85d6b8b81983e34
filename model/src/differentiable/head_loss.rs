//! Output head and loss in one, against sparse targets, in blocks of rows: the logits of a whole batch never exist.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::access::{matrix, read, values};
use super::vector;

/// Rows whose logits are held at a time.
const ROWS: usize = 512;

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
/// `hidden` is `[rows, width]`, `head` is `[vocabulary, width]`, `targets` has one entry a row. Gradients are computed
/// on the way forward; `backward` may run once.
pub fn head_loss(hidden: &Tensor, head: &Tensor, targets: Vec<HeadTarget>) -> Result<Tensor> {
    hidden.contiguous()?.apply_op2(
        head,
        HeadLoss {
            targets,
            gradients: Mutex::new(None),
        },
    )
}

/// The weighted loss of every row, without gradients.
pub fn head_losses(hidden: &Tensor, head: &Tensor, targets: &[HeadTarget]) -> Result<Vec<f64>> {
    let hidden = hidden.contiguous()?;
    let ((hidden_storage, hidden_layout), (head_storage, head_layout)) =
        (hidden.storage_and_layout(), head.storage_and_layout());
    let (Storage::Cpu(hidden_storage), Storage::Cpu(head_storage)) =
        (&*hidden_storage, &*head_storage)
    else {
        bail!("head-loss: expected tensors on the processor")
    };
    let operands = Operands::new(
        hidden_storage,
        hidden_layout,
        head_storage,
        head_layout,
        targets,
    )?;
    let mut losses = Vec::with_capacity(operands.rows);
    for start in (0..operands.rows).step_by(ROWS) {
        losses.extend(operands.block(start)?.0);
    }
    Ok(losses)
}

struct HeadLoss {
    targets: Vec<HeadTarget>,
    /// Of the hidden rows and of the head, from the forward pass.
    gradients: Mutex<Option<(Vec<f32>, Vec<f32>)>>,
}

/// Both matrices with their sizes.
struct Operands<'a> {
    hidden: &'a CpuStorage,
    hidden_offset: usize,
    head: &'a CpuStorage,
    head_layout: &'a Layout,
    targets: &'a [HeadTarget],
    rows: usize,
    width: usize,
    vocabulary: usize,
}

impl<'a> Operands<'a> {
    fn new(
        hidden: &'a CpuStorage,
        hidden_layout: &'a Layout,
        head: &'a CpuStorage,
        head_layout: &'a Layout,
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
        values(hidden, hidden_layout)?;
        Ok(Self {
            hidden,
            hidden_offset: hidden_layout.start_offset(),
            head,
            head_layout,
            targets,
            rows,
            width,
            vocabulary,
        })
    }

    fn hidden_block(&self, start: usize, rows: usize) -> Layout {
        Layout::contiguous_with_offset((rows, self.width), self.hidden_offset + start * self.width)
    }

    /// Losses of a block of rows, and the gradients of its logits.
    fn block(&self, start: usize) -> Result<(Vec<f64>, Vec<f32>)> {
        let rows = ROWS.min(self.rows - start);
        let logits = self.hidden.matmul(
            self.head,
            (1, rows, self.vocabulary, self.width),
            &self.hidden_block(start, rows),
            &self.head_layout.transpose(0, 1)?,
        )?;
        let CpuStorage::F32(mut logits) = logits else {
            bail!("head-loss: expected f32")
        };
        let losses = logits
            .par_chunks_mut(self.vocabulary)
            .zip(&self.targets[start..start + rows])
            .map(|(row, target)| loss_and_gradient(row, target))
            .collect();
        Ok((losses, logits))
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
        let operands = Operands::new(s1, l1, s2, l2, &self.targets)?;
        let Operands {
            rows,
            width,
            vocabulary,
            ..
        } = operands;
        let mut total = 0.0;
        let mut dhidden = Vec::with_capacity(rows * width);
        let mut dhead: Vec<f32> = vec![];
        for start in (0..rows).step_by(ROWS) {
            let (losses, dlogits) = operands.block(start)?;
            total += losses.iter().sum::<f64>();
            let block = losses.len();
            let dlogits = CpuStorage::F32(dlogits);
            let layout = Layout::contiguous((block, vocabulary));
            let part = dlogits.matmul(s2, (1, block, width, vocabulary), &layout, l2)?;
            dhidden.extend_from_slice(values(&part, &Layout::contiguous((block, width)))?);
            let columns = layout.transpose(0, 1)?;
            let part = dlogits.matmul(
                s1,
                (1, vocabulary, width, block),
                &columns,
                &operands.hidden_block(start, block),
            )?;
            match part {
                CpuStorage::F32(part) if dhead.is_empty() => dhead = part,
                part => vector::add(
                    &mut dhead,
                    values(&part, &Layout::contiguous((vocabulary, width)))?,
                ),
            }
        }
        dhead.resize(vocabulary * width, 0.0);
        if let Ok(mut gradients) = self.gradients.lock() {
            *gradients = Some((dhidden, dhead));
        }
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
            .ok()
            .and_then(|mut gradients| gradients.take());
        let Some((mut dhidden, mut dhead)) = gradients else {
            bail!("head-loss: backward may run once")
        };
        let scale = read(dloss)?.first().copied().unwrap_or(1.0);
        // Exactly one where the loss is the root of the graph.
        if scale.to_bits() != 1.0_f32.to_bits() {
            for value in dhidden.iter_mut().chain(&mut dhead) {
                *value *= scale;
            }
        }
        Ok((
            Some(Tensor::from_vec(dhidden, hidden.shape(), hidden.device())?),
            Some(Tensor::from_vec(dhead, head.shape(), head.device())?),
        ))
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
    let shift = vector::maximum(row);
    let logits: Vec<Vec<f32>> = target
        .terms
        .iter()
        .map(|term| gather(row, &term.ids))
        .collect();
    let total = vector::exp_shifted(row, shift);
    let log_total = f64::from(shift) + f64::from(total).ln();
    for value in row.iter_mut() {
        *value /= total;
    }
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
            let outside = outside(row, &term.ids).max(f32::MIN_POSITIVE);
            let (p, q) = (f64::from(term.tail), f64::from(outside));
            loss += weight * p * (p.ln() - q.ln());
            ratio = term.tail / outside;
        }
        factor += term.weight * (1.0 - ratio);
        for (&id, &p) in term.ids.iter().zip(&term.probabilities) {
            corrections.push((id as usize, term.weight * (row[id as usize] * ratio - p)));
        }
    }
    for value in row.iter_mut() {
        *value *= factor;
    }
    for (id, correction) in corrections {
        row[id] += correction;
    }
    loss
}

fn gather(row: &[f32], ids: &[u32]) -> Vec<f32> {
    ids.iter().map(|id| row[*id as usize]).collect()
}

/// The mass of `probabilities` outside `ids`: summed over the complement, as one minus the rest would cancel.
fn outside(probabilities: &mut [f32], ids: &[u32]) -> f32 {
    let inside = gather(probabilities, ids);
    for id in ids {
        probabilities[*id as usize] = 0.0;
    }
    let outside = vector::sum(probabilities);
    for (id, value) in ids.iter().zip(inside) {
        probabilities[*id as usize] = value;
    }
    outside
}

#[cfg(test)]
#[path = "head_loss_tests.rs"]
mod tests;
