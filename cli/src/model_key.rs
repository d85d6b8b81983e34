//! Where the key is that signs exported models: in the environment, or beside the ledger's key.

use std::fs;
use std::io;

use anyhow::Context;
use limbeck_store::attestation::ModelKey;

use crate::ledger_key;
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
    if let Some(value) = std::env::var_os(KEY_VARIABLE).filter(|value| !value.is_empty()) {
        let key = value
            .to_str()
            .with_context(|| format!("the variable `{KEY_VARIABLE}` holds no text"))?;
        let key = ModelKey::parse(key)
            .with_context(|| format!("the variable `{KEY_VARIABLE}` holds no key"))
            .hint("it holds the whole content of `model.key`, which begins with `-----BEGIN PRIVATE KEY-----`")?;
        return Ok(Some(key));
    }
    let Some(path) = ledger_key::path(FILE) else {
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
    let key = ModelKey::parse(&text)
        .with_context(|| format!("`{}` holds no key", path.display()))
        .hint("restore the file from a copy, or move it away: the next export makes another")?;
    Ok(Some(key))
}

/// Makes a key that only this user can read.
fn create() -> anyhow::Result<ModelKey> {
    let path = ledger_key::place(FILE, KEY_VARIABLE)?;
    let key = ModelKey::generate()?;
    match ledger_key::write(&path, &key.to_secret_text()) {
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
