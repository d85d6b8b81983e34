//! Writing a trained student to files, and proving them.
//!
//! Everything is written into a fresh folder, loaded back and compared with the trained weights, and only then moved
//! to its place as a whole: an export folder that is there is complete and verified.

mod card;
mod format;
mod round_trip;
mod staging;
#[cfg(test)]
mod tests;
mod verify;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use limbeck_model::{
    ChatTemplate, MetadataValue, ModelConfig, ModelError, Tokenizer, WeightSource,
    write_described_folder, write_gguf,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

pub use card::{CardFacts, CardScore, markdown_words};
pub use format::{ExportFormat, UnknownFormat};
use staging::Staging;
use verify::Verifier;

/// A trained model.
#[derive(Clone, Copy)]
pub struct ExportModel<'a> {
    /// Names the GGUF files; may hold anything.
    pub name: &'a str,
    /// The licence that the files declare, as an SPDX id.
    pub license: Option<&'a str>,
    /// The shape.
    pub config: &'a ModelConfig,
    /// The trained weights.
    pub weights: &'a dyn WeightSource,
    /// The tokenizer, of `config.vocab_size` tokens.
    pub tokenizer: &'a Tokenizer,
    /// The template that inputs are rendered with.
    pub template: &'a ChatTemplate,
    /// Further metadata of GGUF files; texts of it are in the header of `model.safetensors` as well.
    pub metadata: &'a [(String, MetadataValue)],
}

/// One written and verified form of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Which form.
    pub format: ExportFormat,
    /// The file with the weights.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Largest difference of a logit to the trained weights, over every position of the probes.
    pub max_logit_difference: f32,
    /// The same to the trained weights rounded in memory as the file rounds them: what writing and reading add.
    pub max_rounding_difference: f32,
    /// Share of the probes whose greedy continuation is that of the trained weights.
    pub greedy_agreement: f64,
    /// Tokens a second of a few sequences side by side, on this machine.
    pub tokens_per_second: f64,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file or folder could not be read or written.
    #[error("cannot write the export at `{path}`")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The model could not be written, or not be loaded back.
    #[error("cannot export to `{path}`")]
    Model {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<ModelError>,
    },
    /// The file computes something else than the trained weights.
    #[error(
        "`{path}`: logits differ by {difference:e} from those of {against}, at most {limit:e} is accepted"
    )]
    Logits {
        /// The file.
        path: PathBuf,
        /// The largest difference found.
        difference: f32,
        /// The largest one accepted.
        limit: f32,
        /// What it was compared with.
        against: &'static str,
    },
    /// A part of the model is not what was written.
    #[error("`{path}`: the {part} differs when loaded back: {detail}")]
    Differs {
        /// The file.
        path: PathBuf,
        /// Which part.
        part: &'static str,
        /// What was found instead of what.
        detail: String,
    },
    /// No format was asked for.
    #[error("no export format was asked for")]
    NoFormats,
    /// Somebody asked to stop.
    #[error("stopped before the export was complete")]
    Cancelled,
}

impl ExportError {
    fn model(path: &Path) -> impl Fn(ModelError) -> Self + Copy {
        move |source| Self::Model {
            path: path.to_owned(),
            source: Box::new(source),
        }
    }

    fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }
}

/// Writes `model` in each of `formats` (repeats are written once) and a model card to the folder `destination`, which
/// is replaced as a whole. `probes` are inputs whose logits are compared; without any a few awkward texts are taken.
///
/// # Errors
/// Besides what the system refuses: a file that, loaded back, differs from the trained model. `destination` is as
/// before then.
pub fn export(
    destination: &Path,
    formats: &[ExportFormat],
    model: ExportModel<'_>,
    probes: &[String],
    facts: &CardFacts,
    cancel: &CancellationToken,
) -> Result<Vec<Exported>, ExportError> {
    if formats.is_empty() {
        return Err(ExportError::NoFormats);
    }
    let staging = Staging::beside(destination)?;
    let verifier = Verifier::new(model, probes).map_err(ExportError::model(destination))?;
    let mut exported: Vec<Exported> = Vec::with_capacity(formats.len());
    for &format in formats {
        if cancel.is_cancelled() {
            return Err(ExportError::Cancelled);
        }
        if exported.iter().any(|done| done.format == format) {
            continue;
        }
        let file_name = format.file_name(model.name);
        let (path, shown) = (
            staging.path().join(&file_name),
            destination.join(&file_name),
        );
        write(&model, format, &path).map_err(ExportError::model(&shown))?;
        let findings = verifier.check(&path, &shown, format)?;
        let (bytes, sha256) = measure(&path).map_err(ExportError::io(&path))?;
        exported.push(Exported {
            format,
            path: shown,
            bytes,
            sha256,
            max_logit_difference: findings.max_logit_difference,
            max_rounding_difference: findings.max_rounding_difference,
            greedy_agreement: findings.greedy_agreement,
            tokens_per_second: findings.tokens_per_second,
        });
    }
    let card = card::model_card(model.name, model.license, model.config, facts, &exported);
    let card_path = staging.path().join("README.md");
    std::fs::write(&card_path, card).map_err(ExportError::io(&card_path))?;
    staging.publish()?;
    Ok(exported)
}

fn write(model: &ExportModel<'_>, format: ExportFormat, path: &Path) -> Result<(), ModelError> {
    let template = Some(model.template.source());
    match format {
        ExportFormat::Safetensors => {
            let texts = model
                .metadata
                .iter()
                .filter_map(|(key, value)| match value {
                    MetadataValue::String(text) => Some((key.clone(), text.clone())),
                    _ => None,
                });
            write_described_folder(
                path.parent().unwrap_or(path),
                model.config,
                model.weights,
                model.tokenizer,
                template,
                model.license,
                &texts.collect::<Vec<_>>(),
            )
        }
        ExportFormat::Gguf(kind) => write_gguf(
            path,
            model.config,
            model.weights,
            model.tokenizer,
            template,
            model.name,
            model.license,
            kind,
            model.metadata,
        ),
    }
}

/// Length and SHA-256 of a file.
fn measure(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex::encode(hash.finalize())));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}
