//! `limbeck traces import`: answers that were asked for elsewhere.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use limbeck_store::terms::Registry;
use limbeck_store::{ImportCounts, Store};
use serde_json::json;
use tokio::sync::mpsc;

use crate::exit_status::ExitStatus;
use crate::import::{Declared, Format, ImportFile};
use crate::interrupt;
use crate::pipeline::workdir::Workdir;
use crate::printer::{Printer, WithHint, sanitize_line};
use crate::signing;
use crate::table::RowProblem;
use crate::text::grouped;

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
    let file = look_at(args)?;
    let workdir = Workdir::create(&args.workdir)?;
    let store = Store::open(&workdir.store()).await?;
    signing::ledger::sign_with_it(&store, printer).await?;
    store.tell_terms(Registry::embedded()?, Vec::new());
    let cancel = interrupt::on_ctrl_c(printer);
    let (sender, mut batches) = mpsc::channel(READ_AHEAD);
    let reading = {
        let (file, printer) = (file.clone(), printer.clone());
        tokio::task::spawn_blocking(move || read(&file, &sender, &printer))
    };
    let mut counts = ImportCounts::default();
    while let Some(batch) = batches.recv().await {
        counts.add(store.import(&batch).await?.counts);
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
    check_that_something_came(&file, counts, &left_out)?;
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
    if counts.erased > 0 {
        text.extend([
            "; ",
            &grouped(counts.erased),
            " were erased before and stay out",
        ]);
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

/// A first pass: the digest for the receipts, whether a list can be read to its end, and with `--strict` whether every
/// row can, so that nothing is imported otherwise.
fn look_at(args: &ImportArgs) -> anyhow::Result<ImportFile> {
    let declared = Declared {
        source: args.source.clone(),
        license: args.license.clone(),
        model: args.model.clone(),
        provider: args.provider.clone(),
    };
    let file = ImportFile::look_at(&args.file, args.format, declared, args.requests.as_deref())?;
    if args.strict
        && let Some(problem) = file.first_problem()?
    {
        return Err(anyhow::anyhow!("{}", file.malformed(&problem)))
            .hint("without `--strict` malformed rows are left out and the rest is imported");
    }
    Ok(file)
}

/// Rows that could not be imported.
#[derive(Default)]
struct LeftOut {
    count: u64,
    first: Option<RowProblem>,
}

/// Sends what the rows come to, a batch at a time, and names those that are left out.
fn read(
    file: &ImportFile,
    to: &mpsc::Sender<Vec<limbeck_store::Imported>>,
    printer: &Printer,
) -> anyhow::Result<LeftOut> {
    let mut left_out = LeftOut::default();
    file.send(
        to,
        |_| true,
        |problem| {
            if left_out.count < NAMED {
                printer.warning(format_args!("{}; it is left out", file.malformed(&problem)));
            }
            left_out.count += 1;
            left_out.first.get_or_insert(problem);
        },
    )?;
    if left_out.count > NAMED {
        printer.warning(format_args!(
            "{} more rows of `{}` are malformed and left out",
            grouped(left_out.count - NAMED),
            file.path().display()
        ));
    }
    Ok(left_out)
}

fn check_that_something_came(
    file: &ImportFile,
    counts: ImportCounts,
    left_out: &LeftOut,
) -> anyhow::Result<()> {
    if counts != ImportCounts::default() {
        return Ok(());
    }
    let nothing = file.nothing_came();
    match &left_out.first {
        Some(problem) => Err(anyhow::anyhow!("{}", sanitize_line(&problem.to_string())))
            .context(nothing)
            .hint("`--format` names how the file is written; `limbeck traces import --help` lists them"),
        None => Err(anyhow::anyhow!(nothing)),
    }
}
