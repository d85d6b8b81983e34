//! Apache Parquet, row by row.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use serde_json::Value;

use super::rows::Read;
use super::{Row, RowProblem, TableError};

/// Lists and groups become JSON arrays and objects, bytes become base64.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    number: u64,
}

impl ParquetRows {
    pub(super) fn open(file: File, path: &Path) -> Result<Self, TableError> {
        let reader =
            SerializedFileReader::new(file).map_err(|error| TableError::broken(path, error))?;
        Ok(Self {
            rows: RowIter::from_file_into(Box::new(reader)),
            number: 0,
        })
    }

    pub(super) fn read_from(&mut self, from: u64, path: &Path) -> Result<Option<Read>, TableError> {
        for row in self.rows.by_ref() {
            self.number += 1;
            let number = self.number;
            // The pages after a broken one cannot be found.
            let row = row
                .map_err(|error| TableError::broken(path, format_args!("row {number}: {error}")))?;
            if number < from {
                continue;
            }
            return Ok(Some(match row.to_json_value() {
                Value::Object(columns) => Ok(Row { number, columns }),
                _ => Err(RowProblem {
                    row: number,
                    message: "not a row of named columns".to_owned(),
                }),
            }));
        }
        Ok(None)
    }
}
