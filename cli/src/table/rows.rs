//! The rows of a file, one at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::parquet::ParquetRows;
use super::text::{JsonLines, Separated};
use super::{Format, Row, RowProblem, TableError};

/// A file that is read row by row.
pub struct Rows {
    path: PathBuf,
    reader: Reader,
}

enum Reader {
    Lines(JsonLines),
    Separated(Separated),
    Parquet(ParquetRows),
}

/// A row, or one that could not be used.
pub type Read = Result<Row, RowProblem>;

impl Rows {
    /// Opens a file and reads what stands before its rows.
    pub fn open(path: &Path, format: Format) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|source| TableError::Read {
            path: path.to_owned(),
            source,
        })?;
        let reader = match format {
            Format::Jsonl => Reader::Lines(JsonLines::new(file)),
            Format::Csv => Reader::Separated(Separated::open(file, b',', path)?),
            Format::Tsv => Reader::Separated(Separated::open(file, b'\t', path)?),
            Format::Parquet => Reader::Parquet(ParquetRows::open(file, path)?),
        };
        Ok(Self {
            path: path.to_owned(),
            reader,
        })
    }

    /// The next row; `None` at the end of the file.
    pub fn read(&mut self) -> Result<Option<Read>, TableError> {
        self.read_from(0)
    }

    /// The next row whose number is `number` or more. Those before it are passed over without a look at what they hold.
    pub fn read_from(&mut self, number: u64) -> Result<Option<Read>, TableError> {
        match &mut self.reader {
            Reader::Lines(lines) => lines.read_from(number, &self.path),
            Reader::Separated(rows) => rows.read_from(number, &self.path),
            Reader::Parquet(rows) => rows.read_from(number, &self.path),
        }
    }
}
