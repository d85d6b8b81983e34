//! What is in a folder, by content.

use std::fs;
use std::path::Path;

use anyhow::Context;
use limbeck_store::attestation::FileDigest;

use crate::sources::digest_of_file;

/// What is in a folder and in those in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every file, sorted by its path.
    pub files: Vec<FileDigest>,
    /// The paths of what is neither file nor folder. Links are not followed.
    pub others: Vec<String>,
}

/// Reads everything in `folder`.
pub fn of_folder(folder: &Path) -> anyhow::Result<Contents> {
    let mut found = Contents::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let cannot_read = || format!("cannot read `{}`", next.display());
        for entry in fs::read_dir(&next).with_context(cannot_read)? {
            let entry = entry.with_context(cannot_read)?;
            let kind = entry.file_type().with_context(cannot_read)?;
            let path = entry.path();
            let name = name_in(folder, &path);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let (sha256, bytes) = digest_of_file(&path)?;
                found.files.push(FileDigest {
                    path: name,
                    bytes,
                    sha256,
                });
            } else {
                found.others.push(name);
            }
        }
    }
    found.files.sort();
    found.others.sort();
    Ok(found)
}

/// With slashes everywhere, so that what is said of it does not depend on the system.
fn name_in(folder: &Path, path: &Path) -> String {
    let name = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn files_are_described_by_path_and_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/c"), "abc").unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = |path: &str, bytes, sha256: &str| FileDigest {
            path: path.to_owned(),
            bytes,
            sha256: sha256.to_owned(),
        };
        let found = of_folder(folder.path()).unwrap();
        assert_eq!(found.files, [file("a", 0, empty), file("b/c", 3, abc)]);
        assert_eq!(found.others, [""; 0]);
        assert!(of_folder(&folder.path().join("none")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        let found = of_folder(folder.path()).unwrap();
        assert_eq!(
            (found.files, found.others),
            (vec![], vec!["root".to_owned()])
        );
    }
}
