//! Hashing of what is on disk and of what is on its way there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::error::SourceError;
use crate::whole_file;

/// Files that are still on their way have names that start so; what a killed process left is found by it.
pub(super) const PARTIAL_PREFIX: &str = ".partial-";

/// More than any file that a recipe of today names; a server that never stops sending is cut off here.
pub(super) const MAX_BYTES: u64 = 256 << 30;

/// A file beside its final name that hashes what is written to it.
pub(super) struct HashedFile {
    file: NamedTempFile,
    hasher: Sha256,
    bytes: u64,
}

/// A whole file under a temporary name.
pub(super) struct Hashed {
    pub(super) file: NamedTempFile,
    /// Hex.
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl HashedFile {
    pub(super) fn create(folder: &Path) -> Result<Self, SourceError> {
        let file = partial_file(folder).map_err(SourceError::file("write to", folder))?;
        Ok(Self {
            file,
            hasher: Sha256::new(),
            bytes: 0,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    /// Syncs the file to disk.
    pub(super) fn finish(self) -> Result<Hashed, SourceError> {
        let path = self.path();
        self.file
            .as_file()
            .sync_all()
            .map_err(SourceError::file("write", path))?;
        Ok(Hashed {
            file: self.file,
            sha256: hex::encode(self.hasher.finalize()),
            bytes: self.bytes,
        })
    }
}

impl Write for HashedFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file in `folder` that goes away unless it is given a name.
pub(super) fn partial_file(folder: &Path) -> io::Result<NamedTempFile> {
    whole_file::beside(folder, PARTIAL_PREFIX)
}

/// SHA-256 in hex and size in bytes of a file, or of a folder: over the names and digests of its files, sorted.
pub(super) fn of_path(path: &Path) -> Result<(String, u64), SourceError> {
    if path.is_dir() {
        of_folder(path)
    } else {
        of_file(path)
    }
}

/// SHA-256 in hex and size in bytes of a file.
pub fn of_file(path: &Path) -> Result<(String, u64), SourceError> {
    let mut file = File::open(path).map_err(SourceError::file("read", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file
            .read(&mut buffer)
            .map_err(SourceError::file("read", path))?;
        if read == 0 {
            return Ok((hex::encode(hasher.finalize()), bytes));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

fn of_folder(folder: &Path) -> Result<(String, u64), SourceError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(SourceError::file("read", folder))? {
        let entry = entry.map_err(SourceError::file("read", folder))?;
        if entry.path().is_file() {
            files.push((entry.file_name(), entry.path()));
        }
    }
    files.sort();
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    for (name, path) in files {
        let (digest, size) = of_file(&path)?;
        hasher.update(name.as_encoded_bytes());
        hasher.update([0]);
        hasher.update(digest);
        hasher.update([0]);
        bytes += size;
    }
    Ok((hex::encode(hasher.finalize()), bytes))
}
