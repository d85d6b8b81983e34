//! What can go wrong with a store, with the values a person needs and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another Limbeck process writes to it.
    #[error("the store `{}` is in use by another limbeck process", path.display())]
    Locked {
        /// The store's file.
        path: PathBuf,
    },
    /// Some other program holds a lock on the database.
    #[error("the store `{}` is locked by another program", path.display())]
    Busy {
        /// The store's file.
        path: PathBuf,
    },
    /// It was written by a later Limbeck.
    #[error("the store `{}` has version {found}, this limbeck knows versions up to {known}", path.display())]
    NewerVersion {
        /// The store's file.
        path: PathBuf,
        /// The store's version.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// It was written by an earlier Limbeck and was opened for reading only, so it cannot be brought up to date.
    #[error("the store `{}` has version {found}, version {known} is needed to read it", path.display())]
    OlderVersion {
        /// The store's file.
        path: PathBuf,
        /// The store's version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// There is no file, and it was opened for reading only.
    #[error("there is no store at `{}`", path.display())]
    NotFound {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is no `SQLite` database.
    #[error("`{}` is not a database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a `SQLite` database of some other program.
    #[error("`{}` is a database, but not one of limbeck", path.display())]
    ForeignDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database or something written in it cannot be read.
    #[error("the store `{}` is damaged: {detail}", path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// There is no room left.
    #[error("the disk that holds the store `{}` is full", path.display())]
    DiskFull {
        /// The store's file.
        path: PathBuf,
    },
    /// The file or its folder may not be written.
    #[error("the store `{}` may not be written", path.display())]
    ReadOnly {
        /// The store's file.
        path: PathBuf,
    },
    /// The file, or the lock file beside it, cannot be opened.
    #[error("the store `{}` cannot be opened", path.display())]
    CannotOpen {
        /// The store's file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What is to be written names a prompt or a trace that the store does not hold.
    #[error("the store `{}` does not hold a prompt or trace that was referred to", path.display())]
    UnknownReference {
        /// The store's file.
        path: PathBuf,
    },
    /// No trace has such an id.
    #[error("the store `{}` has no trace `{id}`", path.display())]
    UnknownTrace {
        /// The store's file.
        path: PathBuf,
        /// The id, or the beginning of one, that was asked for.
        id: String,
    },
    /// Several traces have an id that begins so.
    #[error("the store `{}` has several traces that begin with `{prefix}`", path.display())]
    AmbiguousTrace {
        /// The store's file.
        path: PathBuf,
        /// The beginning that was asked for.
        prefix: String,
    },
    /// An answer that cannot be kept as it is.
    #[error("the answer {trace_id} cannot be kept: {reason}")]
    InvalidAnswer {
        /// The trace's id.
        trace_id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else that the database reports.
    #[error("the store `{}` failed", path.display())]
    Database {
        /// The store's file.
        path: PathBuf,
        /// What the database says.
        source: sqlx::Error,
    },
    /// The store could not be created or brought to this version.
    #[error("the store `{}` could not be brought to this version", path.display())]
    Migration {
        /// The store's file.
        path: PathBuf,
        /// What the database says.
        source: sqlx::migrate::MigrateError,
    },
}

impl StoreError {
    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => Some(
                "wait for the other command on this work folder to end, or use another `--workdir`",
            ),
            Self::Busy { .. } => Some("close the program that has the database open"),
            Self::NewerVersion { .. } => {
                Some("update limbeck, or use another `--workdir` to begin a new store")
            }
            Self::OlderVersion { .. } => Some(
                "`limbeck run` or `limbeck harvest` on this work folder brings the store up to date",
            ),
            Self::NotFound { .. } => {
                Some("run a recipe first, or name its work folder with `--workdir`")
            }
            Self::NotADatabase { .. } | Self::ForeignDatabase { .. } => {
                Some("move the file away, or use another `--workdir`")
            }
            Self::Damaged { .. } => Some(
                "nothing was changed; restore the file together with its `-wal` from a copy, or use another `--workdir`",
            ),
            Self::DiskFull { .. } => Some(
                "free some space and run the same command again; every answer counted so far is kept",
            ),
            Self::ReadOnly { .. } => Some("check the permissions of the file and of its folder"),
            Self::UnknownTrace { .. } => Some("`limbeck traces list` shows the ids"),
            Self::AmbiguousTrace { .. } => Some("give more characters of the id"),
            Self::CannotOpen { .. }
            | Self::UnknownReference { .. }
            | Self::InvalidAnswer { .. }
            | Self::Database { .. }
            | Self::Migration { .. } => None,
        }
    }

    /// Tells the errors of `SQLite` apart that a person can do something about.
    pub(crate) fn from_sqlx(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        match SqliteFailure::of(&source) {
            SqliteFailure::Full => Self::DiskFull { path },
            SqliteFailure::NotADatabase => Self::NotADatabase { path },
            SqliteFailure::Corrupt => Self::Damaged {
                path,
                detail: source.to_string(),
            },
            SqliteFailure::Busy => Self::Busy { path },
            SqliteFailure::ReadOnly => Self::ReadOnly { path },
            SqliteFailure::CannotOpen => Self::CannotOpen {
                path,
                source: io::Error::other(source),
            },
            SqliteFailure::ForeignKey => Self::UnknownReference { path },
            SqliteFailure::Other => Self::Database { path, source },
        }
    }
}

enum SqliteFailure {
    Full,
    NotADatabase,
    Corrupt,
    Busy,
    ReadOnly,
    CannotOpen,
    ForeignKey,
    Other,
}

impl SqliteFailure {
    /// By `SQLite`'s result codes, whose low byte is the kind (`https://sqlite.org/rescode.html`).
    fn of(error: &sqlx::Error) -> Self {
        /// `SQLITE_IOERR_SHMSIZE`: the shared memory file beside the log could not grow, which is how a full
        /// disk shows when a store is opened.
        const SHARED_MEMORY_SIZE: i32 = 4874;
        const FOREIGN_KEY: i32 = 787;
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok());
        let Some(code) = code else {
            return Self::Other;
        };
        match (code, code & 0xff) {
            (SHARED_MEMORY_SIZE, _) | (_, 13) => Self::Full,
            (FOREIGN_KEY, _) => Self::ForeignKey,
            (_, 26) => Self::NotADatabase,
            (_, 11) => Self::Corrupt,
            (_, 5 | 6) => Self::Busy,
            (_, 8) => Self::ReadOnly,
            (_, 14) => Self::CannotOpen,
            _ => Self::Other,
        }
    }
}
