//! `limbeck completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// Prints the completion script of `shell`.
pub fn run(shell: Shell, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "limbeck", &mut script);
    printer.raw(String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Success)
}
