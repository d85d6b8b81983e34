//! Rows of data: prompts and evaluation suites from JSONL, CSV, TSV and Parquet.
//!
//! A file is never held whole, since it may have a million rows: the first reading ([`scan`]) finds which rows can be
//! used and which are drawn, and later ones ([`file`]) fetch what those hold. A malformed row is named by its number
//! and left out, and the rest loads; with `strict` it is an error. What is done with rows is in [`template`] (filters
//! and templates over the columns), [`near`] (near duplicates) and [`draw`] (seeded samples).

pub mod draw;
pub mod file;
pub mod near;
mod parquet;
pub mod rows;
pub mod scan;
pub mod template;
#[cfg(test)]
pub mod testing;
mod text;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::text::{BYTE_ORDER_MARK, json_object, object};
pub use draw::{Draw, DrawnRow, DrawnRows};
pub use file::{Chosen, RowFile};
pub use near::NearIndex;
pub use rows::Rows;
pub use scan::{Input, Problems, Scan, Scanning};
pub use template::{Expression, Template, TemplateError};

/// How rows are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format that a file's extension tells.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number in the file, counted from 1: the line for JSONL, the row after the header for CSV and TSV.
    pub number: u64,
    /// The values by column. Those of CSV and TSV are all text.
    pub columns: Map<String, Value>,
}

/// A row that could not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProblem {
    /// The row's number, as in [`Row::number`].
    pub row: u64,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.message)
    }
}

/// A file whose rows cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file system refused.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that does not tell the format.
    #[error(
        "the format of `{}` is not known by its name; set `format` to `jsonl`, `csv`, `tsv` or `parquet`",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// No table at all: no header, or no valid Parquet.
    #[error("`{}` is not a table of this format: {message}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A malformed row where none is allowed.
    #[error("`{}`, {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The row and what is wrong with it.
        problem: RowProblem,
    },
    /// A file in which nothing could be read.
    #[error("`{}` has no usable row: {message}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The first problem, or that there is no row.
        message: String,
    },
}

impl TableError {
    fn broken(path: &Path, message: impl fmt::Display) -> Self {
        Self::Broken {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
