//! Model folders in Hugging Face's layout: `config.json`, `model.safetensors`, `tokenizer.json`,
//! `tokenizer_config.json` with the chat template, `generation_config.json`.

mod safetensors_file;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::Value;

use crate::ModelError;

pub use safetensors_file::SafetensorsFile;
pub use write::{write_described_folder, write_hugging_face_folder, write_safetensors};

/// Reads a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value, ModelError> {
    let text = std::fs::read_to_string(path).map_err(ModelError::io(path))?;
    serde_json::from_str(&text).map_err(|source| ModelError::Json {
        path: path.to_owned(),
        source,
    })
}

/// Reads a JSON file, or gives `None` where there is no such file.
pub(crate) fn read_optional_json(path: &Path) -> Result<Option<Value>, ModelError> {
    if path.exists() {
        read_json(path).map(Some)
    } else {
        Ok(None)
    }
}

/// The chat template of a folder: `chat_template.jinja`, or the one in `tokenizer_config.json` (the one called
/// `default` where there are several).
pub(crate) fn read_chat_template(folder: &Path) -> Result<Option<String>, ModelError> {
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        return std::fs::read_to_string(&file)
            .map(Some)
            .map_err(ModelError::io(&file));
    }
    let Some(config) = read_optional_json(&folder.join("tokenizer_config.json"))? else {
        return Ok(None);
    };
    let template = &config["chat_template"];
    let named = template
        .as_array()
        .and_then(|templates| templates.iter().find(|entry| entry["name"] == "default"))
        .map(|entry| &entry["template"]);
    Ok(named.unwrap_or(template).as_str().map(str::to_owned))
}
