//! `limbeck sign`: a person's signature under what a recipe declares, waives, clarifies and excepts.

mod in_place;
mod wanted;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint, sanitize_line};
use crate::recipe::Recipe;
use crate::rights::today;
use crate::signing::reviewer;
use crate::whole_file;
use in_place::with_signatures;
use wanted::{Now, Wanted, wanted};

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The recipe
    pub recipe: PathBuf,
    /// Print the lines to paste, and leave the file as it is
    #[arg(long)]
    pub print: bool,
}

/// Signs what the holder of the key answers for, and tells what is left unsigned and why.
pub fn run(args: &SignArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let recipe = Recipe::load(&args.recipe)?;
    let (key, _) = reviewer::existing()?
        .context("there is no key of a reviewer to sign with")
        .hint("`limbeck keys new --reviewer NAME` makes one, in the name of the person who answers for what is signed")?;
    let reviewers = reviewer::trusted(&[])?;
    let all = wanted(&recipe, &key, &reviewers, today())?;
    let signed: Vec<&Wanted> = all
        .iter()
        .filter(|wanted| matches!(wanted.now, Now::Signed(_)))
        .collect();
    if args.print {
        for wanted in &signed {
            printer.line(format_args!("# {}", sanitize_line(&wanted.what)))?;
            printer.line(in_place::line(wanted))?;
        }
    } else if !signed.is_empty() {
        let text = with_signatures(recipe.text(), &signed)?;
        let after = Recipe::parse(recipe.path(), &text)?;
        let left = wanted(&after, &key, &reviewers, today())?;
        let is_done = !left
            .iter()
            .any(|wanted| matches!(wanted.now, Now::Signed(_)));
        ensure!(
            is_done && after.says_the_same_as(&recipe),
            "`{}` cannot be signed in place; `--print` prints the lines to paste",
            recipe.path().display()
        );
        // A link stays one, to a file that is signed.
        let path = recipe.path().canonicalize();
        path.and_then(|path| whole_file::write(&path, text.as_bytes()))
            .with_context(|| format!("cannot write `{}`", recipe.path().display()))?;
    }
    tell(&all, &recipe, &key.public().short(), printer);
    let is_left = all.iter().any(|wanted| matches!(wanted.now, Now::Left(_)));
    Ok(if is_left {
        ExitStatus::CheckFailed
    } else {
        ExitStatus::Success
    })
}

fn tell(all: &[Wanted], recipe: &Recipe, signer: &str, printer: &Printer) {
    if all.is_empty() {
        let path = recipe.path().display();
        printer.status(format_args!("nothing in `{path}` wants a signature"));
    }
    for wanted in all {
        let what = sanitize_line(&wanted.what);
        match &wanted.now {
            Now::Holds => printer.status(format_args!("signed before: {what}")),
            Now::Signed(_) => {
                let signer = sanitize_line(signer);
                printer.status(format_args!("signed with `{signer}`: {what}"));
            }
            Now::Left(why) => {
                printer.warning(format_args!("not signed: {what}: {}", sanitize_line(why)));
            }
        }
    }
}
