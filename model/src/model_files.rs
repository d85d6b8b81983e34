//! Everything that makes a model, from one GGUF file or one folder.

use std::fmt;
use std::path::Path;

use crate::ModelError;
use crate::chat_template::ChatTemplate;
use crate::config::ModelConfig;
use crate::gguf::GgufFile;
use crate::hugging_face::{SafetensorsFile, read_chat_template, read_json};
use crate::tokenizer::Tokenizer;
use crate::weights::WeightSource;

/// A model on disk: its shape, tokenizer and template in memory, its weights ready to load.
pub struct ModelFiles {
    /// The shape; every tensor that it calls for is there and fits.
    pub config: ModelConfig,
    /// The tokenizer; at most `config.vocab_size` tokens.
    pub tokenizer: Tokenizer,
    /// The chat template, where the model has one.
    pub chat_template: Option<ChatTemplate>,
    /// The licence that the files declare.
    pub license: Option<String>,
    /// The name that the files declare, or else the name of the file or folder.
    pub name: String,
    /// The weights.
    pub weights: Box<dyn WeightSource + Send + Sync>,
}

impl ModelFiles {
    /// Opens a `.gguf` file or a folder in Hugging Face's layout, and checks that its parts fit together.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let files = if path.is_dir() {
            Self::open_folder(path)
        } else {
            Self::open_gguf(path)
        }
        .map_err(|error| error.in_file(path))?;
        let (tokens, rows) = (files.tokenizer.vocab_size(), files.config.vocab_size);
        if tokens > rows {
            return Err(ModelError::malformed(
                path,
                format!("the tokenizer has {tokens} tokens, the embedding table {rows} rows"),
            ));
        }
        Ok(files)
    }

    fn open_gguf(path: &Path) -> Result<Self, ModelError> {
        let file = GgufFile::open(path)?;
        let config = file.config()?;
        file.check_tensors(&config)?;
        Ok(Self {
            config,
            tokenizer: Tokenizer::from_gguf(&file)?,
            chat_template: file.chat_template().map(ChatTemplate::new).transpose()?,
            license: file.license(),
            name: file.name().map_or_else(|| stem(path), str::to_owned),
            weights: Box::new(file),
        })
    }

    fn open_folder(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        if !config_path.exists() {
            return Err(ModelError::NotAModel {
                path: folder.to_owned(),
            });
        }
        let json = read_json(&config_path)?;
        let config =
            ModelConfig::from_hugging_face(&json).map_err(|error| error.in_file(&config_path))?;
        let weights = SafetensorsFile::open_folder(folder)?;
        weights.check_tensors(&config)?;
        let text = |key: &str| {
            json[key]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Ok(Self {
            config,
            tokenizer: Tokenizer::from_hugging_face_folder(folder)?,
            chat_template: read_chat_template(folder)?
                .as_deref()
                .map(ChatTemplate::new)
                .transpose()?,
            license: text("license"),
            name: text("_name_or_path").unwrap_or_else(|| stem(folder)),
            weights: Box::new(weights),
        })
    }
}

impl fmt::Debug for ModelFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFiles")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
