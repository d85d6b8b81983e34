//! Recipes: the one file that says all.
//!
//! [`Recipe::load`] reads the TOML, finds every mistake it can and says where each is; what comes out is consistent,
//! and its templates compile. A stage asks for its sections ([`Recipe::harvest`], …); only `[recipe]` must be there.
//! Every section serialises in one fixed way, so that stages can be named by a hash of what they depend on.
//! What a teacher is asked is in [`asking`].

pub mod asking;
mod audit;
mod batch;
mod diagnostic;
mod error;
mod harvest;
mod import;
mod learning;
mod locate;
mod measuring;
pub mod redact;
mod source_table;
mod teacher;
mod terms;
mod validate;

use std::fs;
use std::path::{Path, PathBuf};

use limbeck_store::audit::{Clarification, Waiver};
use limbeck_store::terms::{Declaration, TermsRecord, Use};
use serde::{Deserialize, Serialize};

pub use asking::{Asking, Phrasing};
pub use audit::AuditSection;
pub use error::RecipeError;
pub use harvest::HarvestSection;
pub use import::ImportSection;
pub use learning::{CurateSection, Init, StudentSection, TokenizerChoice, TrainSection};
pub use measuring::{DeviceSection, EvaluateSection, ExportSection};
pub use redact::RedactSection;
pub use source_table::{PromptTable, SourceTable};
pub use teacher::TeacherSection;

/// A recipe without mistakes.
#[derive(Clone, Debug)]
pub struct Recipe {
    path: PathBuf,
    folder: PathBuf,
    text: String,
    document: Document,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    recipe: RecipeSection,
    #[serde(default)]
    intent: IntentSection,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    declaration: Vec<Declaration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    terms: Vec<TermsRecord>,
    #[serde(default, skip_serializing_if = "AuditSection::is_empty")]
    audit: AuditSection,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiver: Vec<Waiver>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clarification: Vec<Clarification>,
    #[serde(default)]
    teacher: Vec<TeacherSection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redact: Option<RedactSection>,
    harvest: Option<HarvestSection>,
    #[serde(default)]
    import: Vec<ImportSection>,
    curate: Option<CurateSection>,
    student: Option<StudentSection>,
    train: Option<TrainSection>,
    #[serde(default)]
    evaluate: Vec<EvaluateSection>,
    export: Option<ExportSection>,
}

/// `[recipe]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeSection {
    /// Names the work folder, the student and its files: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// A line about what it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `[intent]`: what the answers and the student are for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentSection {
    /// What is done with the answers.
    #[serde(default, rename = "use")]
    pub uses: Vec<Use>,
    /// The licence that the student gets: an SPDX identifier or expression, or `LicenseRef-…` with a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student_license: Option<String>,
    /// The text of that licence, where it is on no list or is to be given as one has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student_license_text: Option<LicenseTextSection>,
    /// Whether the student is used commercially.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commercial: Option<bool>,
}

/// `student_license_text`: a licence text that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseTextSection {
    /// A path, or a source that is in the cache.
    pub source: String,
    /// Of the text, in hex.
    pub sha256: String,
}

impl Recipe {
    /// Reads and checks a recipe.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|source| RecipeError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads and checks `text` as if it were the content of `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, RecipeError> {
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Self::read(path, text, folder, true)
    }

    /// Reads and checks the copy of a recipe that a run keeps. Its paths are relative to `folder`, where the files that
    /// it names may be gone by now.
    pub fn load_copy(path: &Path, folder: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|source| RecipeError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::read(path, &text, folder.to_owned(), false)
    }

    fn read(
        path: &Path,
        text: &str,
        folder: PathBuf,
        has_files: bool,
    ) -> Result<Self, RecipeError> {
        let invalid = |diagnostics| RecipeError::Invalid { diagnostics };
        let mut document = locate::read(path, text).map_err(invalid)?;
        document.name_suites();
        let problems = validate::problems(&document, has_files.then_some(&*folder));
        if !problems.is_empty() {
            return Err(invalid(locate::place(path, text, problems)));
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            text: text.to_owned(),
            document,
        })
    }

    /// The recipe's name.
    pub fn name(&self) -> &str {
        &self.document.recipe.name
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that its paths are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All of it, as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `[recipe]`.
    pub fn about(&self) -> &RecipeSection {
        &self.document.recipe
    }

    /// `[intent]`, empty if there is none.
    pub fn intent(&self) -> &IntentSection {
        &self.document.intent
    }

    /// The teacher called `name`.
    pub fn teacher(&self, name: &str) -> Result<&TeacherSection, RecipeError> {
        let named = |teacher: &&TeacherSection| teacher.name == name;
        self.document
            .teacher
            .iter()
            .find(named)
            .ok_or_else(|| self.missing("[[teacher]]", "harvest"))
    }

    /// The teachers that are asked: those that `[harvest]` names, or the only one. There is none where all answers
    /// are imported and nobody is named to answer the suites.
    pub fn harvest_teachers(&self) -> Result<Vec<&TeacherSection>, RecipeError> {
        let harvest = self.harvest()?;
        if let Some(names) = &harvest.teacher {
            let names = names.as_slice().iter();
            return names.map(|name| self.teacher(name)).collect();
        }
        if harvest.prompts.is_none() {
            return Ok(Vec::new());
        }
        let only = self.document.teacher.first();
        let only = only.ok_or_else(|| self.missing("[[teacher]]", "harvest"))?;
        Ok(vec![only])
    }

    /// The first of them, which answers the suites too.
    pub fn suites_teacher(&self) -> Result<Option<&TeacherSection>, RecipeError> {
        Ok(self.harvest_teachers()?.first().copied())
    }

    /// Every `[[import]]`.
    pub fn imports(&self) -> &[ImportSection] {
        &self.document.import
    }

    /// The local teachers that are asked, or whose tokenizer or weights the student takes.
    pub fn local_teachers(&self) -> Result<Vec<&TeacherSection>, RecipeError> {
        let mut local: Vec<&TeacherSection> = self.harvest_teachers()?;
        if let Some(student) = &self.document.student {
            for name in student.teachers() {
                let teacher = self.teacher(name)?;
                if !local.iter().any(|known| known.name == teacher.name) {
                    local.push(teacher);
                }
            }
        }
        local.retain(|teacher| teacher.is_local());
        Ok(local)
    }

    /// Every `[[teacher]]`.
    pub fn teachers(&self) -> &[TeacherSection] {
        &self.document.teacher
    }

    /// `[redact]`, where the recipe asks for it.
    pub fn redact(&self) -> Option<&RedactSection> {
        self.document.redact.as_ref()
    }

    /// `[harvest]`.
    pub fn harvest(&self) -> Result<&HarvestSection, RecipeError> {
        self.section(self.document.harvest.as_ref(), "[harvest]", "harvest")
    }

    /// `[curate]`.
    pub fn curate(&self) -> Result<&CurateSection, RecipeError> {
        self.section(self.document.curate.as_ref(), "[curate]", "curate")
    }

    /// `[student]`.
    pub fn student(&self) -> Result<&StudentSection, RecipeError> {
        self.section(self.document.student.as_ref(), "[student]", "train")
    }

    /// `[train]`.
    pub fn train(&self) -> Result<&TrainSection, RecipeError> {
        self.section(self.document.train.as_ref(), "[train]", "train")
    }

    /// Every `[[evaluate]]`; their suites are also what harvested prompts are kept away from.
    pub fn evaluations(&self) -> &[EvaluateSection] {
        &self.document.evaluate
    }

    /// Every `[[evaluate]]`, of which there must be one.
    pub fn evaluate(&self) -> Result<&[EvaluateSection], RecipeError> {
        match self.evaluations() {
            [] => Err(self.missing("[[evaluate]]", "evaluate")),
            sections => Ok(sections),
        }
    }

    /// `[export]`.
    pub fn export(&self) -> Result<&ExportSection, RecipeError> {
        self.section(self.document.export.as_ref(), "[export]", "export")
    }

    /// How the teacher is asked, with the files that `[harvest]` names.
    pub fn asking(&self) -> Result<Asking, RecipeError> {
        Asking::load(self.harvest()?, &self.folder)
    }

    fn section<'a, T>(
        &self,
        section: Option<&'a T>,
        name: &'static str,
        stage: &'static str,
    ) -> Result<&'a T, RecipeError> {
        section.ok_or_else(|| self.missing(name, stage))
    }

    fn missing(&self, section: &'static str, stage: &'static str) -> RecipeError {
        RecipeError::MissingSection {
            path: self.path.clone(),
            section,
            stage,
        }
    }
}

impl Document {
    /// Suites without a name are called by their metric, with a number where that is taken.
    fn name_suites(&mut self) {
        let mut taken: Vec<String> = self
            .evaluate
            .iter()
            .map(|section| section.name.clone())
            .collect();
        for section in &mut self.evaluate {
            if !section.name.is_empty() {
                continue;
            }
            let base = section.metric.name();
            let mut name = base.to_owned();
            let mut number = 2;
            while taken.contains(&name) {
                name = format!("{base}-{number}");
                number += 1;
            }
            taken.push(name.clone());
            section.name = name;
        }
    }
}

#[cfg(test)]
mod audit_mistakes_tests;
#[cfg(test)]
mod mistakes_tests;
#[cfg(test)]
mod service_mistakes_tests;
#[cfg(test)]
mod terms_mistakes_tests;
#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
