//! The `limbeck` command: the door to everything.
//!
//! `main` reads the arguments, runs one command and turns its outcome into an exit code: 0 done, 1 a gate or a check
//! failed, 2 wrong use or an error, 75 something is left at a service for the next run, 130 interrupted. This crate is the only one that prints, reads the environment or
//! reads configuration.

mod args;
mod auditing;
mod commands;
mod digests;
mod dossier;
mod exit_status;
mod import;
mod instruction_set;
mod interrupt;
mod pipeline;
mod printer;
mod progress;
mod recipe;
mod report;
mod rights;
mod signing;
mod sources;
mod table;
mod text;
mod trace_file;
mod whole_file;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Cli, Command};
use commands::stage::Manner;
use commands::{
    audit, bench, chat, completions, init, keys, probe, sign, stage, teachers, terms, traces,
    verify,
};
use exit_status::ExitStatus;
use pipeline::Stage;
use printer::Printer;
use progress::{Progress, ProgressMode};

/// The system's allocator maps and unmaps every large tensor, and the pages' coming and going is a good part of a
/// training step.
#[global_allocator]
static ALLOCATOR: limbeck_model::Allocator = limbeck_model::Allocator;

fn main() -> ExitCode {
    // First of all, since it can only be done while there is one thread.
    limbeck_model::keep_candle_on_one_thread();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime.context("cannot start the threads that wait for files and services") {
        Ok(runtime) => runtime.block_on(program()),
        Err(error) => Printer::new(false).finish(Err(error)).into(),
    }
}

async fn program() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && audit::is_meant(env::args_os()) => {
            // A failure is dropped: there is no place left to report it.
            drop(error.print());
            return ExitStatus::NotEvaluated.into();
        }
        Err(error) => error.exit(),
    };
    let mode = ProgressMode::choose(
        cli.global.progress,
        io::stderr().is_terminal(),
        cli.global.quiet,
    );
    let printer = Printer::new(cli.global.quiet).with_json_messages(mode == ProgressMode::Json);
    let progress = Progress::new(mode, &printer);
    let result = match instruction_set::obey_environment() {
        Ok(()) => run(cli, &printer, &progress).await,
        Err(error) if matches!(cli.command, Command::Audit(_)) => {
            printer.error(&error);
            Ok(ExitStatus::NotEvaluated)
        }
        Err(error) => Err(error),
    };
    printer.finish(result).into()
}

async fn run(cli: Cli, printer: &Printer, progress: &Progress) -> anyhow::Result<ExitStatus> {
    let (args, until) = match &cli.command {
        Command::Run(args) => (&args.stage, Stage::Export),
        Command::Export(args) | Command::Report(args) => (args, Stage::Export),
        Command::Harvest(args) => (&args.stage, Stage::Harvest),
        Command::Curate(args) => (args, Stage::Curate),
        Command::Train(args) => (args, Stage::Train),
        Command::Evaluate(args) => (args, Stage::Evaluate),
        Command::Init(args) => return init::command(&args.dir, printer),
        Command::Teachers(args) => {
            return teachers::run(&args.command, &cli.global, printer, progress).await;
        }
        Command::Terms(args) => return terms::run(&args.command, &cli.global, printer).await,
        Command::Verify(args) => return tokio::task::block_in_place(|| verify::run(args, printer)),
        Command::Sign(args) => return sign::run(args, printer),
        Command::Keys(args) => return keys::run(&args.command, printer).await,
        Command::Traces(args) => return traces::run(&args.command, printer).await,
        Command::Audit(args) => return Ok(audit::run(args, &cli.global, printer).await),
        Command::Chat(args) => return tokio::task::block_in_place(|| chat::run(args, printer)),
        Command::Bench(args) => return bench::run(&args.command, printer).await,
        Command::Probe(args) => return probe::run(args, printer),
        Command::Completions { shell } => return completions::run(*shell, printer),
    };
    let manner = match &cli.command {
        Command::Report(_) => Manner::OnlyLook,
        Command::Run(args) if args.dry_run => Manner::DryRun,
        Command::Harvest(args) if args.dry_run => Manner::DryRun,
        Command::Harvest(args) => Manner::Work {
            retry_failed: args.retry_failed.clone(),
            no_wait: args.no_wait,
        },
        _ => Manner::Work {
            retry_failed: Vec::new(),
            no_wait: false,
        },
    };
    let cancel = interrupt::on_ctrl_c(printer);
    // The state of a whole run is too large for the stack.
    Box::pin(stage::run(
        args,
        until,
        manner,
        &cli.global,
        printer,
        progress,
        cancel,
    ))
    .await
}
