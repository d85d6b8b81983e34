//! The students that are measured: the trained one, and the same before its first step.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use limbeck_model::{Decoder, ModelFiles, Precision};
use limbeck_student::evaluate::Student;

use crate::commands::bench::requests::RequestsBench;
use crate::pipeline::{StageDir, train};

/// Requests that a student answers at once.
const CONCURRENT: usize = 64;

/// Both, loaded.
pub(super) struct Students {
    /// After training.
    pub trained: Measurable,
    /// Before it: what training must leave behind.
    pub untrained: Measurable,
}

/// A student, and where it is.
pub(super) struct Measurable {
    /// It, loaded.
    pub student: Student,
    folder: PathBuf,
}

impl Students {
    /// Loads both from the folder of the train stage.
    pub fn load(dir: &StageDir) -> anyhow::Result<Self> {
        Ok(Self {
            trained: Measurable::load(dir.join(train::STUDENT))?,
            untrained: Measurable::load(dir.join(train::UNTRAINED))?,
        })
    }
}

impl Measurable {
    fn load(folder: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            student: load(&folder)?,
            folder,
        })
    }

    /// How much memory a process needs that loads this student, answers `inputs` and does nothing else, in bytes;
    /// `None` where the system does not tell.
    ///
    /// This process holds the dataset, the floors and the other student as well, so another one is asked: this very
    /// program, as a person would start it on a device.
    pub fn memory_alone(
        &self,
        inputs: &[String],
        choices: Option<&[String]>,
        max_tokens: usize,
    ) -> anyhow::Result<Option<u64>> {
        let mut requests = tempfile::NamedTempFile::new()?;
        for input in inputs {
            serde_json::to_writer(&mut requests, &serde_json::json!({ "input": input }))?;
            requests.write_all(b"\n")?;
        }
        requests.flush()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "requests", "--json", "--concurrent"]);
        command.arg(CONCURRENT.to_string()).arg("--max-tokens");
        command.arg(max_tokens.clamp(1, u16::MAX.into()).to_string());
        command.arg("--requests").arg(requests.path());
        for choice in choices.unwrap_or_default() {
            command.arg(format!("--choice={choice}"));
        }
        let output = command.arg("--").arg(&self.folder).output()?;
        if !output.status.success() {
            anyhow::bail!(
                "the student alone in a process failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let bench: RequestsBench = serde_json::from_slice(&output.stdout)
            .context("the student alone in a process printed no measurement")?;
        Ok(bench.peak_rss_bytes)
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
