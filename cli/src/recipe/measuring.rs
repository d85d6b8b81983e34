//! `[[evaluate]]` and `[export]`: how good the student is, and the files it becomes.

use limbeck_student::evaluate::{Gate, Metric};
use limbeck_student::export::ExportFormat;
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
