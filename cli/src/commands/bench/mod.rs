//! `limbeck bench`: the speed of this machine, and of a model on it.

pub mod args;
mod decode;
mod ledger;
pub mod requests;
mod train;

use args::BenchCommand;

use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// Measures and prints.
pub async fn run(command: &BenchCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        BenchCommand::Decode(args) => decode::run(args, printer),
        BenchCommand::Requests(args) => requests::run(args, printer),
        BenchCommand::Train(args) => train::run(args, printer),
        BenchCommand::Ledger(args) => ledger::run(args, printer).await,
    }
}
