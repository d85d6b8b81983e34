//! Keys that sign, each in the environment or in a file of the user's configuration folder.

pub mod ledger;
pub mod model;
pub mod reviewer;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use limbeck_store::ledger::SecretKey;

use crate::printer::WithHint;

/// The variable that names another configuration folder.
const FOLDER_VARIABLE: &str = "LIMBECK_CONFIG_DIR";
/// What a key's file is called until it is whole.
const BESIDE: &str = ".limbeck-key";

/// Where a key came from.
#[derive(Debug)]
pub enum Origin {
    /// The environment.
    Variable,
    /// A file that was there.
    File(PathBuf),
    /// A file that was made just now.
    New(PathBuf),
}

impl Origin {
    /// What it is called in errors; `variable` is that of the key.
    fn place(&self, variable: &str) -> String {
        match self {
            Self::Variable => format!("the variable `{variable}`"),
            Self::File(path) | Self::New(path) => format!("`{}`", path.display()),
        }
    }
}

/// The text of a key in the environment or in the file called `file`, if there is one.
fn kept(file: &str, variable: &str) -> anyhow::Result<Option<(String, Origin)>> {
    if let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        let text = value
            .into_string()
            .ok()
            .with_context(|| format!("the variable `{variable}` holds no text"))?;
        return Ok(Some((text, Origin::Variable)));
    }
    let Some(path) = path(file) else {
        return Ok(None);
    };
    match fs::read_to_string(&path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        text => {
            let text = text.with_context(|| format!("cannot read the key `{}`", path.display()))?;
            Ok(Some((text, Origin::File(path))))
        }
    }
}

/// The Ed25519 key in the environment or in the file called `file`, if there is one; `make` is the command that makes
/// another.
fn kept_secret(
    file: &str,
    variable: &str,
    make: &str,
) -> anyhow::Result<Option<(SecretKey, Origin)>> {
    let Some((text, origin)) = kept(file, variable)? else {
        return Ok(None);
    };
    let key = SecretKey::parse(&text)
        .with_context(|| format!("{} holds no key", origin.place(variable)))
        .hint(match origin {
            Origin::Variable => {
                "it holds the whole line of a key file, which begins with `PRIVATE+KEY+`".to_owned()
            }
            _ => format!(
                "restore the file from a copy, or move it away and make another with `{make}`"
            ),
        })?;
    Ok(Some((key, origin)))
}

/// Writes the text of a key beside, readable by this user alone, and gives it its name only if no other process made
/// one meanwhile.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = tempfile::Builder::new()
        .prefix(BESIDE)
        .make_in(folder, open_privately)?;
    let mut file = beside.as_file();
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    beside.persist_noclobber(path)?;
    Ok(())
}

fn open_privately(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Where a key called `file` is to be kept.
fn place(file: &str, variable: &str) -> anyhow::Result<PathBuf> {
    path(file)
        .context("this user has no configuration folder")
        .hint(format!(
            "name one with the variable `{FOLDER_VARIABLE}`, or give a key in `{variable}`"
        ))
}

/// Where a key called `file` is, if this user has a configuration folder.
fn path(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
    let folder = match folder {
        Some(folder) => PathBuf::from(folder),
        None => dirs::config_dir()?.join("limbeck"),
    };
    Some(folder.join(file))
}
