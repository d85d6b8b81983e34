//! `limbeck verify`: an exported folder, held against what goes with it, on a machine that has nothing else.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use limbeck_store::attestation::{Folder, Inspection, Trust, inspect};
use limbeck_store::ledger::PublicKey;
use limbeck_store::review::Reviewers;
use serde_json::json;

use crate::digests;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint, sanitize_line, verdict};
use crate::signing::reviewer;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder of an export
    pub folder: PathBuf,
    /// A public key that the ledger may be signed by, as `limbeck keys show` prints it; may be given several times
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// A checkpoint of the ledger that was kept elsewhere, which the one in the folder must go on from
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The public key of a person whose signatures under declarations and waivers count, as
    /// `limbeck keys show --reviewer` prints it; may be given several times
    #[arg(long = "reviewer-key", value_name = "KEY")]
    pub reviewers: Vec<String>,
    /// JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Checks the folder: done if all is well, a failed check if something is wrong, an error if it cannot be told.
pub fn run(args: &VerifyArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let trust = trust(args)?;
    let folder = read(&args.folder)?;
    let found = inspect(&folder, &trust)
        .with_context(|| format!("cannot verify `{}`", args.folder.display()))
        .hint("it verifies the folder that `limbeck export` writes, `export` in a work folder")?;
    let status = status(&found);
    let told = if args.json {
        let wrong = found.wrong.iter();
        let wrong: Vec<_> = wrong
            .map(|wrong| json!({"file": wrong.file, "what": wrong.what}))
            .collect();
        let value = json!({
            "folder": args.folder.display().to_string(),
            "exit_code": status.code(),
            "checked": found.checked,
            "wrong": wrong,
            "unanswered": found.unanswered,
            "open": found.open,
        });
        printer.json(serde_json::to_string_pretty(&value)?)
    } else {
        printer.line(text(&found))
    };
    verdict(told, status)
}

fn status(found: &Inspection) -> ExitStatus {
    if !found.wrong.is_empty() {
        ExitStatus::CheckFailed
    } else if !found.unanswered.is_empty() {
        ExitStatus::Error
    } else {
        ExitStatus::Success
    }
}

fn text(found: &Inspection) -> String {
    let mut lines = Vec::new();
    for wrong in &found.wrong {
        let line = format!("`{}`: {}", wrong.file, wrong.what);
        lines.push(format!("wrong       {}", sanitize_line(&line)));
    }
    for (label, sentences) in [
        ("right", &found.checked),
        ("unanswered", &found.unanswered),
        ("open", &found.open),
    ] {
        let sentences = sentences.iter();
        lines.extend(sentences.map(|line| format!("{label:<11} {}", sanitize_line(line))));
    }
    lines.push(match (found.wrong.len(), found.unanswered.len()) {
        (0, 0) => "\nNothing is wrong with this folder.".to_owned(),
        (0, _) => {
            "\nNothing is wrong with this folder, and what was asked could not be told.".to_owned()
        }
        (1, _) => "\nOne thing is wrong with this folder.".to_owned(),
        (many, _) => format!("\n{many} things are wrong with this folder."),
    });
    lines.join("\n")
}

fn trust(args: &VerifyArgs) -> anyhow::Result<Trust> {
    let key = |text: &String| {
        PublicKey::parse(text)
            .with_context(|| format!("`{}` is no public key", sanitize_line(text)))
            .hint("`limbeck keys show` prints the one of a machine")
    };
    let reviewers = args.reviewers.iter().map(|text| reviewer::parsed(text));
    let checkpoint = args.checkpoint.as_ref().map(|path| {
        fs::read_to_string(path)
            .with_context(|| format!("cannot read the checkpoint `{}`", path.display()))
    });
    Ok(Trust {
        keys: args.keys.iter().map(key).collect::<anyhow::Result<_>>()?,
        checkpoint: checkpoint.transpose()?,
        reviewers: Reviewers::new(reviewers.collect::<anyhow::Result<_>>()?),
    })
}

/// The folder with the documents in it that are small enough to be what they should be.
fn read(path: &Path) -> anyhow::Result<Folder> {
    // The folder itself may be named by a link, as `export` in a work folder is one.
    let path =
        fs::canonicalize(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let contents = digests::of_folder(&path)?;
    let mut folder = Folder {
        files: contents.files,
        others: contents.others,
        ..Folder::default()
    };
    for name in Folder::DOCUMENTS {
        let known = folder.files.iter().find(|file| file.path == name);
        if known.is_none_or(|file| file.bytes > Folder::MOST_BYTES) {
            continue;
        }
        let at = path.join(name);
        let mut bytes = Vec::new();
        // Not more than was measured, whoever writes to it meanwhile.
        File::open(&at)
            .and_then(|file| file.take(Folder::MOST_BYTES).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read `{}`", at.display()))?;
        folder.documents.insert(name.to_owned(), bytes);
    }
    Ok(folder)
}
