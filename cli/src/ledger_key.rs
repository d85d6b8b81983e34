//! Where the key is that signs the ledger's checkpoints: in the environment, or in the user's configuration folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use limbeck_store::Store;
use limbeck_store::ledger::SecretKey;

use crate::printer::{Printer, WithHint};

/// The variable that holds the key itself, for machines without a home.
const KEY_VARIABLE: &str = "LIMBECK_LEDGER_KEY";
/// The variable that names another configuration folder.
const FOLDER_VARIABLE: &str = "LIMBECK_CONFIG_DIR";
const FILE: &str = "ledger.key";
/// What a key's file is called until it is whole.
const BESIDE: &str = ".limbeck-key";
/// What a key is called until a log's name is put in its place.
const NAME: &str = "limbeck";

/// Where the key came from.
#[derive(Debug)]
pub enum Origin {
    /// The environment.
    Variable,
    /// A file that was there.
    File(PathBuf),
    /// A file that was made just now.
    New(PathBuf),
}

/// Lets the store's checkpoints be signed, by a key that is made where there is none.
///
/// A key that is not readable is an error. Where none can be kept, checkpoints stay unsigned and a person is told.
/// Returns the key, with which what is said about the store's content is signed as well.
pub async fn sign_with_it(store: &Store, printer: &Printer) -> anyhow::Result<Option<SecretKey>> {
    if let Some((key, _)) = existing()? {
        store.sign_checkpoints_with(key.clone()).await?;
        return Ok(Some(key));
    }
    match create() {
        Ok((key, path)) => {
            printer.status(format_args!(
                "made a key that signs the ledger: `{}` (`limbeck keys show` prints its public half)",
                path.display()
            ));
            store.sign_checkpoints_with(key.clone()).await?;
            Ok(Some(key))
        }
        Err(error) => {
            printer.warning(format_args!(
                "the ledger's checkpoints are not signed, because no key can be kept: {error:#}"
            ));
            Ok(None)
        }
    }
}

/// The key in the environment or in the user's configuration folder, if there is one.
pub fn existing() -> anyhow::Result<Option<(SecretKey, Origin)>> {
    if let Some(value) = std::env::var_os(KEY_VARIABLE).filter(|value| !value.is_empty()) {
        let key = value
            .to_str()
            .with_context(|| format!("the variable `{KEY_VARIABLE}` holds no text"))?;
        let key = SecretKey::parse(key)
            .with_context(|| format!("the variable `{KEY_VARIABLE}` holds no key"))
            .hint("it holds the whole line of a key file, which begins with `PRIVATE+KEY+`")?;
        return Ok(Some((key, Origin::Variable)));
    }
    let Some(path) = path(FILE) else {
        return Ok(None);
    };
    let text = match fs::read_to_string(&path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        text => text.with_context(|| format!("cannot read the key `{}`", path.display()))?,
    };
    let key = SecretKey::parse(&text)
        .with_context(|| format!("`{}` holds no key", path.display()))
        .hint("restore the file from a copy, or move it away and make another with `limbeck keys new`")?;
    Ok(Some((key, Origin::File(path))))
}

/// The key, made where there is none.
pub fn existing_or_new() -> anyhow::Result<(SecretKey, Origin)> {
    if let Some(found) = existing()? {
        return Ok(found);
    }
    let (key, path) = create()?;
    Ok((key, Origin::New(path)))
}

/// Makes a key that only this user can read.
fn create() -> anyhow::Result<(SecretKey, PathBuf)> {
    let path = place(FILE, KEY_VARIABLE)?;
    let key = SecretKey::generate(NAME)?;
    match write(&path, &format!("{}\n", key.to_secret_text())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another process was first.
            let (key, _) = existing()?.context("a key was there and is gone")?;
            Ok((key, path))
        }
        written => {
            written.with_context(|| format!("cannot write the key `{}`", path.display()))?;
            Ok((key, path))
        }
    }
}

/// Writes the text of a key beside, readable by this user alone, and gives it its name only if no other process made
/// one meanwhile.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
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
pub fn place(file: &str, variable: &str) -> anyhow::Result<PathBuf> {
    path(file)
        .context("this user has no configuration folder")
        .hint(format!(
            "name one with the variable `{FOLDER_VARIABLE}`, or give a key in `{variable}`"
        ))
}

/// Where a key called `file` is, if this user has a configuration folder.
pub fn path(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
    let folder = match folder {
        Some(folder) => PathBuf::from(folder),
        None => dirs::config_dir()?.join("limbeck"),
    };
    Some(folder.join(file))
}
