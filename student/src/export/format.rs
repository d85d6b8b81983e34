//! Which files an export writes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use limbeck_model::GgufKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One form of the finished model: `safetensors`, or `gguf:` with a kind, in recipes and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    /// A folder in Hugging Face's layout with f32 weights.
    Safetensors,
    /// One GGUF file.
    Gguf(GgufKind),
}

impl ExportFormat {
    /// Every format, the exact ones first.
    pub const ALL: [Self; 5] = [
        Self::Safetensors,
        Self::Gguf(GgufKind::F32),
        Self::Gguf(GgufKind::F16),
        Self::Gguf(GgufKind::Q8_0),
        Self::Gguf(GgufKind::Q4_0),
    ];

    /// The file with the weights, inside the export folder, of a model called `name`. Characters that some file
    /// system or shell would trip over become `-`.
    pub fn file_name(self, name: &str) -> PathBuf {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let stem: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '-' })
            .collect();
        let stem = match stem.trim_start_matches('.') {
            "" => "model",
            stem => stem,
        };
        match self {
            Self::Safetensors => PathBuf::from("model.safetensors"),
            Self::Gguf(kind) => PathBuf::from(format!("{stem}-{}.gguf", kind.file_name_suffix())),
        }
    }
}

/// A word that names no export format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown export format `{0}`, expected one of `safetensors`, `gguf:f32`, `gguf:f16`, `gguf:q8_0`, `gguf:q4_0`"
)]
pub struct UnknownFormat(pub String);

impl FromStr for ExportFormat {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.to_string() == word)
            .ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => f.write_str("safetensors"),
            Self::Gguf(kind) => write!(f, "gguf:{}", kind.name()),
        }
    }
}

impl Serialize for ExportFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExportFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for format in ExportFormat::ALL {
            let json = serde_json::to_string(&format).expect("serialises");
            assert_eq!(
                serde_json::from_str::<ExportFormat>(&json).expect("reads"),
                format
            );
        }
        let error = serde_json::from_str::<ExportFormat>("\"gguf:q5\"").expect_err("unknown");
        assert!(
            error
                .to_string()
                .contains("`gguf:q5`, expected one of `safetensors`"),
            "{error}"
        );
    }

    #[test]
    fn names_stay_inside_the_folder() {
        let file = |name: &str| ExportFormat::Gguf(GgufKind::Q8_0).file_name(name);
        assert_eq!(
            file("support-sentiment"),
            PathBuf::from("support-sentiment-Q8_0.gguf")
        );
        assert_eq!(file("../a b/ü"), PathBuf::from("-a-b---Q8_0.gguf"));
        assert_eq!(file(""), PathBuf::from("model-Q8_0.gguf"));
    }
}
