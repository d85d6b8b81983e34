//! A file of answers, from its rows to records that are committed together.

use std::path::{Path, PathBuf};

use limbeck_store::Imported;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::batch::Requests;
use super::{Declared, Format, Importer, rows};
use crate::printer::sanitize_line;
use crate::sources::digest_of_file;
use crate::table::RowProblem;

/// Rows that are committed together.
const BATCH: usize = 500;

/// The file to import, looked at once.
#[derive(Clone)]
pub struct ImportFile {
    path: PathBuf,
    sha256: String,
    is_list: bool,
    format: Format,
    declared: Declared,
    requests: Option<PathBuf>,
}

impl ImportFile {
    /// Looks at the file: its digest for the receipts, and whether a list can be read to its end.
    pub fn look_at(
        path: &Path,
        format: Format,
        declared: Declared,
        requests: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let file = Self {
            sha256: digest_of_file(path)?.0,
            is_list: format != Format::OpenaiBatch && rows::is_list(path)?,
            path: path.to_owned(),
            format,
            declared,
            requests: requests.map(Path::to_owned),
        };
        if file.is_list {
            file.rows(&mut |_, _| Ok(()))?;
        }
        Ok(file)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first row that cannot be imported, if there is one.
    pub fn first_problem(&self) -> anyhow::Result<Option<RowProblem>> {
        let mut importer = self.importer()?;
        let mut first = None;
        let read = self.rows(&mut |row, object| {
            if let Err(message) = object.and_then(|object| importer.row(row, &object)) {
                first = Some(RowProblem { row, message });
                return Err(NoMore.into());
            }
            Ok(())
        });
        unless_no_more(read)?;
        Ok(first)
    }

    /// Sends the records of the rows, a batch at a time: those that `wanted` lets through. Whoever receives may stop
    /// doing so at any time.
    pub fn send(
        &self,
        to: &mpsc::Sender<Vec<Imported>>,
        wanted: impl Fn(&Imported) -> bool,
        mut problem: impl FnMut(RowProblem),
    ) -> anyhow::Result<()> {
        let mut importer = self.importer()?;
        let mut batch = Vec::with_capacity(BATCH);
        let read = self.rows(&mut |row, object| {
            match object.and_then(|object| importer.row(row, &object)) {
                Ok(records) => batch.extend(records.into_iter().filter(&wanted)),
                Err(message) => problem(RowProblem { row, message }),
            }
            if batch.len() >= BATCH {
                to.blocking_send(std::mem::take(&mut batch))
                    .map_err(|_| NoMore)?;
            }
            Ok(())
        });
        unless_no_more(read)?;
        if !batch.is_empty() {
            // That nobody listens any more is known to whoever stopped.
            to.blocking_send(batch).ok();
        }
        Ok(())
    }

    /// A row that cannot be imported, as a person reads it.
    pub fn malformed(&self, problem: &RowProblem) -> String {
        format!(
            "`{}`, {}",
            self.path.display(),
            sanitize_line(&problem.to_string())
        )
    }

    /// What is said of a file without a usable row.
    pub fn nothing_came(&self) -> String {
        format!(
            "`{}` has no row that can be read as `{}`",
            self.path.display(),
            self.format.name()
        )
    }

    fn importer(&self) -> anyhow::Result<Importer> {
        let requests = self.requests.as_deref().map(Requests::open).transpose()?;
        Ok(Importer::new(
            self.format,
            self.declared.clone(),
            &self.path,
            self.sha256.clone(),
            requests,
        ))
    }

    fn rows(
        &self,
        each: &mut dyn FnMut(u64, Result<Map<String, Value>, String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.is_list {
            rows::read_list(&self.path, each)
        } else {
            rows::read_lines(&self.path, each)
        }
    }
}

/// No more rows are wanted.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes the rows any more")]
struct NoMore;

fn unless_no_more(read: anyhow::Result<()>) -> anyhow::Result<()> {
    match read {
        Err(error) if error.is::<NoMore>() => Ok(()),
        read => read,
    }
}
