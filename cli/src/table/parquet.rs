//! Apache Parquet, row by row.

use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use super::{Reading, TableError};

/// Reads every row; lists and groups become JSON arrays and objects, bytes become base64.
pub(super) fn read(file: File, reading: &mut Reading<'_>) -> Result<(), TableError> {
    let reader = SerializedFileReader::new(file).map_err(|error| reading.broken(error))?;
    let rows = reader
        .get_row_iter(None)
        .map_err(|error| reading.broken(error))?;
    for (index, row) in rows.enumerate() {
        let number = index as u64 + 1;
        match row.map(|row| row.to_json_value()) {
            Ok(Value::Object(columns)) => reading.row(number, columns),
            Ok(_) => reading.problem(number, "not a row of named columns")?,
            // The pages after a broken one cannot be found.
            Err(error) => return Err(reading.broken(format_args!("row {number}: {error}"))),
        }
    }
    Ok(())
}
