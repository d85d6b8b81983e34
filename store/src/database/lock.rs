//! One writing process at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// An advisory lock on a file beside the store, held as long as this lives.
///
/// `SQLite`'s own locks last for one transaction, and two harvests that take turns would ask everything twice.
/// The system lets go of the lock when the process ends, however it ends; the empty file stays.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    pub(super) fn acquire(store: &Path) -> Result<Self, StoreError> {
        let cannot_open = |source: io::Error| StoreError::CannotOpen {
            path: store.to_owned(),
            source,
        };
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(lock_path(store))
            .map_err(cannot_open)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
                path: store.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(cannot_open(source)),
        }
    }
}

fn lock_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
