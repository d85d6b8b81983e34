//! Rotary positions and causal attention inside documents, both ways.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::access::{matrix, read, values};
use super::composed;
pub use crate::kernels::document_attention::AttentionShape;
use crate::kernels::document_attention::{Attended, DocumentAttention};
pub use crate::kernels::rotary::Rotary;

/// Attention over one packing of documents: queries, keys and values come as one matrix, a row a token. Documents lie
/// one after another; a token sees its own document up to itself, and positions start at zero in each.
///
/// Rotary positions are in the rotate-half layout (arXiv 2104.09864, as Hugging Face's Llama has it): channel i turns
/// together with channel i + `head_dim` / 2.
#[derive(Clone, Debug)]
pub struct Attention {
    shape: AttentionShape,
    rotary: Arc<Rotary>,
    /// First row of each document, and the number of rows.
    offsets: Arc<[usize]>,
}

impl Attention {
    /// `offsets` holds the first row of each document in ascending order, from 0, and at its end the number of rows.
    pub fn new(shape: AttentionShape, rotary: Arc<Rotary>, offsets: Arc<[usize]>) -> Result<Self> {
        let longest = offsets
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .max();
        if offsets.first() != Some(&0) || !offsets.is_sorted() {
            bail!("attention: offsets should ascend from 0");
        }
        if shape.key_value_heads == 0 || !shape.heads.is_multiple_of(shape.key_value_heads) {
            bail!(
                "attention: {} heads over {} of keys",
                shape.heads,
                shape.key_value_heads
            );
        }
        if rotary.head_dim() != shape.head_dim
            || longest.is_some_and(|longest| longest > rotary.length())
        {
            bail!("attention: rotary tables are for shorter documents or other heads");
        }
        Ok(Self {
            shape,
            rotary,
            offsets,
        })
    }

    /// `[tokens, queries | keys | values]` to `[tokens, query width]`.
    pub fn forward(&self, queries_keys_values: &Tensor) -> Result<Tensor> {
        if !queries_keys_values.device().is_cpu() {
            return self.composed(queries_keys_values);
        }
        queries_keys_values.contiguous()?.apply_op1(AttentionOp {
            attention: self.clone(),
            log_sum_exps: Mutex::new(Vec::new()),
        })
    }

    /// The same out of candle's operations.
    pub(super) fn composed(&self, queries_keys_values: &Tensor) -> Result<Tensor> {
        composed::attention(queries_keys_values, self.shape, &self.rotary, &self.offsets)
    }

    pub(super) fn shape(&self) -> AttentionShape {
        self.shape
    }

    /// Rows that it is for.
    pub(super) fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    pub(super) fn kernel(&self) -> DocumentAttention<'_> {
        DocumentAttention {
            shape: self.shape,
            rotary: &self.rotary,
            offsets: &self.offsets,
        }
    }
}

/// One application, which keeps of its probabilities what the way back needs.
struct AttentionOp {
    attention: Attention,
    log_sum_exps: Mutex<Vec<f32>>,
}

impl CustomOp1 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = values(storage, layout)?;
        let (tokens, columns) = matrix(layout)?;
        let Attention { shape, offsets, .. } = &self.attention;
        if columns != shape.columns() || offsets.last() != Some(&tokens) {
            bail!("attention: a matrix of [{tokens}, {columns}] does not fit {shape:?}");
        }
        let (out, log_sum_exps) = self.attention.kernel().forward(input);
        if let Ok(mut kept) = self.log_sum_exps.lock() {
            *kept = log_sum_exps;
        }
        Ok((CpuStorage::F32(out), (tokens, shape.query_width()).into()))
    }

    fn bwd(&self, input: &Tensor, out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let Ok(log_sum_exps) = self.log_sum_exps.lock() else {
            bail!("attention: the way forward was not finished")
        };
        let dout = dout.contiguous()?;
        let attended = Attended {
            out: &read(out)?,
            log_sum_exps: &log_sum_exps,
        };
        let dinput = self
            .attention
            .kernel()
            .backward(&read(input)?, &attended, &read(&dout)?);
        Ok(Some(Tensor::from_vec(
            dinput,
            input.shape(),
            input.device(),
        )?))
    }
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
