//! `limbeck keys`: the keys that sign the ledger's checkpoints, exported models and what persons declare.

use anyhow::Context;
use limbeck_store::Store;

use crate::args::KeysCommand;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint, sanitize_line};
use crate::signing::{Origin, ledger, model, reviewer};

/// Makes a key, or prints the public half of the one there is.
pub async fn run(command: &KeysCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        KeysCommand::New {
            reviewer: Some(name),
        } => new_reviewer(name, printer)?,
        KeysCommand::New { reviewer: None } => {
            let (key, origin) = ledger::existing_or_new()?;
            match origin {
                Origin::New(path) => printer.status(format_args!("made `{}`", path.display())),
                Origin::File(path) => {
                    return Err(anyhow::anyhow!(
                        "there is a key already: `{}`",
                        path.display()
                    ))
                    .hint(
                        "`limbeck keys show` prints its public half; move it away to make another",
                    );
                }
                Origin::Variable => {
                    return Err(anyhow::anyhow!(
                        "there is a key already, in the environment"
                    ))
                    .hint("`limbeck keys show` prints its public half");
                }
            }
            printer.line(key.public())?;
        }
        KeysCommand::Show { model: true, .. } => {
            let key = model::existing()?
                .context("there is no key for models yet")
                .hint("the first export makes one")?;
            printer.line(key.public().to_pem().trim_end())?;
        }
        KeysCommand::Show { reviewer: true, .. } => {
            let (key, _) = reviewer::existing()?
                .context("there is no key of a reviewer yet")
                .hint("`limbeck keys new --reviewer NAME` makes one")?;
            printer.line(key.public())?;
        }
        KeysCommand::Trust { keys } => {
            let (new, path) = reviewer::trust(keys)?;
            for key in &new {
                printer.status(format_args!(
                    "`{}` counts from now on (`{}`)",
                    sanitize_line(&key.short()),
                    path.display()
                ));
            }
            if new.is_empty() {
                printer.status("all of them counted before");
            }
        }
        KeysCommand::Show { workdir, .. } => {
            let found = ledger::existing()?;
            let (key, origin) = found
                .context("there is no key yet")
                .hint("`limbeck keys new` makes one, and so does the first run")?;
            let mut public = key.public();
            if let Some(workdir) = workdir {
                let store = Store::open_read_only(&workdir.join("limbeck.db")).await?;
                public = public.named(&store.ledger_origin().await?)?;
            }
            printer.line(public)?;
            match origin {
                Origin::File(path) | Origin::New(path) => {
                    printer.status(format_args!("of `{}`", path.display()));
                }
                Origin::Variable => printer.status("of the key in the environment"),
            }
        }
    }
    Ok(ExitStatus::Success)
}

fn new_reviewer(name: &str, printer: &Printer) -> anyhow::Result<()> {
    if let Some((key, _)) = reviewer::existing()? {
        let key = sanitize_line(&key.public().short());
        return Err(anyhow::anyhow!(
            "there is a reviewer's key already, `{key}`"
        ))
        .hint(
            "`limbeck keys show --reviewer` prints its public half; move it away to make another",
        );
    }
    let (key, path) = reviewer::create(name)?;
    printer.status(format_args!("made `{}`", path.display()));
    printer.line(key.public())?;
    Ok(())
}
