//! Writing a model folder.

use std::collections::HashMap;

use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Value, json};

use crate::config::ModelConfig;
use crate::tokenizer::Tokenizer;
use crate::weights::WeightSource;
use crate::{ModelError, atomic_file};

/// Writes a folder that transformers loads: `config.json`, `generation_config.json`, `tokenizer.json`,
/// `tokenizer_config.json` and `model.safetensors` with f32 weights. The folder is made if it is not there; each file
/// appears whole or not at all, `config.json` last, so that a folder with one is complete.
pub fn write_hugging_face_folder(
    folder: &Path,
    config: &ModelConfig,
    weights: &dyn WeightSource,
    tokenizer: &Tokenizer,
    chat_template: Option<&str>,
    license: Option<&str>,
) -> Result<(), ModelError> {
    write_described_folder(
        folder,
        config,
        weights,
        tokenizer,
        chat_template,
        license,
        &[],
    )
}

/// [`write_hugging_face_folder`] with further `metadata` in the header of `model.safetensors`.
pub fn write_described_folder(
    folder: &Path,
    config: &ModelConfig,
    weights: &dyn WeightSource,
    tokenizer: &Tokenizer,
    chat_template: Option<&str>,
    license: Option<&str>,
    metadata: &[(String, String)],
) -> Result<(), ModelError> {
    config.validate()?;
    std::fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_with_metadata(&folder.join("model.safetensors"), config, weights, metadata)?;
    let parts = tokenizer.parts();
    let tokenizer_config = tokenizer.hugging_face_config(config.context_length, chat_template);
    let generation = json!({
        "bos_token_id": parts.bos,
        "eos_token_id": parts.eos,
        "pad_token_id": parts.pad,
        "do_sample": false,
    });
    let mut model = config.to_hugging_face(parts.bos, parts.eos);
    model["pad_token_id"] = parts.pad.into();
    if let Some(license) = license {
        model["license"] = license.into();
    }
    write_json(
        &folder.join("tokenizer.json"),
        &tokenizer.hugging_face_json(),
    )?;
    write_json(&folder.join("tokenizer_config.json"), &tokenizer_config)?;
    write_json(&folder.join("generation_config.json"), &generation)?;
    write_json(&folder.join("config.json"), &model)
}

/// Writes one safetensors file with every tensor of `config`, f32, in the order of the names. Tensors are loaded one
/// at a time.
pub fn write_safetensors(
    path: &Path,
    config: &ModelConfig,
    weights: &dyn WeightSource,
) -> Result<(), ModelError> {
    write_with_metadata(path, config, weights, &[])
}

fn write_with_metadata(
    path: &Path,
    config: &ModelConfig,
    weights: &dyn WeightSource,
    metadata: &[(String, String)],
) -> Result<(), ModelError> {
    let mut names = config.weight_names();
    names.sort_unstable();
    let header = header(path, &names, metadata)?;
    atomic_file::write(path, |writer| {
        writer.write_all(&header).map_err(ModelError::io(path))?;
        for (name, expected) in names {
            let weight = weights.load(&name)?;
            let elements: usize = expected.iter().product();
            if weight.shape != expected || weight.data.len() != elements {
                let (path, found) = (path.to_owned(), weight.shape);
                return Err(ModelError::TensorShape {
                    path,
                    name,
                    expected,
                    found,
                });
            }
            let bytes: Vec<u8> = weight
                .data
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            writer.write_all(&bytes).map_err(ModelError::io(path))?;
        }
        Ok(())
    })
}

/// The length and the JSON header, padded so that the data is aligned to eight bytes.
fn header(
    path: &Path,
    names: &[(String, Vec<usize>)],
    further: &[(String, String)],
) -> Result<Vec<u8>, ModelError> {
    let mut offset = 0;
    let tensors = names
        .iter()
        .map(|(name, shape)| {
            let start = offset;
            offset += shape.iter().product::<usize>() * size_of::<f32>();
            let info = TensorInfo {
                dtype: Dtype::F32,
                shape: shape.clone(),
                data_offsets: (start, offset),
            };
            (name.clone(), info)
        })
        .collect();
    // transformers refuses a file that does not say which framework's layout it has.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata =
        Metadata::new(Some(format), tensors).map_err(|source| ModelError::Safetensors {
            path: path.to_owned(),
            source,
        })?;
    let to_json = || {
        let mut header = serde_json::to_value(&metadata)?;
        // Added here, in their order: a map of the library has another one each time.
        for (key, value) in further {
            header["__metadata__"][key] = value.as_str().into();
        }
        serde_json::to_vec(&header)
    };
    let mut json = to_json().map_err(|source| ModelError::Json {
        path: path.to_owned(),
        source,
    })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    Ok(header)
}

fn write_json(path: &Path, json: &Value) -> Result<(), ModelError> {
    atomic_file::write(path, |writer| {
        let text = format!("{json:#}\n");
        writer
            .write_all(text.as_bytes())
            .map_err(ModelError::io(path))
    })
}
