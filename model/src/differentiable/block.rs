//! A transformer block, both ways on plain rows.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{Error, Result, Tensor, bail};

use super::access::{Values, read};
use super::dropout::Dropout;
use super::gradients::add;
use super::layers::{Kept, Layer};
use super::linear::Weight;
use super::{Attention, Gradients, rms_norm, swiglu};
use crate::Precision;
use crate::kernels::document_attention::Attended;
use crate::kernels::product::Arithmetic;

/// The weights of a pre-norm block with grouped-query attention and a gated feed-forward, as Llama has it.
#[derive(Clone, Debug)]
pub struct BlockWeights {
    /// `[width]`.
    pub attention_norm: Tensor,
    /// `[queries + keys + values, width]`.
    pub queries_keys_values: Tensor,
    /// `[width, queries]`.
    pub attention_out: Tensor,
    /// `[width]`.
    pub feed_forward_norm: Tensor,
    /// `[gates + ups, width]`.
    pub gate_up: Tensor,
    /// `[width, gates]`.
    pub down: Tensor,
}

/// Dropout of both branches; each draws from a seed of its own.
#[derive(Clone, Copy, Debug)]
pub struct BlockDropout {
    /// See [`super::dropout`].
    pub share: f32,
    /// Of the attention's branch and of the feed-forward's.
    pub seeds: [u64; 2],
}

/// A block over one packing of documents: `x + attention(norm(x))`, and to that its own feed-forward of its norm.
///
/// For the way back it keeps queries, keys and values, what attention gave, the middle of the residual stream, and gates
/// and ups (the widest; rounded to bfloat16 where products are, as `PyTorch`'s autocast has it). Normalised rows and the
/// feed-forward's inside are computed again by the passes that go over their rows anyway.
pub struct TransformerBlock {
    weights: BlockWeights,
    epsilon: f32,
    arithmetic: Arithmetic,
    /// Keep half the bits of gates and ups.
    half: bool,
    attention: Attention,
    dropout: Option<BlockDropout>,
    gradients: Arc<Gradients>,
}

impl TransformerBlock {
    /// Gradients of those weights that `gradients` wants go there. Products are computed in `precision`.
    pub fn new(
        weights: BlockWeights,
        epsilon: f32,
        precision: Precision,
        attention: Attention,
        gradients: Arc<Gradients>,
    ) -> Result<Self> {
        let arithmetic = precision.arithmetic().map_err(Error::wrap)?;
        let shape = attention.shape();
        let width = weights.attention_norm.dims1()?;
        let inner = weights.down.dim(1)?;
        for (name, weight, expected) in [
            (
                "queries-keys-values",
                &weights.queries_keys_values,
                [shape.columns(), width],
            ),
            (
                "attention-out",
                &weights.attention_out,
                [width, shape.query_width()],
            ),
            ("gate-up", &weights.gate_up, [2 * inner, width]),
            ("down", &weights.down, [width, inner]),
        ] {
            if weight.dims() != expected {
                bail!(
                    "transformer block: {name} of {:?}, expected {expected:?}",
                    weight.dims()
                );
            }
        }
        if weights.feed_forward_norm.dims() != [width] {
            bail!("transformer block: two norms of different widths");
        }
        Ok(Self {
            weights,
            epsilon,
            arithmetic,
            half: arithmetic == Arithmetic::Bf16,
            attention,
            dropout: None,
            gradients,
        })
    }

    /// With dropout in both branches.
    #[must_use]
    pub fn with_dropout(mut self, dropout: Option<BlockDropout>) -> Self {
        self.dropout = dropout.filter(|dropout| dropout.share > 0.0);
        self
    }

    fn weight<'a>(&self, tensor: &'a Tensor) -> Result<Weight<'a>> {
        Weight::new(self.arithmetic, tensor)
    }

    /// `x` with some of its numbers dropped; `branch` counts from 0.
    fn dropped<'a>(&self, x: &'a [f32], branch: usize) -> Cow<'a, [f32]> {
        self.dropout.map_or(Cow::Borrowed(x), |dropout| {
            let dropout = Dropout {
                share: dropout.share,
                seed: dropout.seeds[branch],
            };
            let rows = self.attention.tokens().max(1);
            Cow::Owned(dropout.masked(x, rows, x.len() / rows))
        })
    }

    /// `x + dropout(rows weight^T)`.
    fn add_branch(
        &self,
        x: &[f32],
        rows: &[f32],
        weight: &Tensor,
        branch: usize,
    ) -> Result<Vec<f32>> {
        let weight = self.weight(weight)?;
        if self.dropout.is_none() {
            return Ok(weight.multiply(rows, Some(x)));
        }
        let mut y = self
            .dropped(&weight.multiply(rows, None), branch)
            .into_owned();
        add(&mut y, x);
        Ok(y)
    }

    fn norm(&self, x: &[f32], weight: &Values<'_>) -> Vec<f32> {
        rms_norm::forward(x, weight, self.epsilon)
    }

    /// Turns the gradient of the block's result into that of the middle of the residual stream.
    fn feed_forward_backward(&self, middle: &[f32], gate_up: &Kept, dy: &mut [f32]) -> Result<()> {
        let weights = &self.weights;
        let down = self.weight(&weights.down)?;
        let dgate_up = {
            let dbranch = self.dropped(dy, 1);
            let dactivated = down.input_gradient(&dbranch);
            let (dgate_up, activated) =
                swiglu::backward(gate_up, weights.down.dim(1)?, &dactivated);
            down.add_gradient(&dbranch, &activated, &self.gradients);
            dgate_up
        };
        let gate_up = self.weight(&weights.gate_up)?;
        self.norm_backward(middle, &weights.feed_forward_norm, &gate_up, &dgate_up, dy)
    }

    /// Turns the gradient of the middle of the residual stream into that of the block's input.
    fn attention_backward(&self, x: &[f32], kept: [Kept; 3], dy: &mut [f32]) -> Result<()> {
        let [
            Kept::Full(queries_keys_values),
            Kept::Full(attended),
            Kept::Full(log_sum_exps),
        ] = kept
        else {
            bail!("transformer block: it keeps attention in full")
        };
        let out = self.weight(&self.weights.attention_out)?;
        let dqueries_keys_values = {
            let dbranch = self.dropped(dy, 0);
            out.add_gradient(&dbranch, &attended, &self.gradients);
            let dattended = out.input_gradient(&dbranch);
            let attended = Attended {
                out: &attended,
                log_sum_exps: &log_sum_exps,
            };
            let kernel = self.attention.kernel();
            kernel.backward(&queries_keys_values, &attended, &dattended)
        };
        let weight = self.weight(&self.weights.queries_keys_values)?;
        let norm = &self.weights.attention_norm;
        self.norm_backward(x, norm, &weight, &dqueries_keys_values, dy)
    }

    /// Through `weight · norm(x)`, whose result has the gradient `dout`: adds the gradient of `x` to `dx`.
    fn norm_backward(
        &self,
        x: &[f32],
        norm: &Tensor,
        weight: &Weight<'_>,
        dout: &[f32],
        dx: &mut [f32],
    ) -> Result<()> {
        let mut rows = weight.input_gradient(dout);
        let dnorm = rms_norm::backward(x, &read(norm)?, self.epsilon, &mut rows, dx);
        self.gradients.add(norm, dnorm);
        weight.add_gradient(dout, &rows, &self.gradients);
        Ok(())
    }
}

impl Layer for TransformerBlock {
    fn forward(&self, x: &[f32]) -> Result<(Vec<f32>, Vec<Kept>)> {
        let weights = &self.weights;
        let norm = read(&weights.attention_norm)?;
        if x.len() != self.attention.tokens() * norm.len() {
            bail!(
                "transformer block: {} numbers for {} rows of {}",
                x.len(),
                self.attention.tokens(),
                norm.len()
            );
        }
        let queries_keys_values = self
            .weight(&weights.queries_keys_values)?
            .multiply(&self.norm(x, &norm), None);
        let (attended, log_sum_exps) = self.attention.kernel().forward(&queries_keys_values);
        let middle = self.add_branch(x, &attended, &weights.attention_out, 0)?;
        let normal = self.norm(&middle, &read(&weights.feed_forward_norm)?);
        let gate_up = self.weight(&weights.gate_up)?.multiply(&normal, None);
        let inner = weights.down.dim(1)?;
        let (activated, gate_up) = swiglu::forward_keeping(gate_up, inner, self.half);
        let y = self.add_branch(&middle, &activated, &weights.down, 1)?;
        let kept = vec![
            Kept::Full(queries_keys_values),
            Kept::Full(attended),
            Kept::Full(log_sum_exps),
            Kept::Full(middle),
            gate_up,
        ];
        Ok((y, kept))
    }

    fn backward(&self, x: &[f32], kept: Vec<Kept>, mut dy: Vec<f32>) -> Result<Vec<f32>> {
        let Ok(
            [
                queries_keys_values,
                attended,
                log_sum_exps,
                Kept::Full(middle),
                gate_up,
            ],
        ) = <[Kept; 5]>::try_from(kept)
        else {
            bail!("transformer block: what was kept is of something else")
        };
        self.feed_forward_backward(&middle, &gate_up, &mut dy)?;
        drop((middle, gate_up));
        let kept = [queries_keys_values, attended, log_sum_exps];
        self.attention_backward(x, kept, &mut dy)?;
        Ok(dy)
    }

    fn learns(&self) -> bool {
        let weights = &self.weights;
        [
            &weights.attention_norm,
            &weights.queries_keys_values,
            &weights.attention_out,
            &weights.feed_forward_norm,
            &weights.gate_up,
            &weights.down,
        ]
        .into_iter()
        .any(|weight| self.gradients.wants(weight))
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
