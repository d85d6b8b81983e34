//! The same operations out of candle's own differentiable ones.
//!
//! They serve devices that the kernels do not know (CUDA and Metal, behind features of the same names), and the tests,
//! which hold the fused operations to them. What is slow here is what the fused forms are for: every elementary step
//! is a tensor of its own, and attention forms a document's whole square of scores.

use candle_core::{D, DType, Result, Tensor};

use super::AttentionShape;
use crate::kernels::rotary::Rotary;

/// See [`super::rms_norm`].
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
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
pub(super) fn select_rows(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    table.index_select(&Tensor::from_slice(ids, ids.len(), table.device())?, 0)
}

/// See [`super::Attention`]: one document after the other.
pub(super) fn attention(
    queries_keys_values: &Tensor,
    shape: AttentionShape,
    rotary: &Rotary,
    offsets: &[usize],
) -> Result<Tensor> {
    let mut documents = Vec::with_capacity(offsets.len());
    for pair in offsets.windows(2).filter(|pair| pair[1] > pair[0]) {
        let rows = queries_keys_values.narrow(0, pair[0], pair[1] - pair[0])?;
        documents.push(document(&rows, shape, rotary)?);
    }
    if documents.is_empty() {
        let size = (0, shape.query_width());
        return Tensor::zeros(size, DType::F32, queries_keys_values.device());
    }
    Tensor::cat(&documents, 0)
}

fn document(rows: &Tensor, shape: AttentionShape, rotary: &Rotary) -> Result<Tensor> {
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
    let queries = rotated(&part(0, heads)?, rotary)?;
    let keys = repeated(rotated(&part(heads, key_value_heads)?, rotary)?)?;
    let values = repeated(part(heads + key_value_heads, key_value_heads)?)?;
    let hidden: Vec<f32> = (0..tokens)
        .flat_map(|i| (0..tokens).map(move |j| if j <= i { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    let hidden = Tensor::from_vec(hidden, (tokens, tokens), rows.device())?;
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

/// `x * cos + rotate_half(x) * sin` for `[heads, tokens, head_dim]`, as Hugging Face's Llama has it.
fn rotated(x: &Tensor, rotary: &Rotary) -> Result<Tensor> {
    let (_, tokens, head_dim) = x.dims3()?;
    let half = head_dim / 2;
    let table = |sines: bool| {
        let rows = (0..tokens).flat_map(|position| {
            let (cosine, sine) = rotary.row(position);
            if sines { sine } else { cosine }.repeat(2)
        });
        Tensor::from_vec(rows.collect::<Vec<f32>>(), (tokens, head_dim), x.device())
    };
    let (low, high) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
    let turned = Tensor::cat(&[&high.neg()?, &low], 2)?;
    x.broadcast_mul(&table(false)?)? + turned.broadcast_mul(&table(true)?)?
}

/// `x * mask` with a constant mask, made by the kernel that draws it.
pub(super) fn masked(x: &Tensor, mask: Vec<f32>) -> Result<Tensor> {
    x * Tensor::from_vec(mask, x.shape(), x.device())?
}
