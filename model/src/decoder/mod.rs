//! The forward pass of a Llama-shaped model on the CPU, for many sequences at a time.
//!
//! - [`cache`]: keys and values of what was read, with prefixes that requests share
//! - [`attention`]: how the queries of a pass are spread over tasks
//! - [`forward`]: one pass over any mixture of prompts and single tokens
//! - [`score`]: whole-sequence questions: logits, log-probabilities, prefixes

mod attention;
mod cache;
mod error;
mod forward;
mod score;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;

pub use cache::Prefix;
pub(crate) use cache::{CacheShape, KeyValueCache};
pub use error::DecodeError;
pub(crate) use forward::{Chunk, Outputs, Workspace};

use crate::kernels::matrix::Matrix;
use crate::kernels::quantised;
use crate::{ModelConfig, ModelError, Precision, WeightSource};

/// Rows of one forward pass, at most, where the caller has more to read than that. Weights are streamed from memory
/// once a pass, so a few hundred rows hide that; more only takes memory.
pub(crate) const PASS_ROWS: usize = 512;

/// One transformer block.
struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys and values of all heads: one product instead of three.
    query_key_value: Matrix,
    output: Matrix,
    feed_forward_norm: Vec<f32>,
    /// Gate and up projection, one below the other.
    gate_up: Matrix,
    down: Matrix,
}

/// A model ready to answer. Immutable: threads may share it.
pub struct Decoder {
    config: ModelConfig,
    precision: Precision,
    embedding: Matrix,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    /// `None` where the embedding table is the head.
    head: Option<Matrix>,
}

impl Decoder {
    /// Reads and packs the weights of a model, one tensor at a time.
    ///
    /// # Errors
    /// The configuration must be valid, every tensor there and of its shape, and the precision supported here.
    pub fn load(
        config: &ModelConfig,
        weights: &dyn WeightSource,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        let loader = Loader::new(weights, precision)?;
        let width = config.width;
        let layers = (0..config.layers)
            .map(|index| loader.layer(config, index))
            .collect::<Result<_, _>>()?;
        let head = if config.tied_embeddings {
            None
        } else {
            Some(loader.matrix(&[("lm_head.weight".into(), config.vocab_size)], width)?)
        };
        let mut decoder = Self {
            config: config.clone(),
            precision: loader.panels,
            embedding: loader.matrix(
                &[("model.embed_tokens.weight".into(), config.vocab_size)],
                width,
            )?,
            layers,
            final_norm: loader.vector("model.norm.weight", width)?,
            head,
        };
        if decoder.matrices().any(Matrix::is_quantised) {
            decoder.precision = Precision::Integer;
        }
        Ok(decoder)
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|layer| {
            [
                &layer.query_key_value,
                &layer.output,
                &layer.gate_up,
                &layer.down,
            ]
        });
        layers.chain([&self.embedding]).chain(&self.head)
    }

    /// The precision in use, never [`Precision::Auto`]; [`Precision::Integer`] if any matrix is taken in blocks.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The widest instructions that products use, for reports.
    pub fn instruction_set(&self) -> &'static str {
        self.precision.instruction_set()
    }

    pub(crate) fn cache_shape(&self) -> CacheShape {
        CacheShape::new(&self.config)
    }

    /// Refuses ids beyond the vocabulary.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<(), DecodeError> {
        let vocab_size = self.config.vocab_size;
        match tokens.iter().find(|id| **id as usize >= vocab_size) {
            Some(&id) => Err(DecodeError::TokenOutOfRange { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// Refuses sequences beyond the context.
    pub(crate) fn check_length(&self, tokens: usize) -> Result<(), DecodeError> {
        let context_length = self.config.context_length;
        if tokens > context_length {
            return Err(DecodeError::TooLong {
                tokens,
                context_length,
            });
        }
        Ok(())
    }
}

/// Reads weights into the layout of the chosen precision.
struct Loader<'a> {
    weights: &'a dyn WeightSource,
    /// Whether matrices are taken in blocks where they are stored so.
    blocks: bool,
    /// What the others are multiplied in: [`Precision::F32`] or [`Precision::Bf16`].
    panels: Precision,
}

impl<'a> Loader<'a> {
    fn new(weights: &'a dyn WeightSource, precision: Precision) -> Result<Self, ModelError> {
        let panels = match precision {
            Precision::Integer => Precision::Auto.resolve()?,
            other => other.resolve()?,
        };
        let blocks = match precision {
            Precision::Integer => true,
            Precision::Auto => panels == Precision::F32 && quantised::is_fast(),
            Precision::F32 | Precision::Bf16 => false,
        };
        Ok(Self {
            weights,
            blocks,
            panels,
        })
    }

    fn layer(&self, config: &ModelConfig, index: usize) -> Result<Layer, ModelError> {
        let name = |part: &str| format!("model.layers.{index}.{part}.weight");
        let (width, inner) = (config.width, config.feed_forward);
        let (query, key) = (
            config.heads * config.head_dim,
            config.key_value_heads * config.head_dim,
        );
        Ok(Layer {
            attention_norm: self.vector(&name("input_layernorm"), width)?,
            query_key_value: self.matrix(
                &[
                    (name("self_attn.q_proj"), query),
                    (name("self_attn.k_proj"), key),
                    (name("self_attn.v_proj"), key),
                ],
                width,
            )?,
            output: self.matrix(&[(name("self_attn.o_proj"), width)], query)?,
            feed_forward_norm: self.vector(&name("post_attention_layernorm"), width)?,
            gate_up: self.matrix(
                &[(name("mlp.gate_proj"), inner), (name("mlp.up_proj"), inner)],
                width,
            )?,
            down: self.matrix(&[(name("mlp.down_proj"), width)], inner)?,
        })
    }

    /// Matrices of `inputs` columns, stacked: names with their numbers of rows.
    fn matrix(&self, parts: &[(String, usize)], inputs: usize) -> Result<Matrix, ModelError> {
        if self.blocks
            && let Some(matrix) = self.quantised(parts, inputs)?
        {
            return Ok(matrix);
        }
        let mut stacked = Vec::new();
        for (name, outputs) in parts {
            let data = self.tensor(name, &[*outputs, inputs])?;
            if stacked.is_empty() {
                stacked = data;
            } else {
                stacked.extend(data);
            }
        }
        let outputs = parts.iter().map(|(_, outputs)| outputs).sum();
        Ok(match self.panels {
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => Matrix::bf16(&stacked, outputs, inputs),
            _ => Matrix::f32(&stacked, outputs, inputs),
        })
    }

    /// The same without dequantising; `None` where not all parts are stored in blocks.
    fn quantised(
        &self,
        parts: &[(String, usize)],
        inputs: usize,
    ) -> Result<Option<Matrix>, ModelError> {
        let mut tensors = Vec::with_capacity(parts.len());
        for (name, outputs) in parts {
            let Some(tensor) = self.weights.load_blocks(name)? else {
                return Ok(None);
            };
            if tensor.shape != [*outputs, inputs] {
                let found = tensor.shape;
                return Err(DecodeError::WeightShape {
                    name: name.into(),
                    values: found.iter().product(),
                    found,
                    expected: vec![*outputs, inputs],
                }
                .into());
            }
            tensors.push(tensor);
        }
        Ok(Some(Matrix::quantised(&tensors, inputs)))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        self.tensor(name, &[length])
    }

    fn tensor(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.weights.load(name)?;
        if tensor.shape != expected || tensor.data.len() != expected.iter().product::<usize>() {
            let (found, values) = (tensor.shape, tensor.data.len());
            return Err(DecodeError::WeightShape {
                name: name.into(),
                found,
                values,
                expected: expected.into(),
            }
            .into());
        }
        Ok(tensor.data)
    }
}
