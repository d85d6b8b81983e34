//! The same operations out of candle's own differentiable ones.
//!
//! They serve devices that the kernels do not know (CUDA and Metal, behind features of the same names), and the tests,
//! which hold the fused operations to them. What is slow here is what the fused forms are for: every elementary step
//! is a tensor of its own, attention forms a document's whole square of scores, and the head holds all logits.
//!
//! Everything is f32, and every gradient goes into candle's graph. That rules out candle's fused softmax, norm and
//! rotary operations, which have no way back and end the gradient without a word.

mod head_loss;

use candle_core::{D, DType, Result, Tensor};

use super::dropout::Dropout;
use super::{Attention, AttentionShape, BlockDropout, BlockWeights};
use crate::kernels::rotary::Rotary;

pub use head_loss::head_losses;

/// See [`super::TransformerBlock`]: `[tokens, width]` to the same shape.
///
/// # Errors
/// Shapes that do not fit each other, and what the device refuses.
pub fn block(
    x: &Tensor,
    weights: &BlockWeights,
    epsilon: f32,
    attention: &Attention,
    dropped: Option<BlockDropout>,
) -> Result<Tensor> {
    let branch = |x: &Tensor, rows: &Tensor, weight: &Tensor, which: usize| {
        let added = linear(rows, weight)?;
        match dropped {
            Some(dropped) => x + dropout(&added, dropped.share, dropped.seeds[which])?,
            None => x + added,
        }
    };
    let normal = rms_norm(x, &weights.attention_norm, epsilon)?;
    let attended = attention.composed(&linear(&normal, &weights.queries_keys_values)?)?;
    let middle = branch(x, &attended, &weights.attention_out, 0)?;
    let normal = rms_norm(&middle, &weights.feed_forward_norm, epsilon)?;
    let activated = swiglu(&linear(&normal, &weights.gate_up)?)?;
    branch(&middle, &activated, &weights.down, 1)
}

/// See [`super::linear`]: `[rows, in]` times `[out, in]` gives `[rows, out]`, in f32.
///
/// # Errors
/// Shapes that do not fit, and what the device refuses.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// See [`super::dropout`]: the same places of the `[rows, width]` are dropped, by a mask that the processor draws.
///
/// # Errors
/// What the device refuses.
pub fn dropout(x: &Tensor, share: f32, seed: u64) -> Result<Tensor> {
    if share <= 0.0 {
        return Ok(x.clone());
    }
    let (rows, width) = x.dims2()?;
    let mask = Dropout { share, seed }.masked(&vec![1.0; rows * width], rows, width);
    x * Tensor::from_vec(mask, x.shape(), x.device())?
}

/// See [`super::rms_norm`].
///
/// # Errors
/// Shapes that do not fit, and what the device refuses.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    let root = (mean + f64::from(epsilon))?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(weight)
}

/// See [`super::swiglu`].
pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
    let width = gate_up.dim(1)? / 2;
    let (gate, up) = (
        gate_up.narrow(1, 0, width)?,
        gate_up.narrow(1, width, width)?,
    );
    gate.silu()? * up
}

/// See [`super::select_rows`].
///
/// # Errors
/// On the processor an id past the table; what the device refuses.
pub fn select_rows(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    table.index_select(&Tensor::from_slice(ids, ids.len(), table.device())?, 0)
}

/// See [`super::Attention`]: one document after the other.
pub(super) fn attention(
    queries_keys_values: &Tensor,
    shape: AttentionShape,
    rotary: &Rotary,
    offsets: &[usize],
) -> Result<Tensor> {
    let lengths = offsets.windows(2).map(|pair| pair[1] - pair[0]);
    let Some(longest) = lengths.max().filter(|longest| *longest > 0) else {
        let size = (0, shape.query_width());
        return Tensor::zeros(size, DType::F32, queries_keys_values.device());
    };
    let tables = Tables::new(longest, rotary, queries_keys_values)?;
    let mut documents = Vec::with_capacity(offsets.len());
    for pair in offsets.windows(2).filter(|pair| pair[1] > pair[0]) {
        let rows = queries_keys_values.narrow(0, pair[0], pair[1] - pair[0])?;
        documents.push(document(&rows, shape, &tables)?);
    }
    Tensor::cat(&documents, 0)
}

/// What all documents share, made for the longest.
struct Tables {
    /// `[tokens, head_dim]`.
    cosines: Tensor,
    /// `[tokens, head_dim]`.
    sines: Tensor,
    /// `[tokens, tokens]`: what is added to the scores of a token's query (a row) with each key.
    hidden: Tensor,
}

impl Tables {
    /// On the device of `like`.
    fn new(tokens: usize, rotary: &Rotary, like: &Tensor) -> Result<Self> {
        let device = like.device();
        let table = |sines: bool| {
            let rows = (0..tokens).flat_map(|position| {
                let (cosine, sine) = rotary.row(position);
                if sines { sine } else { cosine }.repeat(2)
            });
            Tensor::from_vec(
                rows.collect::<Vec<f32>>(),
                (tokens, rotary.head_dim()),
                device,
            )
        };
        let hidden: Vec<f32> = (0..tokens)
            .flat_map(|i| (0..tokens).map(move |j| if j <= i { 0.0 } else { f32::NEG_INFINITY }))
            .collect();
        Ok(Self {
            cosines: table(false)?,
            sines: table(true)?,
            hidden: Tensor::from_vec(hidden, (tokens, tokens), device)?,
        })
    }

    /// `x * cos + rotate_half(x) * sin` for `[heads, tokens, head_dim]`, as Hugging Face's Llama has it.
    fn rotated(&self, x: &Tensor) -> Result<Tensor> {
        let (_, tokens, head_dim) = x.dims3()?;
        let half = head_dim / 2;
        let (low, high) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
        let turned = Tensor::cat(&[&high.neg()?, &low], 2)?;
        x.broadcast_mul(&self.cosines.narrow(0, 0, tokens)?)?
            + turned.broadcast_mul(&self.sines.narrow(0, 0, tokens)?)?
    }
}

fn document(rows: &Tensor, shape: AttentionShape, tables: &Tables) -> Result<Tensor> {
    let AttentionShape {
        heads,
        key_value_heads,
        head_dim,
    } = shape;
    let tokens = rows.dim(0)?;
    // `[heads, tokens, head_dim]`.
    let part = |first: usize, count: usize| {
        rows.narrow(1, first * head_dim, count * head_dim)?
            .reshape((tokens, count, head_dim))?
            .transpose(0, 1)?
            .contiguous()
    };
    // Each head of keys and values as often as queries read it.
    let repeated = |x: Tensor| {
        let group = heads / key_value_heads;
        x.unsqueeze(1)?
            .broadcast_as((key_value_heads, group, tokens, head_dim))?
            .contiguous()?
            .reshape((heads, tokens, head_dim))
    };
    let queries = tables.rotated(&part(0, heads)?)?;
    let keys = repeated(tables.rotated(&part(heads, key_value_heads)?)?)?;
    let values = repeated(part(heads + key_value_heads, key_value_heads)?)?;
    let hidden = tables.hidden.narrow(0, 0, tokens)?.narrow(1, 0, tokens)?;
    let scores = (queries.matmul(&keys.t()?.contiguous()?)? / (head_dim as f64).sqrt())?;
    let scores = scores.broadcast_add(&hidden)?;
    let largest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&largest)?.exp()?;
    let probabilities = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
    probabilities
        .matmul(&values)?
        .transpose(0, 1)?
        .reshape((tokens, heads * head_dim))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::Precision;
    use crate::differentiable::test_support::{check_same, check_same_captured, random};
    use crate::differentiable::{Retention, TransformerBlock, layers};

    fn weights(tensors: &[Tensor]) -> BlockWeights {
        BlockWeights {
            attention_norm: tensors[0].clone(),
            queries_keys_values: tensors[1].clone(),
            attention_out: tensors[2].clone(),
            feed_forward_norm: tensors[3].clone(),
            gate_up: tensors[4].clone(),
            down: tensors[5].clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_block_is_the_fused_one(
            lengths in prop::collection::vec(0..40_usize, 1..4),
            (group, key_value_heads) in (1..3_usize, 1..3_usize),
            (half, width, inner) in (1..9_usize, 1..40_usize, 1..50_usize),
            share in prop_oneof![Just(0.0_f32), Just(0.3)],
            seed: u64,
        ) {
            let shape = AttentionShape { heads: group * key_value_heads, key_value_heads, head_dim: 2 * half };
            let mut offsets = vec![0];
            for length in lengths {
                offsets.push(offsets[offsets.len() - 1] + length);
            }
            offsets.push(offsets[offsets.len() - 1] + 1);
            let tokens = offsets[offsets.len() - 1];
            let rotary = Arc::new(Rotary::new(shape.head_dim, 100, 100.0));
            let attention = Attention::new(shape, rotary, Arc::from(offsets)).unwrap();
            let shapes: [&[usize]; 7] = [
                &[tokens, width],
                &[width],
                &[shape.columns(), width],
                &[width, shape.query_width()],
                &[width],
                &[2 * inner, width],
                &[width, inner],
            ];
            let inputs: Vec<Tensor> = shapes.iter().zip(1..).map(|(shape, n)| random(shape, seed ^ n)).collect();
            let dropout = BlockDropout { share, seeds: [seed, seed ^ 9] };
            check_same_captured(
                &inputs,
                2e-3,
                |v, gradients| {
                    let block = TransformerBlock::new(
                        weights(&v[1..]),
                        1e-3,
                        Precision::F32,
                        attention.clone(),
                        Arc::clone(gradients),
                    )?;
                    layers(&v[0], vec![block.with_dropout(Some(dropout))], Retention::Activations)
                },
                |v| block(&v[0], &weights(&v[1..]), 1e-3, &attention, Some(dropout)),
            );
        }

        #[test]
        fn dropout_drops_the_same_places(rows in 1..50_usize, width in 1..40_usize, seed: u64) {
            check_same(
                &[random(&[rows, width], seed)],
                0.0,
                |v| crate::differentiable::dropout(&v[0], 0.4, seed),
                |v| dropout(&v[0], 0.4, seed),
            );
        }
    }
}
