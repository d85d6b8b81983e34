//! Weight files, mapped rather than read: only the pages that are touched take memory, and they can be dropped again.
#![expect(
    unsafe_code,
    reason = "mapping a file is the one way to read weights without holding them twice"
)]

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut};

use crate::ModelError;

/// The bytes of a file, page-aligned and read-only, with the path for messages.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    /// `None` for an empty file, which the system refuses to map.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps the file at `path`.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        let metadata = file.metadata().map_err(ModelError::io(path))?;
        if !metadata.is_file() {
            return Err(ModelError::NotAModel {
                path: path.to_owned(),
            });
        }
        let map = if metadata.len() == 0 {
            None
        } else {
            // SAFETY: the map is private and read-only, and nothing here hands out a mutable view of it. Limbeck
            // itself replaces model files only by renaming over them, which leaves the mapped file as it was; another
            // program that truncates the file in place is the risk that every memory-mapped reader of weights takes.
            Some(unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?)
        };
        Ok(Self {
            path: path.to_owned(),
            map,
        })
    }

    /// Copies `bytes` into anonymous pages, so that bytes from elsewhere are as aligned as a file's; `name` stands for
    /// the path in messages.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, ModelError> {
        let path = PathBuf::from(name);
        let map = if bytes.is_empty() {
            None
        } else {
            let mut pages = MmapMut::map_anon(bytes.len()).map_err(ModelError::io(&path))?;
            pages.copy_from_slice(bytes);
            Some(pages.make_read_only().map_err(ModelError::io(&path))?)
        };
        Ok(Self { path, map })
    }

    /// Where the bytes came from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}
