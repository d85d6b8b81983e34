//! Answers that were asked for elsewhere and are brought here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Attempt, Prompt, Receipt, SamplingParameters, Trace};

/// The part of a receipt that only an imported answer has: nobody here saw it being given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReceipt {
    /// Where the data come from, as the one who imports them declares it.
    pub source: String,
    /// The format that the file was read as.
    pub format: String,
    /// The file's name, without its folder.
    pub file: String,
    /// The hex SHA-256 of the file.
    pub file_sha256: String,
    /// The row in it, counted from 1.
    pub row: u64,
    /// What the row calls itself, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_id: Option<String>,
    /// What each field of the receipt, and what is known of the answer, rests on.
    pub grounds: BTreeMap<String, Ground>,
}

/// What a field of a receipt rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// The one who imports says so.
    Declared,
    /// The file says so.
    Stated,
    /// It was computed from what was read.
    Computed,
    /// It was seen here, when the request was sent or the answer came.
    Observed,
    /// Nobody says, and the value of the field means nothing.
    Unknown,
}

impl Ground {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Stated => "stated",
            Self::Computed => "computed",
            Self::Observed => "observed",
            Self::Unknown => "unknown",
        }
    }
}

/// One row to import.
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// An answer.
    Answer(Box<ImportedAnswer>),
    /// A question that was asked and got none.
    Failure(Box<ImportedFailure>),
}

impl Imported {
    /// What was asked.
    pub fn prompt(&self) -> &Prompt {
        match self {
            Self::Answer(answer) => &answer.prompt,
            Self::Failure(failure) => &failure.prompt,
        }
    }
}

/// An answer to import. Its sample number is given by the store, since most files do not number their answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedAnswer {
    /// What was asked.
    pub prompt: Prompt,
    /// The teacher's identity, with the route `import`.
    pub teacher: String,
    /// How it was asked, as far as that is known.
    pub parameters: SamplingParameters,
    /// The answer.
    pub trace: Trace,
    /// Where it came from.
    pub receipt: Receipt,
    /// How many rows before it in the same import say the same to the same question.
    pub repeats: u32,
}

/// A failure to import.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedFailure {
    /// What was asked.
    pub prompt: Prompt,
    /// The try that failed; its `prompt_id` and `trace_id` are those of the question.
    pub attempt: Attempt,
}

/// What came of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    /// What it changed.
    pub counts: ImportCounts,
    /// The ids of the answers among its rows, in their order, whether new or known.
    pub traces: Vec<String>,
    /// The places of rows that were left out because they were erased.
    pub erased: Vec<usize>,
}

/// What an import changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCounts {
    /// Prompts that were new.
    pub prompts: u64,
    /// Answers that were new.
    pub answers: u64,
    /// Answers that the store had already.
    pub known_answers: u64,
    /// Failures that were new.
    pub failures: u64,
    /// Failures that the store had already.
    pub known_failures: u64,
    /// Rows that were left out because they, or their questions, were erased.
    pub erased: u64,
}

impl ImportCounts {
    /// Adds what another part of the import changed.
    pub fn add(&mut self, other: Self) {
        self.prompts += other.prompts;
        self.answers += other.answers;
        self.known_answers += other.known_answers;
        self.failures += other.failures;
        self.known_failures += other.known_failures;
        self.erased += other.erased;
    }
}
