//! Where the key is that signs exported models: in the environment, or beside the ledger's key.

use std::io;

use anyhow::Context;
use limbeck_store::attestation::ModelKey;

use super::{Origin, kept, place, write};
use crate::printer::{Printer, WithHint};

/// The variable that holds the key itself, for machines without a home.
const KEY_VARIABLE: &str = "LIMBECK_MODEL_KEY";
const FILE: &str = "model.key";

/// The key, made where there is none. Where none can be kept, models stay unsigned and a person is told.
pub fn existing_or_new(printer: &Printer) -> anyhow::Result<Option<ModelKey>> {
    if let Some(key) = existing()? {
        return Ok(Some(key));
    }
    match create() {
        Ok(key) => Ok(Some(key)),
        Err(error) => {
            printer.warning(format_args!(
                "the exported model is not signed, because no key can be kept: {error:#}"
            ));
            Ok(None)
        }
    }
}

/// The key in the environment or in the user's configuration folder, if there is one.
pub fn existing() -> anyhow::Result<Option<ModelKey>> {
    let Some((text, origin)) = kept(FILE, KEY_VARIABLE)? else {
        return Ok(None);
    };
    let key = ModelKey::parse(&text)
        .with_context(|| format!("{} holds no key", origin.place(KEY_VARIABLE)))
        .hint(match origin {
            Origin::Variable => "it holds the whole content of `model.key`, which begins with `-----BEGIN PRIVATE KEY-----`",
            _ => "restore the file from a copy, or move it away: the next export makes another",
        })?;
    Ok(Some(key))
}

/// Makes a key that only this user can read.
fn create() -> anyhow::Result<ModelKey> {
    let path = place(FILE, KEY_VARIABLE)?;
    let key = ModelKey::generate()?;
    match write(&path, &key.to_secret_text()) {
        // Another process was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            existing()?.context("a key was there and is gone")
        }
        written => {
            written.with_context(|| format!("cannot write the key `{}`", path.display()))?;
            Ok(key)
        }
    }
}
