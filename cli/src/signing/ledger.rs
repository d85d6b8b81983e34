//! Where the key is that signs the ledger's checkpoints: in the environment, or in the user's configuration folder.

use std::io;
use std::path::PathBuf;

use anyhow::Context;
use limbeck_store::Store;
use limbeck_store::ledger::SecretKey;

use super::{Origin, kept_secret, place, write};
use crate::printer::Printer;

/// The variable that holds the key itself, for machines without a home.
const KEY_VARIABLE: &str = "LIMBECK_LEDGER_KEY";
const FILE: &str = "ledger.key";
/// What a key is called until a log's name is put in its place.
const NAME: &str = "limbeck";

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
    kept_secret(FILE, KEY_VARIABLE, "limbeck keys new")
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
