//! What is meant to be done with answers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One use of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// A model learns from them.
    Train,
    /// Models are measured on them.
    Evaluate,
    /// The model is given to others.
    ReleaseModel,
    /// The answers are given to others.
    ReleaseData,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Train,
        Self::Evaluate,
        Self::ReleaseModel,
        Self::ReleaseData,
    ];

    /// The name as it is given and written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::ReleaseModel => "release-model",
            Self::ReleaseData => "release-data",
        }
    }
}

/// How terms bear on what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// The student learns from answers that were given under them.
    Answers,
    /// The student takes weights that are under them.
    Weights,
    /// What was asked is under them.
    Prompts,
}

impl Through {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Weights => "weights",
            Self::Prompts => "prompts",
        }
    }
}

/// What is meant to be done, and what is known of the student.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// What is done with the answers. Nothing stands for training and nothing else.
    pub uses: BTreeSet<Use>,
    /// The licence that the student gets: an SPDX identifier or a name that a record knows.
    pub student_license: Option<String>,
    /// Whether the student is used commercially, if that is said.
    pub commercial: Option<bool>,
    /// Whether the student only chooses among given answers.
    pub classifier: bool,
    /// The families, such as `llama`, whose weights the student takes.
    pub derives_from: BTreeSet<String>,
}

impl Intent {
    /// The uses; training where none is said.
    pub fn uses(&self) -> BTreeSet<Use> {
        if self.uses.is_empty() {
            BTreeSet::from([Use::Train])
        } else {
            self.uses.clone()
        }
    }

    /// Whether the model is given to others.
    pub fn releases_model(&self) -> bool {
        self.uses.contains(&Use::ReleaseModel)
    }
}
