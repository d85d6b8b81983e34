//! A folder that appears whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ExportError;

/// A fresh folder beside its destination. Dropped without [`Staging::publish`] it is removed with all that is in it.
pub(super) struct Staging {
    folder: TempDir,
    destination: PathBuf,
}

impl Staging {
    /// Makes the folder, and the parents of `destination` where they are missing.
    pub(super) fn beside(destination: &Path) -> Result<Self, ExportError> {
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let make = || {
            fs::create_dir_all(parent)?;
            let mut builder = tempfile::Builder::new();
            // Temporary folders are private by default; an export is as readable as anything else the user makes.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
            builder.prefix(".limbeck-export-").tempdir_in(parent)
        };
        Ok(Self {
            folder: make().map_err(ExportError::io(parent))?,
            destination: destination.to_owned(),
        })
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes everything durable and moves the folder to its destination. An older folder there is replaced; if that
    /// fails, it is put back.
    pub(super) fn publish(self) -> Result<(), ExportError> {
        let destination = self.destination;
        let failed = ExportError::io(&destination);
        let publish = || -> io::Result<()> {
            sync_folder(self.folder.path())?;
            let parent = self.folder.path().parent().map(Path::to_owned);
            if destination.exists() {
                let beside = parent.as_deref().unwrap_or(Path::new("."));
                let old = TempDir::with_prefix_in(".limbeck-old-", beside)?;
                let aside = old.path().join("export");
                fs::rename(&destination, &aside)?;
                if let Err(error) = fs::rename(self.folder.path(), &destination) {
                    fs::rename(&aside, &destination)?;
                    return Err(error);
                }
                // It has moved: there is nothing left to remove under its old name.
                let _ = self.folder.keep();
            } else {
                fs::rename(self.folder.path(), &destination)?;
                let _ = self.folder.keep();
            }
            parent.map_or(Ok(()), |parent| sync_entry(&parent))
        };
        publish().map_err(failed)
    }
}

/// Syncs the files of a flat folder and then the folder.
fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        sync_entry(&entry?.path())?;
    }
    sync_entry(folder)
}

fn sync_entry(path: &Path) -> io::Result<()> {
    // Folders cannot be opened as files on Windows, where renames need no sync of their own.
    if cfg!(windows) && path.is_dir() {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_older_folder_is_replaced_whole() {
        let place = TempDir::new().expect("a folder");
        let destination = place.path().join("deep").join("export");
        for name in ["first", "second"] {
            let staging = Staging::beside(&destination).expect("staged");
            fs::write(staging.path().join(name), name).expect("written");
            staging.publish().expect("published");
            assert_eq!(names(&destination), [name]);
        }
        assert_eq!(names(&place.path().join("deep")), ["export"]);
    }

    #[test]
    fn an_abandoned_folder_leaves_nothing() {
        let place = TempDir::new().expect("a folder");
        let destination = place.path().join("export");
        fs::create_dir(&destination).expect("made");
        let staging = Staging::beside(&destination).expect("staged");
        fs::write(staging.path().join("half"), "half").expect("written");
        drop(staging);
        assert_eq!(names(place.path()), ["export"]);
        assert!(names(&destination).is_empty());
    }
}
