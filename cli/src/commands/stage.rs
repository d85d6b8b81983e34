//! `limbeck run` and the commands of single stages: the same road, to different ends.

use std::path::PathBuf;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::args::{GlobalArgs, StageArgs};
use crate::exit_status::ExitStatus;
use crate::pipeline::{Ended, Options, Pipeline, Stage, Surroundings};
use crate::printer::{Printer, WithHint};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::report::Report;
use crate::sources::Cache;

/// What is done on the road.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// What is not done yet; these kinds of failures are asked again.
    Work {
        /// As in `--retry-failed`.
        retry_failed: Vec<String>,
        /// As in `--no-wait`.
        no_wait: bool,
    },
    /// Nothing; what is done is reported.
    OnlyLook,
    /// Nothing; what asking would take is told.
    DryRun,
}

/// Goes down the road of `args.recipe` until `until`.
pub async fn run(
    args: &StageArgs,
    until: Stage,
    manner: Manner,
    global: &GlobalArgs,
    printer: &Printer,
    progress: &Progress,
    cancel: CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let recipe = Recipe::load(&args.recipe)?;
    let workdir = match &args.workdir {
        Some(dir) => dir.clone(),
        None => PathBuf::from("runs").join(recipe.name()),
    };
    let surroundings = Surroundings {
        workdir: workdir.clone(),
        cache: Cache::new(
            cache_dir(global)?,
            global.offline || manner == Manner::OnlyLook,
        ),
        printer: printer.clone(),
        progress: progress.clone(),
        cancel,
    };
    let options = Options {
        limit: args.limit,
        strict: args.strict,
        only_look: manner == Manner::OnlyLook,
        retry_failed: match &manner {
            Manner::Work { retry_failed, .. } => retry_failed.clone(),
            Manner::OnlyLook | Manner::DryRun => Vec::new(),
        },
        no_wait: matches!(manner, Manner::Work { no_wait: true, .. }),
    };
    let pipeline = Pipeline::open(recipe, options, surroundings).await?;
    if manner == Manner::DryRun {
        let estimates = pipeline.dry_run(until).await?;
        crate::pipeline::estimate::print(&estimates, args.json, printer)?;
        return Ok(ExitStatus::Success);
    }
    let report = match Box::pin(pipeline.run(until)).await? {
        Ended::Done(report) => report,
        Ended::Interrupted => {
            printer.status(
                "stopped; what was answered is kept, and the same command goes on from here",
            );
            return Ok(ExitStatus::Interrupted);
        }
        Ended::Unfinished(left) => {
            printer.status(crate::pipeline::batches::left_in_words(left));
            return Ok(ExitStatus::Unfinished);
        }
    };
    if args.json {
        printer.json(report.to_json()?)?;
    } else {
        crate::report::summary::print(&report, &workdir, printer)?;
    }
    Ok(status(&report, args.no_gates))
}

fn status(report: &Report, no_gates: bool) -> ExitStatus {
    if no_gates || report.gates_passed() {
        ExitStatus::Success
    } else {
        ExitStatus::CheckFailed
    }
}

/// The folder of downloads: as told, or `limbeck` in the user's cache folder.
pub fn cache_dir(global: &GlobalArgs) -> anyhow::Result<PathBuf> {
    match &global.cache_dir {
        Some(dir) => Ok(dir.clone()),
        None => dirs::cache_dir()
            .map(|dir| dir.join("limbeck"))
            .context("this user has no cache folder")
            .hint("name one with `--cache-dir DIR`"),
    }
}
