//! The reader.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;

use super::cursor::Cursor;
use super::rotary::{RowOrder, reorder_rows};
use super::value::MetadataValue;
use super::{kind, names};
use crate::ModelError;
use crate::config::ModelConfig;
use crate::mapped_file::MappedFile;
use crate::weights::{WeightSource, WeightTensor};

/// `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: u32 = 4;
/// Where the data of tensors starts and how far apart they are, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

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

/// Where one tensor lies in the file and how it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Dimensions, outermost first (the file holds them the other way round).
    pub shape: Vec<usize>,
    /// How the elements are stored.
    pub kind: GgmlDType,
    /// First byte, from the start of the file.
    start: usize,
    /// Bytes.
    length: usize,
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
        let mut cursor = Cursor::new(bytes.path(), &bytes);
        check_magic(&mut cursor, &bytes)?;
        // Tensors are read one by one, so that their count reserves nothing. The smallest metadata entry is an empty
        // key, a type and one byte.
        let tensor_count = cursor.u64("the tensor count")?;
        let entry_count = cursor.count(8 + 4 + 1, "the metadata")?;
        let metadata = read_metadata(&mut cursor, entry_count)?;
        let alignment = alignment(bytes.path(), &metadata)?;
        let tensors = read_tensors(&mut cursor, tensor_count, alignment, bytes.len())?;
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
        let default_head_dim = if heads == 0 { 0 } else { width / heads };
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
    fn rotated_heads(&self, name: &str) -> Option<usize> {
        let heads = if name.ends_with(".self_attn.q_proj.weight") {
            self.query_heads
        } else if name.ends_with(".self_attn.k_proj.weight") {
            self.key_value_heads
        } else {
            0
        };
        (heads > 0).then_some(heads)
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
        if let (Some(heads), &[rows, columns]) = (self.rotated_heads(name), &info.shape[..]) {
            if !rows.is_multiple_of(2 * heads) {
                return Err(ModelError::malformed(
                    self.path(),
                    format!(
                        "tensor `{name}` has {rows} rows, expected a multiple of {}",
                        2 * heads
                    ),
                ));
            }
            data = reorder_rows(&data, heads, columns, RowOrder::NeighboursToHalves);
        }
        Ok(WeightTensor {
            shape: info.shape.clone(),
            data,
        })
    }

    fn contains(&self, name: &str) -> bool {
        self.tensor(name).is_some()
    }
}

fn check_magic(cursor: &mut Cursor<'_>, bytes: &[u8]) -> Result<(), ModelError> {
    let path = cursor.path();
    if !bytes.starts_with(b"GGUF") {
        return Err(ModelError::NotGguf {
            path: path.to_owned(),
            found: bytes[..bytes.len().min(4)].to_vec(),
        });
    }
    cursor.u32("the magic number")?;
    match cursor.u32("the version")? {
        2 | 3 => Ok(()),
        version => Err(ModelError::GgufVersion {
            path: path.to_owned(),
            version,
        }),
    }
}

fn read_metadata(
    cursor: &mut Cursor<'_>,
    count: usize,
) -> Result<BTreeMap<String, MetadataValue>, ModelError> {
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let key = cursor.string("a metadata key")?;
        let type_code = cursor.u32(&key)?;
        let value = cursor.value(type_code, &key)?;
        if metadata.contains_key(&key) {
            return Err(ModelError::malformed(
                cursor.path(),
                format!("the key `{key}` is there twice"),
            ));
        }
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn alignment(path: &Path, metadata: &BTreeMap<String, MetadataValue>) -> Result<u64, ModelError> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    // The format asks for a multiple of 8; so is every element of every block format aligned in the mapped file.
    match value.as_u64() {
        Some(alignment) if alignment.is_power_of_two() && (8..=1 << 20).contains(&alignment) => {
            Ok(alignment)
        }
        _ => Err(ModelError::WrongValue {
            path: path.to_owned(),
            key: "general.alignment".to_owned(),
            expected: "a power of two from 8 to 1048576",
            found: value.to_string(),
        }),
    }
}

fn read_tensors(
    cursor: &mut Cursor<'_>,
    count: u64,
    alignment: u64,
    file_length: usize,
) -> Result<HashMap<String, TensorInfo>, ModelError> {
    // `start` holds the offset into the data until the header's end, and so the data's start, is known.
    let mut tensors = HashMap::new();
    for _ in 0..count {
        let (name, info) = read_tensor(cursor, alignment)?;
        if tensors.insert(name.clone(), info).is_some() {
            return Err(ModelError::malformed(
                cursor.path(),
                format!("the tensor `{name}` is there twice"),
            ));
        }
    }
    let data_start = (cursor.position() as u64).next_multiple_of(alignment) as usize;
    for (name, info) in &mut tensors {
        let end = data_start
            .checked_add(info.start)
            .and_then(|start| start.checked_add(info.length));
        if end.is_none_or(|end| end > file_length) {
            return Err(ModelError::Truncated {
                path: cursor.path().to_owned(),
                what: format!("tensor `{name}`"),
                needed: (info.start as u64).saturating_add(info.length as u64),
                left: file_length.saturating_sub(data_start) as u64,
            });
        }
        info.start += data_start;
    }
    Ok(tensors)
}

fn read_tensor(
    cursor: &mut Cursor<'_>,
    alignment: u64,
) -> Result<(String, TensorInfo), ModelError> {
    let path = cursor.path();
    let name = cursor.string("a tensor name")?;
    let malformed =
        |reason: String| ModelError::malformed(path, format!("tensor `{name}` {reason}"));
    let dimensions = cursor.u32(&name)?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(malformed(format!(
            "has {dimensions} dimensions, expected 1 to 4"
        )));
    }
    let mut shape = Vec::with_capacity(dimensions as usize);
    let mut elements = 1_usize;
    for _ in 0..dimensions {
        let size = cursor.u64(&name)?;
        elements = usize::try_from(size)
            .ok()
            .and_then(|size| elements.checked_mul(size))
            .filter(|&elements| elements > 0)
            .ok_or_else(|| malformed(format!("has a dimension of {size}")))?;
        shape.push(size as usize);
    }
    let code = cursor.u32(&name)?;
    let kind = kind::from_code(code).ok_or_else(|| ModelError::Unsupported {
        path: path.to_owned(),
        feature: format!("tensor type {code} (of `{name}`)"),
    })?;
    // The file's first dimension is the row, and blocks never straddle rows.
    if !shape[0].is_multiple_of(kind.block_size()) {
        return Err(malformed(format!(
            "has rows of {}, expected a multiple of {} for {kind:?}",
            shape[0],
            kind.block_size()
        )));
    }
    shape.reverse();
    let offset = cursor.u64(&name)?;
    if !offset.is_multiple_of(alignment) {
        return Err(malformed(format!(
            "starts at {offset}, expected a multiple of {alignment}"
        )));
    }
    let start = usize::try_from(offset).map_err(|_| malformed(format!("starts at {offset}")))?;
    let length = (elements / kind.block_size())
        .checked_mul(kind.type_size())
        .filter(|_| elements.checked_mul(size_of::<f32>()).is_some())
        .ok_or_else(|| malformed(format!("has {elements} elements")))?;
    Ok((
        name,
        TensorInfo {
            shape,
            kind,
            start,
            length,
        },
    ))
}
