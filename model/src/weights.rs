//! Named f32 tensors, wherever they come from.
//!
//! Names and layout are Hugging Face's for `LlamaForCausalLM` (`model.layers.0.self_attn.q_proj.weight`, rotate-half
//! rotary): readers of other formats translate on the way in, writers on the way out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{BlockTensor, ModelError};

/// A dense row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// Dimensions, outermost first; a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
    /// `shape` multiplied out, row-major.
    pub data: Vec<f32>,
}

/// Weights in memory, by Hugging Face name.
pub type WeightMap = BTreeMap<String, WeightTensor>;

/// Somewhere that weights can be read from one at a time, so that a large model is never held twice.
pub trait WeightSource {
    /// Reads and, where needed, dequantises one tensor by its Hugging Face name.
    fn load(&self, name: &str) -> Result<WeightTensor, ModelError>;
    /// Reads a matrix as it is stored, where that is in blocks; `None` where it is stored otherwise. [`Self::load`] gives
    /// the same weights.
    fn load_blocks(&self, name: &str) -> Result<Option<BlockTensor<'_>>, ModelError> {
        let _ = name;
        Ok(None)
    }
    /// Whether `name` is there.
    fn contains(&self, name: &str) -> bool;
}

/// Weights in memory; a name that is not there is an error.
impl WeightSource for WeightMap {
    fn load(&self, name: &str) -> Result<WeightTensor, ModelError> {
        self.get(name)
            .cloned()
            .ok_or_else(|| ModelError::MissingTensor {
                path: PathBuf::from("weights in memory"),
                name: name.to_owned(),
            })
    }

    fn contains(&self, name: &str) -> bool {
        self.contains_key(name)
    }
}
