//! Rows of data: prompts and evaluation suites from JSONL, CSV, TSV and Parquet.
//!
//! A malformed row is named by its number and left out, and the rest loads; with `strict` it is an error. What is
//! done with rows is in [`template`] (filters and templates over the columns), [`near`] (near duplicates) and
//! [`draw`] (seeded samples).

pub mod draw;
pub mod near;
mod parquet;
pub mod template;
mod text;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::text::{BYTE_ORDER_MARK, json_object, object};
pub use draw::{Draw, Input, Item, Items, draw_prompts, draw_suite};
pub use near::NearIndex;
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

/// The rows of a file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The names of all columns, in the order of their first use.
    pub columns: Vec<String>,
    /// The rows that could be read.
    pub rows: Vec<Row>,
    /// The rows that could not.
    pub problems: Vec<RowProblem>,
    /// Rows with bytes that are no UTF-8; each such byte has become U+FFFD.
    pub repaired: u64,
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

impl Table {
    /// Reads the rows of `path`. `format` is told by the extension if it is `None`.
    pub fn read(path: &Path, format: Option<Format>, strict: bool) -> Result<Self, TableError> {
        let unknown = || TableError::Format {
            path: path.to_owned(),
        };
        let format = format.or_else(|| Format::of(path)).ok_or_else(unknown)?;
        let file = File::open(path).map_err(|source| TableError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut reading = Reading::new(path, strict);
        match format {
            Format::Jsonl => text::read_jsonl(file, &mut reading)?,
            Format::Csv => text::read_separated(file, b',', &mut reading)?,
            Format::Tsv => text::read_separated(file, b'\t', &mut reading)?,
            Format::Parquet => parquet::read(file, &mut reading)?,
        }
        let table = reading.table;
        if table.rows.is_empty() {
            let first = table.problems.first().map(RowProblem::to_string);
            return Err(TableError::Empty {
                path: path.to_owned(),
                message: first.unwrap_or_else(|| "it holds no rows".to_owned()),
            });
        }
        Ok(table)
    }
}

/// A table that is being read.
struct Reading<'a> {
    path: &'a Path,
    strict: bool,
    table: Table,
}

impl<'a> Reading<'a> {
    fn new(path: &'a Path, strict: bool) -> Self {
        Self {
            path,
            strict,
            table: Table::default(),
        }
    }

    fn row(&mut self, number: u64, columns: Map<String, Value>) {
        for name in columns.keys() {
            if !self.table.columns.contains(name) {
                self.table.columns.push(name.clone());
            }
        }
        self.table.rows.push(Row { number, columns });
    }

    fn problem(&mut self, row: u64, message: impl Into<String>) -> Result<(), TableError> {
        let problem = RowProblem {
            row,
            message: message.into(),
        };
        if self.strict {
            return Err(TableError::Malformed {
                path: self.path.to_owned(),
                problem,
            });
        }
        self.table.problems.push(problem);
        Ok(())
    }

    fn io_error(&self, source: io::Error) -> TableError {
        TableError::Read {
            path: self.path.to_owned(),
            source,
        }
    }

    fn broken(&self, message: impl fmt::Display) -> TableError {
        TableError::Broken {
            path: self.path.to_owned(),
            message: message.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
