//! `limbeck traces import`: answers that were asked for elsewhere.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use limbeck_store::{ImportCounts, Imported, Store};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::exit_status::ExitStatus;
use crate::import::batch::Requests;
use crate::import::{Declared, Format, Importer, rows};
use crate::interrupt;
use crate::pipeline::workdir::Workdir;
use crate::printer::{Printer, WithHint, sanitize_line};
use crate::sources::digest_of_file;
use crate::table::RowProblem;
use crate::text::grouped;

/// Rows that are committed together.
const BATCH: usize = 500;
/// Batches that are read ahead of the store.
const READ_AHEAD: usize = 2;
/// Malformed rows that are named one by one.
const NAMED: u64 = 20;

/// Arguments of `traces import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file: JSON lines, or one JSON list
    pub file: PathBuf,
    /// The work folder of a run; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub workdir: PathBuf,
    /// How the file says what was asked and answered
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where the data come from, such as a URL; goes into every receipt
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub source: String,
    /// The licence that the data are under, such as `cc-by-4.0`; goes into every receipt
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub license: String,
    /// The model that answered, if the file does not say it or says it wrong
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub model: Option<String>,
    /// Who ran the model
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub provider: Option<String>,
    /// The batch's input, which holds what was asked (with `--format openai-batch`)
    #[arg(long, value_name = "FILE", required_if_eq("format", "openai-batch"))]
    pub requests: Option<PathBuf>,
    /// Import nothing if a row is malformed, instead of leaving it out
    #[arg(long)]
    pub strict: bool,
    /// Print what was imported as JSON
    #[arg(long)]
    pub json: bool,
}

/// Imports a file.
pub async fn run(args: &ImportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    if args.requests.is_some() && args.format != Format::OpenaiBatch {
        anyhow::bail!("`--requests` goes with `--format openai-batch` only");
    }
    let file = File::look_at(args)?;
    let workdir = Workdir::create(&args.workdir)?;
    let store = Store::open(&workdir.store()).await?;
    let cancel = interrupt::on_ctrl_c(printer);
    let (sender, mut batches) = mpsc::channel(READ_AHEAD);
    let reading = {
        let (args, printer) = (file.clone(), printer.clone());
        tokio::task::spawn_blocking(move || args.read(&sender, &printer))
    };
    let mut counts = ImportCounts::default();
    while let Some(batch) = batches.recv().await {
        counts.add(store.import(&batch).await?);
        if cancel.is_cancelled() {
            break;
        }
    }
    // A reader that is still at it learns that nobody listens.
    drop(batches);
    let left_out = reading
        .await
        .context("the reading of the file broke off")??;
    store.close().await;
    if cancel.is_cancelled() {
        printer.status("stopped; what was imported is kept, and the same command imports the rest");
        return Ok(ExitStatus::Interrupted);
    }
    file.check_that_something_came(counts, &left_out)?;
    report(args, counts, left_out.count, printer)?;
    Ok(ExitStatus::Success)
}

fn report(
    args: &ImportArgs,
    counts: ImportCounts,
    left_out: u64,
    printer: &Printer,
) -> anyhow::Result<()> {
    let mut text = format!(
        "{} answers and {} failures from `{}`",
        grouped(counts.answers),
        grouped(counts.failures),
        args.file.display()
    );
    let known = counts.known_answers + counts.known_failures;
    if known > 0 {
        text.extend(["; ", &grouped(known), " were there already"]);
    }
    if left_out > 0 {
        text.extend(["; ", &grouped(left_out), " rows were left out"]);
    }
    printer.done("Imported", text);
    if args.json {
        let mut counts = json!(counts);
        counts["left_out"] = json!(left_out);
        printer.line(counts)?;
    }
    Ok(())
}

/// The file to import, looked at once.
#[derive(Clone)]
struct File {
    path: PathBuf,
    sha256: String,
    is_list: bool,
    format: Format,
    declared: Declared,
    requests: Option<PathBuf>,
}

/// Rows that could not be imported.
#[derive(Default)]
struct LeftOut {
    count: u64,
    first: Option<RowProblem>,
}

impl File {
    /// A first pass: the digest for the receipts, whether a list can be read to its end, and with `--strict` whether
    /// every row can, so that nothing is imported otherwise.
    fn look_at(args: &ImportArgs) -> anyhow::Result<Self> {
        let path = &args.file;
        let file = Self {
            sha256: digest_of_file(path)?.0,
            is_list: args.format != Format::OpenaiBatch && rows::is_list(path)?,
            path: path.clone(),
            format: args.format,
            declared: Declared {
                source: args.source.clone(),
                license: args.license.clone(),
                model: args.model.clone(),
                provider: args.provider.clone(),
            },
            requests: args.requests.clone(),
        };
        if args.strict || file.is_list {
            let mut importer = file.importer()?;
            file.rows(&mut |number, row| {
                let read = row.and_then(|row| importer.row(number, &row));
                if args.strict
                    && let Err(message) = read
                {
                    let problem = RowProblem {
                        row: number,
                        message,
                    };
                    return Err(malformed(path, &problem)).hint(
                        "without `--strict` malformed rows are left out and the rest is imported",
                    );
                }
                Ok(())
            })?;
        }
        Ok(file)
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

    /// Sends what the rows come to, a batch at a time.
    fn read(&self, to: &mpsc::Sender<Vec<Imported>>, printer: &Printer) -> anyhow::Result<LeftOut> {
        let mut importer = self.importer()?;
        let (mut batch, mut left_out) = (Vec::with_capacity(BATCH), LeftOut::default());
        let read = self.rows(&mut |number, row| {
            match row.and_then(|row| importer.row(number, &row)) {
                Ok(records) => batch.extend(records),
                Err(message) => left_out.push(
                    &self.path,
                    RowProblem {
                        row: number,
                        message,
                    },
                    printer,
                ),
            }
            if batch.len() >= BATCH {
                to.blocking_send(std::mem::take(&mut batch))
                    .map_err(|_| NobodyListens)?;
            }
            Ok(())
        });
        match read {
            Err(error) if error.is::<NobodyListens>() => return Ok(left_out),
            read => read?,
        }
        if !batch.is_empty() && to.blocking_send(batch).is_err() {
            return Ok(left_out);
        }
        if left_out.count > NAMED {
            printer.warning(format_args!(
                "{} more rows of `{}` are malformed and left out",
                grouped(left_out.count - NAMED),
                self.path.display()
            ));
        }
        Ok(left_out)
    }

    fn check_that_something_came(
        &self,
        counts: ImportCounts,
        left_out: &LeftOut,
    ) -> anyhow::Result<()> {
        if counts != ImportCounts::default() {
            return Ok(());
        }
        let nothing = format!(
            "`{}` has no row that can be read as `{}`",
            self.path.display(),
            self.format.name()
        );
        match &left_out.first {
            Some(problem) => Err(anyhow::anyhow!("{}", sanitize_line(&problem.to_string())))
                .context(nothing)
                .hint("`--format` names how the file is written; `limbeck traces import --help` lists them"),
            None => Err(anyhow::anyhow!(nothing)),
        }
    }
}

/// The store has stopped taking batches; why is known there.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes the rows any more")]
struct NobodyListens;

impl LeftOut {
    fn push(&mut self, path: &Path, problem: RowProblem, printer: &Printer) {
        if self.count < NAMED {
            printer.warning(format_args!(
                "{}; it is left out",
                malformed(path, &problem)
            ));
        }
        self.count += 1;
        self.first.get_or_insert(problem);
    }
}

fn malformed(path: &Path, problem: &RowProblem) -> anyhow::Error {
    anyhow::anyhow!(
        "`{}`, {}",
        path.display(),
        sanitize_line(&problem.to_string())
    )
}
