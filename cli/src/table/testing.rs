//! Whole tables, for tests.

use std::path::Path;

use super::{Draw, NearIndex, Row, RowFile, Scan, Scanning, TableError};
use crate::sources::{Fetched, digest_of_file};

/// All rows of a small file.
pub struct Table {
    /// Those that could be read.
    pub rows: Vec<Row>,
    /// What the first reading found.
    pub scan: Scan,
}

/// A file as a recipe would name it.
pub fn row_file(path: &Path) -> anyhow::Result<RowFile> {
    let (sha256, bytes) = digest_of_file(path)?;
    let fetched = Fetched {
        path: path.to_owned(),
        sha256,
        bytes,
    };
    Ok(RowFile::new(&fetched, None)?)
}

/// Reads all rows of `path`.
pub fn read(path: &Path, strict: bool) -> anyhow::Result<Table> {
    let file = row_file(path)?;
    let with = Scanning {
        filter: None,
        input: &|_| Ok("text".to_owned().into()),
        near: &NearIndex::default(),
        strict,
    };
    let scan = Scan::of(&file, Draw::default(), &with)?;
    let mut table = Table {
        rows: Vec::new(),
        scan,
    };
    let mut rows = file.rows()?;
    while let Some(read) = rows.read()? {
        table.rows.extend(read.ok());
    }
    Ok(table)
}

/// The error of a table, which is the only one there can be.
pub fn table_error(error: &anyhow::Error) -> &TableError {
    error.downcast_ref().expect("an error of a table")
}
