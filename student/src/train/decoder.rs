//! The student as a differentiable function of its parameters.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};
use limbeck_model::differentiable::{
    Attention, AttentionShape, CapturedGradients, Rotary, dropout, head_loss, head_losses, linear,
    linear_add, recomputed, rms_norm, select_rows, swiglu,
};
use limbeck_model::{ModelConfig, Precision};

use super::TrainError;
use super::batch::Batch;
use super::parameters::{EMBEDDINGS, Parameters};

/// A Llama-shaped decoder over packed documents.
#[derive(Debug)]
pub(super) struct StudentDecoder {
    embeddings: Var,
    blocks: Vec<Block>,
    norm: Var,
    /// The embedding table itself where they are tied.
    head: Var,
    shape: AttentionShape,
    rotary: Arc<Rotary>,
    epsilon: f32,
    /// Of all products.
    precision: Precision,
    /// Where gradients of recomputed blocks go; `None` where activations are kept.
    captured: Option<Arc<CapturedGradients>>,
}

/// One transformer block.
#[derive(Clone, Debug)]
struct Block {
    attention_norm: Var,
    queries_keys_values: Var,
    attention_out: Var,
    feed_forward_norm: Var,
    gate_up: Var,
    down: Var,
}

/// Dropout of one pass; each place it is applied at draws from a seed of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropout {
    pub share: f32,
    pub seed: u64,
}

impl Dropout {
    /// For the given pass of a step: other places are dropped in each, and the first is the step itself.
    pub fn of_pass(self, pass: u64) -> Self {
        Self {
            seed: self.seed ^ pass << 40,
            ..self
        }
    }
}

impl StudentDecoder {
    pub fn new(
        config: &ModelConfig,
        parameters: &Parameters,
        precision: Precision,
    ) -> std::result::Result<Self, TrainError> {
        let embeddings = parameters.variable(EMBEDDINGS)?;
        let head = if config.tied_embeddings {
            embeddings.clone()
        } else {
            parameters.variable("lm_head.weight")?
        };
        Ok(Self {
            embeddings,
            blocks: (0..config.layers)
                .map(|layer| Block::new(parameters, layer))
                .collect::<std::result::Result<_, _>>()?,
            norm: parameters.variable("model.norm.weight")?,
            head,
            shape: AttentionShape {
                heads: config.heads,
                key_value_heads: config.key_value_heads,
                head_dim: config.head_dim,
            },
            rotary: Arc::new(Rotary::new(
                config.head_dim,
                config.context_length,
                config.rope_base,
            )),
            epsilon: config.rms_norm_epsilon,
            precision,
            captured: None,
        })
    }

    /// Whether the activations of blocks are computed again on the way back rather than kept.
    pub fn with_recompute(mut self, recompute: bool) -> Self {
        self.captured = recompute.then(Arc::default);
        self
    }

    /// The gradients of all parameters, from a loss of [`Self::loss`].
    pub fn backward(&self, loss: &Tensor) -> Result<GradStore> {
        let mut gradients = loss.backward()?;
        if let Some(captured) = &self.captured {
            captured.move_into(&mut gradients)?;
        }
        Ok(gradients)
    }

    /// The loss of a batch, a scalar; [`Self::backward`] of it may run once.
    pub fn loss(&self, batch: Batch, dropout: Option<Dropout>) -> Result<Tensor> {
        let hidden = self.hidden(&batch, dropout)?;
        head_loss(&hidden, &self.head, batch.targets, self.precision)
    }

    /// The loss of every supervised place of a batch.
    pub fn losses(&self, batch: &Batch) -> Result<Vec<f64>> {
        let hidden = self.hidden(batch, None)?;
        head_losses(&hidden, &self.head, &batch.targets, self.precision)
    }

    /// What the head reads: normalised states of the supervised places, `[rows, width]`.
    fn hidden(&self, batch: &Batch, dropout: Option<Dropout>) -> Result<Tensor> {
        let attention = Attention::new(
            self.shape,
            Arc::clone(&self.rotary),
            Arc::clone(&batch.offsets),
        )?;
        let mut x = drop(&select_rows(&self.embeddings, &batch.ids)?, dropout, 0)?;
        for (layer, block) in (0..).zip(&self.blocks) {
            let settings = (self.epsilon, self.precision);
            x = match &self.captured {
                None => block.forward(&x, &attention, settings, dropout, layer)?,
                Some(captured) => {
                    let (block, attention) = (block.clone(), attention.clone());
                    recomputed(&x, captured, move |x| {
                        block.forward(x, &attention, settings, dropout, layer)
                    })?
                }
            };
        }
        rms_norm(&select_rows(&x, &batch.rows)?, &self.norm, self.epsilon)
    }
}

impl Block {
    fn new(parameters: &Parameters, layer: usize) -> std::result::Result<Self, TrainError> {
        let variable =
            |part: &str| parameters.variable(&format!("model.layers.{layer}.{part}.weight"));
        Ok(Self {
            attention_norm: variable("input_layernorm")?,
            queries_keys_values: variable("self_attn.qkv_proj")?,
            attention_out: variable("self_attn.o_proj")?,
            feed_forward_norm: variable("post_attention_layernorm")?,
            gate_up: variable("mlp.gate_up_proj")?,
            down: variable("mlp.down_proj")?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        attention: &Attention,
        (epsilon, precision): (f32, Precision),
        dropout: Option<Dropout>,
        layer: u64,
    ) -> Result<Tensor> {
        let normal = rms_norm(x, &self.attention_norm, epsilon)?;
        let projected = linear(&normal, &self.queries_keys_values, precision)?;
        let attended = attention.forward(&projected)?;
        let places = (2 * layer + 1, 2 * layer + 2);
        // `x + dropout(branch weight^T)`.
        let add = |x: &Tensor, branch: &Tensor, weight: &Var, place: u64| match dropout {
            None => linear_add(x, branch, weight, precision),
            Some(_) => x + drop(&linear(branch, weight, precision)?, dropout, place)?,
        };
        let x = add(x, &attended, &self.attention_out, places.0)?;
        let normal = rms_norm(&x, &self.feed_forward_norm, epsilon)?;
        let activated = swiglu(&linear(&normal, &self.gate_up, precision)?)?;
        add(&x, &activated, &self.down, places.1)
    }
}

fn drop(x: &Tensor, settings: Option<Dropout>, place: u64) -> Result<Tensor> {
    match settings {
        None => Ok(x.clone()),
        // Seeds of neighbouring places and steps differ in their high bits, too, after the odd factor.
        Some(Dropout { share, seed }) => dropout(
            x,
            share,
            (seed << 16 | place).wrapping_mul(0xD134_2543_DE82_EF95),
        ),
    }
}
