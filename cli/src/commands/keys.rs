//! `limbeck keys`: the keys that sign the ledger's checkpoints and exported models.

use anyhow::Context;
use limbeck_store::Store;

use crate::args::KeysCommand;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint};
use crate::signing::{Origin, ledger, model};

/// Makes a key, or prints the public half of the one there is.
pub async fn run(command: &KeysCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        KeysCommand::New => {
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
