//! Files of traces for other programs: JSON lines and Parquet.
//!
//! [`Row`] is what both tell of a trace. A file appears under its name when it is whole.

mod parquet;
#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use limbeck_store::{ExportedTrace, FinishReason, Message, PromptBody, Receipt};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::printer::Printer;
use crate::whole_file::{self, folder_of, give_name};
use parquet::ParquetFile;

/// How traces are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// One JSON object a line
    Jsonl,
    /// Apache Parquet
    Parquet,
}

/// One trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The prompt's id.
    pub prompt_id: String,
    /// Which answer to the prompt, counted from 0.
    pub sample: u32,
    /// The teacher's identity.
    pub teacher: String,
    /// What was asked, and the answer as the last one. Text that a teacher continued is a turn of the user.
    pub messages: Vec<Message>,
    /// What the teacher thought aloud.
    pub reasoning: Option<String>,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// What it took.
    pub usage: Usage,
    /// Whether every check of the newest curation keeps it; `None` where none judged it.
    pub kept: Option<bool>,
    /// What the checks found.
    pub verdicts: Vec<Verdict>,
    /// Where it came from.
    pub receipt: Receipt,
}

/// Tokens of an answer; 0 where they are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens written.
    pub completion_tokens: u32,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The check's kind.
    pub check: String,
    /// Whether it keeps the trace.
    pub keep: bool,
    /// What it measured, where it measures.
    pub value: Option<f64>,
    /// Why, in words.
    pub reason: String,
}

impl From<ExportedTrace> for Row {
    fn from(trace: ExportedTrace) -> Self {
        let record = trace.record;
        let mut messages = match record.prompt.body {
            PromptBody::Chat { messages } => messages,
            PromptBody::Completion { text } => vec![Message::new("user", text)],
        };
        messages.push(Message::new("assistant", record.text));
        let verdicts = trace.verdicts.into_iter().map(|verdict| Verdict {
            check: verdict.check,
            keep: verdict.keep,
            value: verdict.value,
            reason: verdict.reason,
        });
        Self {
            prompt_id: record.key.prompt_id,
            sample: record.key.sample,
            teacher: record.key.teacher,
            messages,
            reasoning: record.reasoning,
            finish_reason: record.finish_reason,
            usage: Usage {
                prompt_tokens: record.prompt_tokens,
                completion_tokens: record.completion_tokens,
            },
            kept: trace.kept,
            verdicts: verdicts.collect(),
            receipt: trace.receipt,
        }
    }
}

/// Where rows go.
pub enum TraceSink {
    /// JSON lines on standard output.
    Output(Printer),
    /// JSON lines in a file that has no name yet.
    Jsonl(PathBuf, BufWriter<NamedTempFile>),
    /// Parquet in a file that has no name yet.
    Parquet(PathBuf, Box<ParquetFile<NamedTempFile>>),
}

impl TraceSink {
    /// Begins a file that is to be called `path`, beside it.
    pub fn create(path: &Path, format: TraceFormat) -> anyhow::Result<Self> {
        let beside = || whole_file::beside(folder_of(path), ".traces-");
        let file = beside().with_context(|| cannot_write(path))?;
        Ok(match format {
            TraceFormat::Jsonl => Self::Jsonl(path.to_owned(), BufWriter::new(file)),
            TraceFormat::Parquet => {
                let file = ParquetFile::create(file).with_context(|| cannot_write(path))?;
                Self::Parquet(path.to_owned(), Box::new(file))
            }
        })
    }

    /// Writes one row.
    pub fn write(&mut self, row: Row) -> anyhow::Result<()> {
        match self {
            Self::Output(printer) => printer.line(serde_json::to_string(&row)?),
            Self::Jsonl(path, file) => {
                let mut line = serde_json::to_vec(&row)?;
                line.push(b'\n');
                file.write_all(&line).with_context(|| cannot_write(path))
            }
            Self::Parquet(path, file) => file.write(row).with_context(|| cannot_write(path)),
        }
    }

    /// Puts the file on the disk and gives it its name.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Output(_) => Ok(()),
            Self::Jsonl(path, file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                file.and_then(|file| give_name(file, &path))
                    .with_context(|| cannot_write(&path))
            }
            Self::Parquet(path, file) => {
                let file = file.finish().with_context(|| cannot_write(&path))?;
                give_name(file, &path).with_context(|| cannot_write(&path))
            }
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}
