//! The students that are measured: the trained one, and the same before its first step.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use limbeck_model::{Decoder, ModelFiles, Precision};
use limbeck_student::evaluate::{Student, peak_resident_bytes, reset_peak_resident};

use crate::pipeline::{StageDir, train};

/// Requests that a student answers at once.
const CONCURRENT: usize = 64;

/// Both, loaded.
pub(super) struct Students {
    /// After training.
    pub trained: Student,
    /// Before it: what training must leave behind.
    pub untrained: Student,
}

impl Students {
    /// Loads both from the folder of the train stage.
    pub fn load(dir: &StageDir) -> anyhow::Result<Self> {
        Ok(Self {
            trained: load(&dir.join(train::STUDENT))?,
            untrained: load(&dir.join(train::UNTRAINED))?,
        })
    }
}

fn load(path: &Path) -> anyhow::Result<Student> {
    let files = ModelFiles::open(path)?;
    let decoder = Decoder::load(&files.config, files.weights.as_ref(), Precision::F32)?;
    let template = files
        .chat_template
        .context("the student has no chat template")?;
    Ok(Student::new(
        Arc::new(decoder),
        files.tokenizer,
        template,
        CONCURRENT,
    )?)
}

/// Runs `work` and says how much memory the process had at most meanwhile, in bytes.
pub(super) fn with_peak<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    reset_peak_resident();
    let done = work();
    (done, peak_resident_bytes())
}
