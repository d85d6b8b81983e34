//! The work folder of a run, and how a stage's outputs come to stand in it.
//!
//! Every stage writes to `stages/NAME-HASH/`, where the hash covers all that the outputs depend on. `outcome.json`
//! is written last, beside and renamed, so a folder with an outcome is whole and one without is unfinished work that
//! the stage may go on with. What people look for under a fixed name (`student`, `export`) is a link that is switched
//! to the newest folder in one step.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::whole_file;

/// Raised when the form of any stage's outputs changes, so that old folders are not read as new ones.
const STAGE_FORMAT: u32 = 1;

/// The characters of a stage hash that folder names carry: enough for any number of runs of one recipe.
const HASH_CHARACTERS: usize = 16;

const OUTCOME: &str = "outcome.json";

/// The folder that holds everything of a run.
#[derive(Clone, Debug)]
pub struct Workdir {
    path: PathBuf,
}

/// An error with the file it happened to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{path}`")]
pub struct WorkdirError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl WorkdirError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

impl Workdir {
    /// Makes the folder where it is missing.
    pub fn create(path: &Path) -> Result<Self, WorkdirError> {
        fs::create_dir_all(path.join("stages")).map_err(WorkdirError::at(path))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.path.join("limbeck.db")
    }

    /// The folder of the stage `name` whose outputs depend on `inputs` and on nothing else.
    pub fn stage(&self, name: &'static str, inputs: &impl Serialize) -> anyhow::Result<StageDir> {
        let canonical = serde_json::to_vec(&serde_json::json!({
            "stage": name,
            "format": STAGE_FORMAT,
            "inputs": inputs,
        }))?;
        let hash = hex::encode(Sha256::digest(&canonical))[..HASH_CHARACTERS].to_owned();
        let path = self.path.join("stages").join(format!("{name}-{hash}"));
        Ok(StageDir { path, hash })
    }

    /// Lets `name` in the work folder point to `target`, a folder inside it, in one step.
    pub fn link(&self, name: &str, target: &Path) -> Result<(), WorkdirError> {
        let link = self.path.join(name);
        let relative = target.strip_prefix(&self.path).unwrap_or(target);
        if fs::read_link(&link).is_ok_and(|current| current == relative) {
            return Ok(());
        }
        let beside = self.path.join(format!(".{name}.new"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(WorkdirError::at(&beside)(error));
            }
            _ => {}
        }
        symlink(relative, &beside).map_err(WorkdirError::at(&beside))?;
        fs::rename(&beside, &link).map_err(WorkdirError::at(&link))
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

/// The folder of one stage with one set of inputs.
#[derive(Clone, Debug)]
pub struct StageDir {
    path: PathBuf,
    hash: String,
}

impl StageDir {
    /// What the outputs depend on, as a hash.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder where it is missing.
    pub fn create(&self) -> Result<(), WorkdirError> {
        fs::create_dir_all(&self.path).map_err(WorkdirError::at(&self.path))
    }

    /// What the stage wrote when it was done; `None` when it never was, or when the file is not of this form.
    pub fn outcome<T: DeserializeOwned>(&self) -> Option<T> {
        // Read and written piece by piece: an outcome may name a million answers.
        let file = File::open(self.join(OUTCOME)).ok()?;
        serde_json::from_reader(BufReader::new(file)).ok()
    }

    /// Makes a stage that is done unfinished again, so that it can go on; returns what it had found.
    pub fn reopen<T: DeserializeOwned>(&self) -> Result<Option<T>, WorkdirError> {
        let outcome = self.outcome();
        let path = self.join(OUTCOME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(WorkdirError::at(&path)(error))
            }
            _ => Ok(outcome),
        }
    }

    /// Marks the stage as done.
    pub fn finish<T: Serialize>(&self, outcome: &T) -> anyhow::Result<()> {
        let path = self.join(OUTCOME);
        let write = || {
            whole_file::write_with(&path, |file| {
                let mut file = BufWriter::new(file);
                serde_json::to_writer_pretty(&mut file, outcome)?;
                file.flush()
            })
        };
        Ok(write().map_err(WorkdirError::at(&path))?)
    }
}

/// Writes a file so that a reader sees all of it or none.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WorkdirError> {
    whole_file::write(path, bytes).map_err(WorkdirError::at(path))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_stage_without_outcome_is_not_done() {
        let folder = tempfile::tempdir().unwrap();
        let work = Workdir::create(folder.path()).unwrap();
        let stage = work.stage("train", &("inputs", 1)).unwrap();
        stage.create().unwrap();
        assert_eq!(stage.outcome::<u32>(), None);
        stage.finish(&7_u32).unwrap();
        assert_eq!(stage.outcome::<u32>(), Some(7));
        assert_eq!(stage.outcome::<String>(), None, "of another form");
    }

    #[test]
    fn other_inputs_are_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let work = Workdir::create(folder.path()).unwrap();
        let a = work.stage("train", &1).unwrap();
        assert_eq!(a.path, work.stage("train", &1).unwrap().path);
        assert_ne!(a.path, work.stage("train", &2).unwrap().path);
        assert_ne!(a.path, work.stage("export", &1).unwrap().path);
    }

    #[test]
    fn a_link_is_switched_to_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let work = Workdir::create(folder.path()).unwrap();
        for inputs in [1, 2] {
            let stage = work.stage("train", &inputs).unwrap();
            stage.create().unwrap();
            fs::write(stage.join("which"), inputs.to_string()).unwrap();
            work.link("student", &stage.path).unwrap();
            let seen = fs::read_to_string(folder.path().join("student/which")).unwrap();
            assert_eq!(seen, inputs.to_string());
        }
    }
}
