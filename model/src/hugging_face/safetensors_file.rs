//! Weights in safetensors files: one, or several with an index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use super::read_optional_json;
use crate::ModelError;
use crate::config::ModelConfig;
use crate::mapped_file::MappedFile;
use crate::weights::{WeightSource, WeightTensor};

/// Mapped safetensors weights of the types F32, F16 and BF16.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    shards: Vec<Shard>,
    /// Which shard holds a tensor.
    places: BTreeMap<String, usize>,
}

/// One file: its bytes, its header and where its data starts.
#[derive(Debug)]
struct Shard {
    bytes: MappedFile,
    header: Metadata,
    data_start: usize,
}

impl SafetensorsFile {
    /// Opens one file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::from_shards(path.to_owned(), vec![Shard::open(path)?])
    }

    /// Opens `model.safetensors` of a folder, or the files that `model.safetensors.index.json` names.
    pub fn open_folder(folder: &Path) -> Result<Self, ModelError> {
        let index_path = folder.join("model.safetensors.index.json");
        let Some(index) = read_optional_json(&index_path)? else {
            return Self::open(&folder.join("model.safetensors"));
        };
        let mut files: Vec<&str> = index["weight_map"]
            .as_object()
            .ok_or_else(|| ModelError::malformed(&index_path, "`weight_map` is not a table"))?
            .values()
            .filter_map(serde_json::Value::as_str)
            .collect();
        files.sort_unstable();
        files.dedup();
        let mut shards = Vec::with_capacity(files.len());
        for file in files {
            // The index must not lead out of the folder.
            if Path::new(file).file_name() != Some(file.as_ref()) {
                return Err(ModelError::malformed(
                    &index_path,
                    format!("`{file}` is not a file name"),
                ));
            }
            shards.push(Shard::open(&folder.join(file))?);
        }
        Self::from_shards(folder.to_owned(), shards)
    }

    fn from_shards(path: PathBuf, shards: Vec<Shard>) -> Result<Self, ModelError> {
        let mut places = BTreeMap::new();
        for (number, shard) in shards.iter().enumerate() {
            for name in shard.header.tensors().into_keys() {
                if places.insert(name.clone(), number).is_some() {
                    return Err(ModelError::malformed(
                        &path,
                        format!("the tensor `{name}` is there twice"),
                    ));
                }
            }
        }
        Ok(Self {
            path,
            shards,
            places,
        })
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let shard = &self.shards[*self.places.get(name)?];
        Some(&shard.header.info(name)?.shape)
    }

    /// Checks that every tensor that `config` calls for is there with the right dimensions.
    pub fn check_tensors(&self, config: &ModelConfig) -> Result<(), ModelError> {
        for (name, expected) in config.weight_names() {
            let found = self.shape(&name).ok_or_else(|| self.missing(&name))?;
            if found != expected {
                let found = found.to_vec();
                return Err(ModelError::TensorShape {
                    path: self.path.clone(),
                    name,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    fn missing(&self, name: &str) -> ModelError {
        ModelError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        }
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self, ModelError> {
        let bytes = MappedFile::open(path)?;
        let wrap = |source| ModelError::Safetensors {
            path: path.to_owned(),
            source,
        };
        // `deserialize` also checks that the data is as long as the header says.
        SafeTensors::deserialize(&bytes).map_err(wrap)?;
        let (header_length, header) = SafeTensors::read_metadata(&bytes).map_err(wrap)?;
        Ok(Self {
            data_start: size_of::<u64>() + header_length,
            header,
            bytes,
        })
    }
}

impl WeightSource for SafetensorsFile {
    fn load(&self, name: &str) -> Result<WeightTensor, ModelError> {
        let place = *self.places.get(name).ok_or_else(|| self.missing(name))?;
        let shard = &self.shards[place];
        let info = shard.header.info(name).ok_or_else(|| self.missing(name))?;
        let (start, end) = info.data_offsets;
        let bytes = &shard.bytes[shard.data_start + start..shard.data_start + end];
        let data = match info.dtype {
            Dtype::F32 => decode(bytes, f32::from_le_bytes),
            Dtype::F16 => decode(bytes, |pair| f16::from_le_bytes(pair).to_f32()),
            Dtype::BF16 => decode(bytes, |pair| bf16::from_le_bytes(pair).to_f32()),
            other => {
                return Err(ModelError::Unsupported {
                    path: shard.bytes.path().to_owned(),
                    feature: format!("tensor type {other:?} (of `{name}`)"),
                });
            }
        };
        Ok(WeightTensor {
            shape: info.shape.clone(),
            data,
        })
    }

    fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }
}

fn decode<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| number(chunk))
        .collect()
}
