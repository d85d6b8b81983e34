//! `limbeck traces export`: answers for other programs.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use futures::TryStreamExt;
use limbeck_store::{Store, Verdict, VerdictFilter};

use super::croissant::{self, Described};
use super::{open, verdict_filter};
use crate::exit_status::ExitStatus;
use crate::interrupt;
use crate::printer::{Printer, WithHint};
use crate::text::grouped;
use crate::trace_file::{Row, TraceFormat, TraceSink};
use crate::whole_file;

/// Arguments of `traces export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The work folder of a run
    #[arg(long, value_name = "DIR")]
    pub workdir: PathBuf,
    /// How the traces are written
    #[arg(long, value_enum, default_value_t = TraceFormat::Jsonl)]
    pub format: TraceFormat,
    /// The file to write; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Describe the file in Croissant, a form that loaders of data sets read, in this file beside it
    #[arg(long, value_name = "FILE", requires = "output")]
    pub croissant: Option<PathBuf>,
    /// The licence that the description gives the data, as an SPDX identifier
    #[arg(long, value_name = "SPDX", requires = "croissant")]
    pub license: Option<String>,
    /// The version that the description gives the data, as MAJOR.MINOR.PATCH (default: 1.0.0 with digits of the file's
    /// SHA-256)
    #[arg(long, value_name = "VERSION", requires = "croissant", value_parser = version)]
    pub dataset_version: Option<String>,
    /// Only those that every check kept
    #[arg(long, conflicts_with = "dropped")]
    pub kept: bool,
    /// Only those that a check dropped
    #[arg(long)]
    pub dropped: bool,
}

/// Three numbers and, after a `-` or a `+`, whatever else: the form that loaders of data sets hold versions to.
fn version(text: &str) -> Result<String, String> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() == 3 && parts.iter().all(is_number) {
        return Ok(text.to_owned());
    }
    Err("a version is MAJOR.MINOR.PATCH, such as 1.2.0".to_owned())
}

/// Exports the traces of a work folder.
pub async fn run(args: &ExportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let store = open(&args.workdir).await?;
    if args.croissant.is_some() && is_output(&args.output) {
        return Err(anyhow::anyhow!(
            "standard output is no file that could be described"
        ))
        .hint("name a file with `--output FILE`");
    }
    let verdict = verdict_filter(args.kept, args.dropped);
    let mut sink = sink(args, printer)?;
    let cancel = interrupt::on_ctrl_c(printer);
    let erased = store.erased_traces().await?;
    let mut traces = store.export_traces(verdict);
    let mut count = 0;
    while let Some(mut trace) = traces.try_next().await? {
        if cancel.is_cancelled() {
            return Ok(ExitStatus::Interrupted);
        }
        if erased.contains(&trace.record.id) {
            if verdict == Some(VerdictFilter::Kept) {
                continue;
            }
            trace.kept = Some(false);
            trace.verdicts = vec![was_erased(&trace.record.id)];
        }
        sink.write(Row::from(trace))?;
        count += 1;
    }
    drop(traces);
    sink.finish()?;
    if count == 0 {
        printer.warning(match verdict {
            Some(VerdictFilter::Kept) => "no trace was judged and kept",
            Some(_) => "no trace was judged and dropped",
            None => "the store has no traces",
        });
    }
    if !is_output(&args.output) {
        let name = args.output.display();
        printer.done("Wrote", format_args!("{} traces to {name}", grouped(count)));
    }
    if let Some(path) = &args.croissant {
        describe(&store, args, path).await?;
        printer.done("Wrote", path.display());
    }
    Ok(ExitStatus::Success)
}

/// Describes the file that was written, as the data set of the run.
async fn describe(store: &Store, args: &ExportArgs, path: &Path) -> anyhow::Result<()> {
    let run = store.runs().await?.pop();
    let folder = args.workdir.file_name().unwrap_or_default();
    let name = run.map_or_else(|| folder.to_string_lossy().into_owned(), |run| run.recipe);
    let described = Described {
        name: &name,
        license: args.license.as_deref(),
        version: args.dataset_version.as_deref(),
    };
    let text = croissant::describe(store, &described, &args.output, args.format).await?;
    whole_file::write(path, text.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// What stands for the verdicts on a trace that is no more.
fn was_erased(trace_id: &str) -> Verdict {
    Verdict {
        trace_id: trace_id.to_owned(),
        check: "erased".to_owned(),
        keep: false,
        value: None,
        reason: "its answer was erased".to_owned(),
    }
}

fn sink(args: &ExportArgs, printer: &Printer) -> anyhow::Result<TraceSink> {
    match (args.format, is_output(&args.output)) {
        (TraceFormat::Jsonl, true) => Ok(TraceSink::Output(printer.clone())),
        (TraceFormat::Parquet, true) => {
            Err(anyhow::anyhow!("Parquet is not written to standard output"))
                .hint("name a file with `--output FILE`")
        }
        (format, false) => TraceSink::create(&args.output, format),
    }
}

fn is_output(path: &Path) -> bool {
    path == Path::new("-")
}
