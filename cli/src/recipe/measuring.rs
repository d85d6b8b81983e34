//! `[[evaluate]]` and `[export]`: how good the student is, and the files it becomes.

use std::fmt;
use std::str::FromStr;

use limbeck_model::GgufKind;
use limbeck_student::evaluate::{Gate, Metric};
use serde::{Deserialize, Serialize};

use super::source_table::{SuiteTable, string_or_table};

/// `[[evaluate]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSection {
    /// What reports call the suite; its metric if it is not given.
    #[serde(default)]
    pub name: String,
    /// The rows that teacher and student are measured on.
    #[serde(deserialize_with = "string_or_table")]
    pub suite: SuiteTable,
    /// What is measured.
    pub metric: Metric,
    /// What must be reached.
    #[serde(default)]
    pub gate: Gate,
}

/// `[export]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSection {
    /// The files to write.
    pub formats: Vec<ExportFormat>,
    /// What the device allows.
    #[serde(default)]
    pub device: DeviceSection,
}

/// `device` of `[export]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSection {
    /// The most megabytes (of 10⁶ bytes) of the smallest exported file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_mb: Option<f64>,
    /// The fewest requests a second of the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests_per_second: Option<f64>,
}

/// One entry of `formats`: `safetensors` or `gguf:` with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ExportFormat {
    /// A Hugging Face folder with `model.safetensors`.
    Safetensors,
    /// A GGUF file.
    Gguf(GgufKind),
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => f.write_str("safetensors"),
            Self::Gguf(kind) => write!(f, "gguf:{}", kind.name()),
        }
    }
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || {
            let kinds = GgufKind::ALL.map(Self::Gguf);
            std::iter::once(Self::Safetensors).chain(kinds)
        };
        all()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| {
                let known: Vec<String> = all().map(|format| format!("`{format}`")).collect();
                // Worded as serde does, so that the error is explained like every other unknown word.
                let known = known.join(", ");
                format!("unknown variant `{text}`, expected one of {known}")
            })
    }
}

impl TryFrom<String> for ExportFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ExportFormat> for String {
    fn from(format: ExportFormat) -> Self {
        format.to_string()
    }
}
