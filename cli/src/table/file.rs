//! A file of rows that is read more than once.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::draw::DrawnRow;
use super::{Format, Rows, TableError};
use crate::printer::WithHint;
use crate::sources::{Fetched, digest_of_file};

/// A file of rows. Each time it is read to its end it must be what it was when it was fetched: what was found in one
/// reading holds for the next.
#[derive(Clone, Debug)]
pub struct RowFile {
    path: PathBuf,
    format: Format,
    sha256: String,
}

/// A file that is not what it was.
#[derive(Debug, thiserror::Error)]
#[error("`{}` changed while it was in use", path.display())]
struct Changed {
    path: PathBuf,
}

impl RowFile {
    /// A fetched file. `format` is told by the extension if it is `None`.
    pub fn new(fetched: &Fetched, format: Option<Format>) -> Result<Self, TableError> {
        let path = &fetched.path;
        let unknown = || TableError::Format { path: path.clone() };
        Ok(Self {
            path: path.clone(),
            format: format.or_else(|| Format::of(path)).ok_or_else(unknown)?,
            sha256: fetched.sha256.clone(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its rows from the first.
    pub fn rows(&self) -> Result<Rows, TableError> {
        Rows::open(&self.path, self.format)
    }

    /// Only these of its rows, which stand in its order.
    pub fn read<I: Iterator<Item = DrawnRow>>(&self, rows: I) -> Result<Chosen<'_, I>, TableError> {
        Ok(Chosen {
            file: self,
            rows: self.rows()?,
            left: Some(rows),
        })
    }

    /// Fails if the file is not what it was when it was fetched.
    pub fn check_unchanged(&self) -> anyhow::Result<()> {
        if digest_of_file(&self.path)?.0 == self.sha256 {
            Ok(())
        } else {
            self.changed()
        }
    }

    pub fn changed<T>(&self) -> anyhow::Result<T> {
        let path = self.path.clone();
        Err(Changed { path }).hint(
            "run the same command again; a download that was changed in the cache has to be removed from there first",
        )
    }
}

/// The chosen rows of a file. It ends with an error if the file changed.
pub struct Chosen<'a, I> {
    file: &'a RowFile,
    rows: Rows,
    /// `None` after the end.
    left: Option<I>,
}

impl<I: Iterator<Item = DrawnRow>> Iterator for Chosen<'_, I> {
    type Item = anyhow::Result<(DrawnRow, Map<String, Value>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(row) = self.left.as_mut()?.next() else {
            self.left = None;
            return self.file.check_unchanged().err().map(Err);
        };
        let found = match self.rows.read_from(row.number) {
            Ok(Some(Ok(found))) if found.number == row.number => Ok((row, found.columns)),
            // When it was drawn it was there and could be read.
            Ok(_) => self.file.changed(),
            Err(error) => self.file.check_unchanged().and(Err(error.into())),
        };
        if found.is_err() {
            self.left = None;
        }
        Some(found)
    }
}
