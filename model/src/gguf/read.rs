//! The reader: an open file as a configuration and a source of weights.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::ggml_file::qtensor_from_ggml;

use super::header::{self, Header, TensorInfo};
use super::rotary::{RowOrder, reorder_rows};
use super::value::MetadataValue;
use super::{kind, names};
use crate::ModelError;
use crate::block_tensor::{BLOCK, BlockTensor};
use crate::config::ModelConfig;
use crate::mapped_file::MappedFile;
use crate::weights::{WeightSource, WeightTensor};

/// An open GGUF file: metadata in memory, weights mapped.
#[derive(Debug)]
pub struct GgufFile {
    bytes: MappedFile,
    metadata: BTreeMap<String, MetadataValue>,
    tensors: HashMap<String, TensorInfo>,
    /// Heads of the query and of the key projection, for the row order; zero where the file is of another family.
    query_heads: usize,
    key_value_heads: usize,
}

impl GgufFile {
    /// Opens and checks the file at `path`: metadata is read, and every tensor is known to lie inside the file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::parse(MappedFile::open(path)?)
    }

    /// The same for bytes in memory; `name` stands for the path in messages.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, ModelError> {
        Self::parse(MappedFile::from_bytes(bytes, name)?)
    }

    fn parse(bytes: MappedFile) -> Result<Self, ModelError> {
        let Header { metadata, tensors } = header::read(bytes.path(), &bytes)?;
        let mut file = Self {
            metadata,
            tensors,
            query_heads: 0,
            key_value_heads: 0,
            bytes,
        };
        if file.architecture()? == "llama" {
            let config = file.config()?;
            file.query_heads = config.heads;
            file.key_value_heads = config.key_value_heads;
        }
        Ok(file)
    }

    /// The file's path, or the name that it was given.
    pub fn path(&self) -> &Path {
        self.bytes.path()
    }

    /// Every metadata entry.
    pub fn metadata(&self) -> &BTreeMap<String, MetadataValue> {
        &self.metadata
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> Result<&str, ModelError> {
        self.text("general.architecture")
    }

    /// `general.license`, an SPDX-like identifier in lower case.
    pub fn license(&self) -> Option<String> {
        self.optional_text("general.license").map(str::to_owned)
    }

    /// `general.name`.
    pub fn name(&self) -> Option<&str> {
        self.optional_text("general.name")
    }

    /// `tokenizer.chat_template`.
    pub fn chat_template(&self) -> Option<&str> {
        self.optional_text("tokenizer.chat_template")
    }

    /// Where and how the tensor with this Hugging Face name is stored.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(&names::to_gguf(name)?)
    }

    /// The shape of the decoder in this file.
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        let architecture = self.architecture()?;
        if architecture != "llama" {
            return Err(ModelError::Architecture {
                path: self.path().to_owned(),
                architecture: architecture.to_owned(),
            });
        }
        self.refuse_unsupported()?;
        let heads = self.integer("llama.attention.head_count")?;
        let width = self.integer("llama.embedding_length")?;
        let embeddings = self.required_tensor("model.embed_tokens.weight")?;
        let default_head_dim = width.checked_div(heads).unwrap_or(0);
        let config = ModelConfig {
            // The table itself, since `llama.vocab_size` is optional.
            vocab_size: embeddings.shape.first().copied().unwrap_or(0),
            width,
            layers: self.integer("llama.block_count")?,
            heads,
            key_value_heads: self
                .optional_integer("llama.attention.head_count_kv")?
                .unwrap_or(heads),
            head_dim: self
                .optional_integer("llama.attention.key_length")?
                .unwrap_or(default_head_dim),
            feed_forward: self.integer("llama.feed_forward_length")?,
            context_length: self.integer("llama.context_length")?,
            rope_base: self
                .optional_float("llama.rope.freq_base")?
                .unwrap_or(10_000.0),
            rms_norm_epsilon: self.float("llama.attention.layer_norm_rms_epsilon")?,
            tied_embeddings: self.tensor("lm_head.weight").is_none(),
        };
        config.validate()?;
        if let Some(rotated) = self.optional_integer("llama.rope.dimension_count")?
            && rotated != config.head_dim
        {
            return Err(self.unsupported(format!(
                "a rotary embedding of {rotated} of {} channels",
                config.head_dim
            )));
        }
        Ok(config)
    }

    /// Checks that every tensor that `config` calls for is there with the right dimensions.
    pub fn check_tensors(&self, config: &ModelConfig) -> Result<(), ModelError> {
        for (name, expected) in config.weight_names() {
            let found = &self.required_tensor(&name)?.shape;
            if *found != expected {
                return Err(ModelError::TensorShape {
                    path: self.path().to_owned(),
                    name,
                    expected,
                    found: found.clone(),
                });
            }
        }
        Ok(())
    }

    /// Refuses what would decode to nonsense if it were ignored.
    fn refuse_unsupported(&self) -> Result<(), ModelError> {
        let scaling = self
            .optional_text("llama.rope.scaling.type")
            .unwrap_or("none");
        if scaling != "none" {
            return Err(self.unsupported(format!("rotary scaling of the type `{scaling}`")));
        }
        if self.optional_integer("llama.expert_count")?.unwrap_or(0) > 0 {
            return Err(self.unsupported("a mixture of experts"));
        }
        let key_length = self.optional_integer("llama.attention.key_length")?;
        let value_length = self.optional_integer("llama.attention.value_length")?;
        if value_length.is_some() && value_length != key_length {
            return Err(self.unsupported("values of another length than keys"));
        }
        for tensor in [
            "rope_freqs.weight",
            "blk.0.attn_q.bias",
            "blk.0.ffn_up.bias",
        ] {
            if self.tensors.contains_key(tensor) {
                return Err(self.unsupported(format!("the tensor `{tensor}`")));
            }
        }
        Ok(())
    }

    fn unsupported(&self, feature: impl Into<String>) -> ModelError {
        ModelError::Unsupported {
            path: self.path().to_owned(),
            feature: feature.into(),
        }
    }

    fn required_tensor(&self, name: &str) -> Result<&TensorInfo, ModelError> {
        self.tensor(name).ok_or_else(|| ModelError::MissingTensor {
            path: self.path().to_owned(),
            name: name.to_owned(),
        })
    }

    /// Dequantises a tensor in the row order of the file.
    fn dequantise(&self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, ModelError> {
        let bytes = &self.bytes[info.start..info.start + info.length];
        let wrap = |source| ModelError::Tensor {
            name: name.to_owned(),
            source,
        };
        qtensor_from_ggml(info.kind, bytes, info.shape.clone(), &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .and_then(|tensor| tensor.flatten_all()?.to_vec1())
            .map_err(wrap)
    }

    /// How many heads share out the rows of a tensor whose rows are reordered.
    fn rotated_heads(&self, name: &str, shape: &[usize]) -> Result<Option<usize>, ModelError> {
        let heads = if name.ends_with(".self_attn.q_proj.weight") {
            self.query_heads
        } else if name.ends_with(".self_attn.k_proj.weight") {
            self.key_value_heads
        } else {
            0
        };
        let &[rows, _] = shape else {
            return Ok(None);
        };
        if heads == 0 {
            return Ok(None);
        }
        if !rows.is_multiple_of(2 * heads) {
            return Err(ModelError::malformed(
                self.path(),
                format!(
                    "tensor `{name}` has {rows} rows, expected a multiple of {}",
                    2 * heads
                ),
            ));
        }
        Ok(Some(heads))
    }
}

/// Typed metadata.
impl GgufFile {
    pub(crate) fn wrong_value(&self, key: &str, expected: &'static str) -> ModelError {
        match self.metadata.get(key) {
            None => ModelError::MissingKey {
                path: self.path().to_owned(),
                key: key.to_owned(),
            },
            Some(value) => ModelError::WrongValue {
                path: self.path().to_owned(),
                key: key.to_owned(),
                expected,
                found: value.to_string(),
            },
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, ModelError> {
        self.optional_text(key)
            .ok_or_else(|| self.wrong_value(key, "text"))
    }

    fn optional_text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key)?.as_str()
    }

    pub(crate) fn integer(&self, key: &str) -> Result<usize, ModelError> {
        self.optional_integer(key)?
            .ok_or_else(|| self.wrong_value(key, "an integer"))
    }

    /// The integer at `key`, `None` where there is no such key, an error where it is something else.
    pub(crate) fn optional_integer(&self, key: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.metadata.get(key) else {
            return Ok(None);
        };
        match value.as_u64().map(usize::try_from) {
            Some(Ok(number)) => Ok(Some(number)),
            _ => Err(self.wrong_value(key, "an integer of zero or more")),
        }
    }

    fn float(&self, key: &str) -> Result<f32, ModelError> {
        self.optional_float(key)?
            .ok_or_else(|| self.wrong_value(key, "a number"))
    }

    fn optional_float(&self, key: &str) -> Result<Option<f32>, ModelError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f32() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong_value(key, "a number")),
            },
        }
    }
}

impl WeightSource for GgufFile {
    fn load(&self, name: &str) -> Result<WeightTensor, ModelError> {
        let info = self.required_tensor(name)?;
        let mut data = self.dequantise(name, info)?;
        if let (Some(heads), &[_, columns]) =
            (self.rotated_heads(name, &info.shape)?, &info.shape[..])
        {
            data = reorder_rows(&data, heads, columns, RowOrder::NeighboursToHalves);
        }
        Ok(WeightTensor {
            shape: info.shape.clone(),
            data,
        })
    }

    fn load_blocks(&self, name: &str) -> Result<Option<BlockTensor<'_>>, ModelError> {
        let info = self.required_tensor(name)?;
        let (Some(format), &[_, columns]) = (kind::block_format(info.kind), &info.shape[..]) else {
            return Ok(None);
        };
        let row_bytes = columns / BLOCK * format.block_bytes();
        let mut bytes = Cow::Borrowed(&self.bytes[info.start..info.start + info.length]);
        if let Some(heads) = self.rotated_heads(name, &info.shape)? {
            let order = RowOrder::NeighboursToHalves;
            bytes = Cow::Owned(reorder_rows(&bytes, heads, row_bytes, order));
        }
        Ok(Some(BlockTensor {
            shape: info.shape.clone(),
            format,
            bytes,
        }))
    }

    fn contains(&self, name: &str) -> bool {
        self.tensor(name).is_some()
    }
}
