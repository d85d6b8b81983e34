//! The student as a differentiable function of its parameters.

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};
use limbeck_model::differentiable::{
    Attention, AttentionShape, BlockDropout, BlockWeights, Gradients, Retention, Rotary,
    TransformerBlock, composed, dropout, embed, head_loss, head_losses, layers, rms_norm,
    select_rows,
};
use limbeck_model::{ModelConfig, Precision};

use super::TrainError;
use super::batch::Batch;
use super::parameters::{EMBEDDINGS, HEAD, Parameters};

/// A Llama-shaped decoder over packed documents.
#[derive(Debug)]
pub(super) struct StudentDecoder {
    embeddings: Var,
    blocks: Vec<BlockWeights>,
    norm: Var,
    /// The embedding table itself where they are tied.
    head: Var,
    shape: AttentionShape,
    rotary: Arc<Rotary>,
    epsilon: f32,
    /// Of all products.
    precision: Precision,
    /// What is kept of blocks for the way back.
    retention: Retention,
    /// Computed by candle's operations: the fused ones know the processor only.
    composed: bool,
    /// Of all parameters that are not frozen.
    gradients: Arc<Gradients>,
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

    fn of_block(self, layer: u64) -> BlockDropout {
        BlockDropout {
            share: self.share,
            seeds: [2 * layer + 1, 2 * layer + 2].map(|place| self.seed_of(place)),
        }
    }

    /// Seeds of neighbouring places and steps differ in their high bits, too, after the odd factor.
    fn seed_of(self, place: u64) -> u64 {
        (self.seed << 16 | place).wrapping_mul(0xD134_2543_DE82_EF95)
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
            parameters.variable(HEAD)?
        };
        Ok(Self {
            embeddings,
            blocks: (0..config.layers)
                .map(|layer| block(parameters, layer))
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
            retention: Retention::Activations,
            composed: !parameters.0[0].variable.device().is_cpu(),
            gradients: Arc::new(Gradients::new(parameters.trained().map(|p| &p.variable))),
        })
    }

    /// Whether the activations of blocks are computed again on the way back rather than kept.
    pub fn with_recompute(mut self, recompute: bool) -> Self {
        self.retention = if recompute {
            Retention::Inputs
        } else {
            Retention::Activations
        };
        self
    }

    /// Computed as on devices that the kernels do not know.
    #[cfg(test)]
    pub fn with_composed_forms(mut self) -> Self {
        self.composed = true;
        self
    }

    /// Adds the gradients of all parameters that are not frozen to [`Self::gradients`], from a loss of [`Self::loss`].
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        self.gradients.absorb(&loss.backward()?)
    }

    /// What [`Self::backward`] found.
    pub fn gradients(&self) -> &Gradients {
        &self.gradients
    }

    /// The loss of a batch, a scalar; [`Self::backward`] of it may run once.
    pub fn loss(&self, batch: Batch, dropout: Option<Dropout>) -> Result<Tensor> {
        let hidden = self.hidden(&batch, dropout, self.retention)?;
        let (head, gradients) = (&self.head, &self.gradients);
        if self.composed {
            let head = self.learning(head);
            return composed::head_losses(&hidden, &head, &batch.targets)?.sum_all();
        }
        head_loss(&hidden, head, batch.targets, self.precision, gradients)
    }

    /// The loss of every supervised place of a batch.
    pub fn losses(&self, batch: &Batch) -> Result<Vec<f64>> {
        let hidden = self.hidden(batch, None, Retention::Nothing)?;
        if self.composed {
            let losses = composed::head_losses(&hidden, &self.head.detach(), &batch.targets)?;
            let losses = losses.to_vec1::<f32>()?.into_iter().map(f64::from);
            return Ok(losses.collect());
        }
        head_losses(&hidden, &self.head, &batch.targets, self.precision)
    }

    /// What the head reads: normalised states of the supervised places, `[rows, width]`.
    fn hidden(
        &self,
        batch: &Batch,
        dropout: Option<Dropout>,
        retention: Retention,
    ) -> Result<Tensor> {
        let attention = Attention::new(
            self.shape,
            Arc::clone(&self.rotary),
            Arc::clone(&batch.offsets),
        )?;
        if self.composed {
            let learns = retention != Retention::Nothing;
            return self.composed_hidden(batch, dropout, &attention, learns);
        }
        let embedded = embed(&self.embeddings, &batch.ids, &self.gradients)?;
        let x = drop(&embedded, dropout, 0)?;
        let blocks = (0..).zip(&self.blocks).map(|(layer, weights)| {
            let (weights, attention) = (weights.clone(), attention.clone());
            let gradients = Arc::clone(&self.gradients);
            TransformerBlock::new(weights, self.epsilon, self.precision, attention, gradients)
                .map(|block| block.with_dropout(dropout.map(|dropout| dropout.of_block(layer))))
        });
        let x = layers(&x, blocks.collect::<Result<_>>()?, retention)?;
        rms_norm(&select_rows(&x, &batch.rows)?, &self.norm, self.epsilon)
    }

    /// The same where the kernels do not reach. Candle keeps whatever it needs for the way back, where there is one, and
    /// forms the gradients of frozen matrices as well, which are thrown away.
    fn composed_hidden(
        &self,
        batch: &Batch,
        dropout: Option<Dropout>,
        attention: &Attention,
        learns: bool,
    ) -> Result<Tensor> {
        let weight = |weight: &Tensor| {
            if learns {
                self.learning(weight)
            } else {
                weight.detach()
            }
        };
        let mut x = composed::select_rows(&weight(&self.embeddings), &batch.ids)?;
        if let Some(dropout) = dropout {
            x = composed::dropout(&x, dropout.share, dropout.seed_of(0))?;
        }
        for (layer, weights) in (0..).zip(&self.blocks) {
            let weights = BlockWeights {
                attention_norm: weight(&weights.attention_norm),
                queries_keys_values: weight(&weights.queries_keys_values),
                attention_out: weight(&weights.attention_out),
                feed_forward_norm: weight(&weights.feed_forward_norm),
                gate_up: weight(&weights.gate_up),
                down: weight(&weights.down),
            };
            let dropout = dropout.map(|dropout| dropout.of_block(layer));
            x = composed::block(&x, &weights, self.epsilon, attention, dropout)?;
        }
        let rows = composed::select_rows(&x, &batch.rows)?;
        composed::rms_norm(&rows, &weight(&self.norm), self.epsilon)
    }

    /// The weight, cut off from the graph where it is frozen.
    fn learning(&self, weight: &Tensor) -> Tensor {
        if self.gradients.wants(weight) {
            weight.clone()
        } else {
            weight.detach()
        }
    }
}

fn block(parameters: &Parameters, layer: usize) -> std::result::Result<BlockWeights, TrainError> {
    let variable = |part: &str| {
        parameters
            .variable(&format!("model.layers.{layer}.{part}.weight"))
            .map(Var::into_inner)
    };
    Ok(BlockWeights {
        attention_norm: variable("input_layernorm")?,
        queries_keys_values: variable("self_attn.qkv_proj")?,
        attention_out: variable("self_attn.o_proj")?,
        feed_forward_norm: variable("post_attention_layernorm")?,
        gate_up: variable("mlp.gate_up_proj")?,
        down: variable("mlp.down_proj")?,
    })
}

fn drop(x: &Tensor, settings: Option<Dropout>, place: u64) -> Result<Tensor> {
    match settings {
        None => Ok(x.clone()),
        Some(settings) => dropout(x, settings.share, settings.seed_of(place)),
    }
}
