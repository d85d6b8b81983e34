//! The key with which a person signs what a recipe declares, and the keys of the persons whose signatures count here.
//!
//! Both are in the environment or in the user's configuration folder, and never in what is signed: whoever can edit a
//! recipe could otherwise name themselves as the one to be trusted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use limbeck_store::ledger::{KeyError, PublicKey, SecretKey};
use limbeck_store::review::{Reviewers, key_name};

use super::{FOLDER_VARIABLE, Origin, kept_secret, path, place, write};
use crate::printer::{WithHint, sanitize_line};
use crate::whole_file;

/// The variable that holds the key itself, for machines without a home.
const KEY_VARIABLE: &str = "LIMBECK_REVIEWER_KEY";
const FILE: &str = "reviewer.key";
/// The variable that holds public keys, parted by white space.
const TRUSTED_VARIABLE: &str = "LIMBECK_TRUSTED_REVIEWERS";
/// A public key a line; lines that begin with `#` are for people.
const TRUSTED_FILE: &str = "trusted-reviewers";

/// This person's key, if there is one.
pub fn existing() -> anyhow::Result<Option<(SecretKey, Origin)>> {
    kept_secret(FILE, KEY_VARIABLE, "limbeck keys new --reviewer NAME")
}

/// Makes the key of the person called `reviewer`, which only this user can read.
pub fn create(reviewer: &str) -> anyhow::Result<(SecretKey, PathBuf)> {
    let path = place(FILE, KEY_VARIABLE)?;
    let key = SecretKey::generate(&key_name(reviewer))
        .map_err(|error| match error {
            KeyError::Name => anyhow::anyhow!(
                "`{}` cannot name a key: a name is not empty, and has no `+` and no control characters in it",
                sanitize_line(reviewer)
            ),
            error => error.into(),
        })
        .hint("`reviewer` of declarations and waivers is to be the same name")?;
    write(&path, &format!("{}\n", key.to_secret_text()))
        .with_context(|| format!("cannot write the key `{}`", path.display()))?;
    Ok((key, path))
}

/// Those whose signatures count on this machine: this person, those that were made known to it, and `given`.
pub fn trusted(given: &[String]) -> anyhow::Result<Reviewers> {
    let mut keys: Vec<PublicKey> = given
        .iter()
        .map(|text| parsed(text))
        .collect::<anyhow::Result<_>>()?;
    keys.extend(existing()?.map(|(key, _)| key.public()));
    if let Some(texts) = std::env::var_os(TRUSTED_VARIABLE) {
        let texts = texts.into_string().ok();
        let texts =
            texts.with_context(|| format!("the variable `{TRUSTED_VARIABLE}` holds no text"))?;
        for text in texts.split_whitespace() {
            let key = parsed(text)
                .with_context(|| format!("the variable `{TRUSTED_VARIABLE}` cannot be used"))?;
            keys.push(key);
        }
    }
    if let Some(path) = path(TRUSTED_FILE) {
        for line in lines(&read(&path)?) {
            let key =
                parsed(line).with_context(|| format!("`{}` cannot be used", path.display()))?;
            keys.push(key);
        }
    }
    Ok(Reviewers::new(keys))
}

/// Makes `keys` known to this machine. Returns those that were new to it, and the file that they are in.
pub fn trust(keys: &[String]) -> anyhow::Result<(Vec<PublicKey>, PathBuf)> {
    let path = path(TRUSTED_FILE)
        .context("this user has no configuration folder")
        .hint(format!(
            "name one with the variable `{FOLDER_VARIABLE}`, or give public keys in `{TRUSTED_VARIABLE}`"
        ))?;
    let mut text = read(&path)?;
    let mut new = Vec::new();
    for key in keys {
        let key = parsed(key)?;
        let line = key.to_string();
        if lines(&text).any(|known| known == line) {
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.extend([line.as_str(), "\n"]);
        new.push(key);
    }
    if !new.is_empty() {
        let folder = whole_file::folder_of(&path);
        fs::create_dir_all(folder)
            .and_then(|()| whole_file::write(&path, text.as_bytes()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok((new, path))
}

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(String::new())
        }
        text => text.with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The public key in `text`.
pub fn parsed(text: &str) -> anyhow::Result<PublicKey> {
    PublicKey::parse(text)
        .with_context(|| format!("`{}` is no public key of a reviewer", sanitize_line(text)))
        .hint("`limbeck keys show --reviewer` prints the one of a person, where that person signs")
}
