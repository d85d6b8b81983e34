//! The writer: version 3, with the keys that llama.cpp asks for.

use std::borrow::Cow;
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::kind::{GgufKind, to_code};
use super::rotary::{RowOrder, reorder_rows};
use super::value::{MetadataArray, MetadataValue};
use super::{metadata, names};
use crate::config::ModelConfig;
use crate::tokenizer::Tokenizer;
use crate::weights::WeightSource;
use crate::{ModelError, atomic_file};

/// Where tensors start, and the distance between them: the default of the format.
pub(super) const ALIGNMENT: usize = 32;
/// llama.cpp keeps names in 64 bytes, the last one zero.
const MAX_NAME: usize = 63;

/// What goes into a GGUF file, apart from the weights.
#[derive(Clone, Copy, Debug)]
pub struct GgufDescription<'a> {
    /// The shape of the model.
    pub config: &'a ModelConfig,
    /// The tokenizer; exactly `config.vocab_size` tokens.
    pub tokenizer: &'a Tokenizer,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<&'a str>,
    /// `general.name`.
    pub name: &'a str,
    /// `general.license`.
    pub license: Option<&'a str>,
    /// How tensors are stored.
    pub kind: GgufKind,
    /// Further metadata; a key that the writer sets itself is an error.
    pub extra: &'a [(String, MetadataValue)],
}

/// One tensor to be written.
struct Plan {
    ours: String,
    file_name: String,
    shape: Vec<usize>,
    kind: GgmlDType,
    length: usize,
}

/// Writes a GGUF file that llama.cpp loads. The file appears whole or not at all. Tensors are loaded from `weights`
/// one at a time.
#[expect(
    clippy::too_many_arguments,
    reason = "one flat call for the exporters; `GgufDescription` holds the same by name"
)]
pub fn write_gguf(
    path: &Path,
    config: &ModelConfig,
    weights: &dyn WeightSource,
    tokenizer: &Tokenizer,
    chat_template: Option<&str>,
    name: &str,
    license: Option<&str>,
    kind: GgufKind,
    extra: &[(String, MetadataValue)],
) -> Result<(), ModelError> {
    let description = GgufDescription {
        config,
        tokenizer,
        chat_template,
        name,
        license,
        kind,
        extra,
    };
    description.write(path, weights)
}

impl GgufDescription<'_> {
    /// Writes the file at `path` with these weights.
    pub fn write(&self, path: &Path, weights: &dyn WeightSource) -> Result<(), ModelError> {
        self.config.validate()?;
        let metadata = metadata::build(self)?;
        let plans = self.plan()?;
        atomic_file::write(path, |writer| {
            let mut header = Vec::new();
            write_header(&mut header, &metadata, &plans);
            header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
            writer.write_all(&header).map_err(ModelError::io(path))?;
            for plan in &plans {
                let mut bytes = self.encode(path, plan, weights)?;
                bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
                writer.write_all(&bytes).map_err(ModelError::io(path))?;
            }
            Ok(())
        })
    }

    fn plan(&self) -> Result<Vec<Plan>, ModelError> {
        let plan = |(ours, shape): (String, Vec<usize>)| {
            let kind = self
                .kind
                .tensor_type(&ours, &shape, self.config.tied_embeddings);
            let file_name = names::to_gguf(&ours)
                .filter(|name| name.len() <= MAX_NAME)
                .ok_or_else(|| ModelError::MissingTensor {
                    path: "gguf".into(),
                    name: ours.clone(),
                })?;
            let elements: usize = shape.iter().product();
            let length = elements / kind.block_size() * kind.type_size();
            Ok(Plan {
                ours,
                file_name,
                shape,
                kind,
                length,
            })
        };
        self.config.weight_names().into_iter().map(plan).collect()
    }

    /// The bytes of one tensor: loaded, checked, put into the file's row order and quantised.
    fn encode(
        &self,
        path: &Path,
        plan: &Plan,
        weights: &dyn WeightSource,
    ) -> Result<Vec<u8>, ModelError> {
        let weight = weights.load(&plan.ours)?;
        let elements: usize = plan.shape.iter().product();
        if weight.shape != plan.shape || weight.data.len() != elements {
            return Err(ModelError::TensorShape {
                path: path.to_owned(),
                name: plan.ours.clone(),
                expected: plan.shape.clone(),
                found: weight.shape,
            });
        }
        let heads = if plan.ours.ends_with(".self_attn.q_proj.weight") {
            Some(self.config.heads)
        } else if plan.ours.ends_with(".self_attn.k_proj.weight") {
            Some(self.config.key_value_heads)
        } else {
            None
        };
        let data = match heads {
            Some(heads) => reorder_rows(
                &weight.data,
                heads,
                plan.shape[1],
                RowOrder::HalvesToNeighbours,
            ),
            None => weight.data,
        };
        let bytes =
            quantise(data, &plan.shape, plan.kind).map_err(|source| ModelError::Tensor {
                name: plan.ours.clone(),
                source,
            })?;
        debug_assert_eq!(
            bytes.len(),
            plan.length,
            "the header announces {}",
            plan.ours
        );
        Ok(bytes)
    }
}

fn quantise(data: Vec<f32>, shape: &[usize], kind: GgmlDType) -> candle_core::Result<Vec<u8>> {
    if kind == GgmlDType::F32 {
        return Ok(data.iter().flat_map(|value| value.to_le_bytes()).collect());
    }
    let tensor = Tensor::from_vec(data, shape, &Device::Cpu)?;
    QTensor::quantize(&tensor, kind)?
        .data()
        .map(Cow::into_owned)
}

fn write_header(out: &mut Vec<u8>, metadata: &[(String, MetadataValue)], plans: &[Plan]) {
    out.extend_from_slice(b"GGUF");
    out.extend(3_u32.to_le_bytes());
    out.extend((plans.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        write_string(out, key);
        out.extend(value.type_code().to_le_bytes());
        write_value(out, value);
    }
    let mut offset = 0_u64;
    for plan in plans {
        write_string(out, &plan.file_name);
        out.extend((plan.shape.len() as u32).to_le_bytes());
        for &size in plan.shape.iter().rev() {
            out.extend((size as u64).to_le_bytes());
        }
        out.extend(to_code(plan.kind).to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += plan.length.next_multiple_of(ALIGNMENT) as u64;
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_value(out: &mut Vec<u8>, value: &MetadataValue) {
    match value {
        MetadataValue::U8(v) => out.push(*v),
        MetadataValue::I8(v) => out.extend(v.to_le_bytes()),
        MetadataValue::U16(v) => out.extend(v.to_le_bytes()),
        MetadataValue::I16(v) => out.extend(v.to_le_bytes()),
        MetadataValue::U32(v) => out.extend(v.to_le_bytes()),
        MetadataValue::I32(v) => out.extend(v.to_le_bytes()),
        MetadataValue::U64(v) => out.extend(v.to_le_bytes()),
        MetadataValue::I64(v) => out.extend(v.to_le_bytes()),
        MetadataValue::F32(v) => out.extend(v.to_le_bytes()),
        MetadataValue::F64(v) => out.extend(v.to_le_bytes()),
        MetadataValue::Bool(v) => out.push(u8::from(*v)),
        MetadataValue::String(text) => write_string(out, text),
        MetadataValue::Array(array) => write_array(out, array),
    }
}

fn write_array(out: &mut Vec<u8>, array: &MetadataArray) {
    out.extend(array.element_code().to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        MetadataArray::U8(v) => out.extend_from_slice(v),
        MetadataArray::I8(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::U16(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::I16(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::U32(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::I32(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::U64(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::I64(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::F32(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::F64(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        MetadataArray::Bool(v) => out.extend(v.iter().map(|&v| u8::from(v))),
        MetadataArray::String(v) => v.iter().for_each(|text| write_string(out, text)),
        MetadataArray::Array(v) => v.iter().for_each(|array| write_array(out, array)),
    }
}
