//! The report of a run: `report.json` for machines and `report.html` for people.
//!
//! [`Report`] is the whole of `report.json`, published as `docs/report.schema.json`. Other tools read it: fields may
//! be added and are never renamed. Every section is optional, because a run may do only some of the stages. The page
//! is rendered from the same struct and nothing else ([`html`]).

mod chart;
mod html;
mod metric;
pub mod summary;
mod view;
mod write;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that a run found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of the program that made the report.
    pub limbeck_version: String,
    /// When the report was made (RFC 3339).
    pub created: String,
    /// The recipe that was run.
    pub recipe: RecipeIdentity,
    /// The machine that the speeds were measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// What the student is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// How many items were left after each step, from the rows of the source to what the student learned from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub funnel: Vec<FunnelStep>,
    /// Asking the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harvest: Option<Harvest>,
    /// Judging its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curate: Option<Curate>,
    /// Training the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
    /// Measuring teacher, student and floors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<Evaluate>,
    /// The files for devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export: Vec<Exported>,
    /// What the recipe demands of the files and their speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Gate>,
    /// Answers of teacher and student side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<SampleAnswer>,
    /// What a reader must know to judge the numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The recipe that was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecipeIdentity {
    /// Its name.
    pub name: String,
    /// Its file, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of its text, in hex.
    pub hash: String,
}

/// The machine that the speeds were measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Processor cores that the run could use.
    pub cores: u32,
    /// Operating system and processor.
    pub description: String,
}

/// What the student is meant for, as the recipe says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Uses: `train`, `release-model`, ….
    #[serde(rename = "use", default)]
    pub uses: Vec<String>,
    /// SPDX identifier of the licence that the student is to carry.
    #[serde(default)]
    pub student_license: Option<String>,
    /// Whether commercial use is intended.
    #[serde(default)]
    pub commercial: Option<bool>,
}

/// What is left after one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FunnelStep {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// Asking the teacher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Harvest {
    /// Prompts.
    pub prompts: u64,
    /// Answers to them in the store.
    pub traces: u64,
    /// Answers that this run asked for.
    pub asked: u64,
    /// Answers that were there already.
    pub reused: u64,
    /// Answers that came by file.
    #[serde(default)]
    pub imported: u64,
    /// Time spent asking.
    pub seconds: f64,
    /// Prompt and answer tokens processed a second.
    pub tokens_per_second: Option<f64>,
    /// Tokens of the prompts asked.
    pub prompt_tokens: u64,
    /// Tokens of the answers.
    pub completion_tokens: u64,
    /// Who was asked.
    pub teacher: TeacherIdentity,
    /// Where the prompts come from.
    pub source: SourceIdentity,
    /// What was replaced in the rows before anything was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
}

/// What one detector had replaced by placeholders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replaced {
    /// The detector.
    pub detector: String,
    /// Its version.
    pub version: u32,
    /// How many were replaced.
    pub matches: u64,
    /// How many rows or answers held any.
    pub items: u64,
    /// What stands in their place, where the recipe says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
}

impl From<limbeck_store::redact::Replaced> for Replaced {
    fn from(replaced: limbeck_store::redact::Replaced) -> Self {
        Self {
            detector: replaced.detector,
            version: replaced.version,
            matches: replaced.matches,
            items: replaced.items,
            placeholder: replaced.placeholder,
        }
    }
}

/// A teacher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherIdentity {
    /// Its name in the recipe.
    pub name: String,
    /// The model asked.
    pub model: String,
    /// SHA-256 of its file, in hex.
    pub sha256: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Size of its file.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Its weights, in numbers.
    #[serde(default)]
    pub parameters: Option<u64>,
}

/// Where data comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceIdentity {
    /// The source, as the recipe names it.
    pub source: String,
    /// SHA-256 of the file, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Its licence.
    #[serde(default)]
    pub license: Option<String>,
}

/// Judging the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Curate {
    /// Answers kept.
    pub kept: u64,
    /// Answers that at least one check dropped.
    pub dropped: u64,
    /// What each check did, in their order.
    pub checks: Vec<CheckOutcome>,
    /// What was replaced in what the student learns from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
}

/// What one check did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckOutcome {
    /// The check.
    pub name: String,
    /// Answers that it judged.
    pub judged: u64,
    /// Answers that it dropped.
    pub dropped: u64,
    /// Of these, the answers that no earlier check had dropped.
    pub first_dropped: u64,
}

/// Training the student.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Train {
    /// Weights of the student, in numbers.
    pub parameters: u64,
    /// Tokens trained on, counted once an epoch.
    pub tokens: u64,
    /// Tokens trained on a second.
    pub tokens_per_second: f64,
    /// Time spent training.
    pub seconds: f64,
    /// Loss on the training data at the end, in nats a target token.
    pub final_loss: f64,
    /// Loss on held-out data of the weights that were kept.
    pub held_out_loss: Option<f64>,
    /// In what numbers matrices were multiplied, `f32` or `bf16`; sums are f32 always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// The losses on the way.
    pub curve: Vec<CurvePoint>,
}

/// The losses at one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// The optimiser's step, from 1.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Loss on the training data.
    pub train_loss: f64,
    /// Loss on held-out data, at the steps where it was measured.
    pub held_out: Option<f64>,
}

/// Measuring teacher, student and floors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluate {
    /// One entry a suite.
    pub suites: Vec<Suite>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of the answers that are the expected one. Higher is better.
    #[default]
    Accuracy,
    /// Mean negative log-likelihood of the teacher's answers, in nats a byte. Lower is better.
    NatsPerByte,
    /// Share of greedy answers that end by themselves. Higher is better.
    Ends,
}

/// One suite: the same held-out rows for everybody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suite {
    /// Its name in the recipe.
    pub name: String,
    /// What is measured.
    pub metric: Metric,
    /// Rows.
    pub n: u64,
    /// Where the rows come from.
    #[serde(default)]
    pub source: Option<SourceIdentity>,
    /// The teacher, with the instructions that it was harvested with.
    pub teacher: Option<Score>,
    /// The student, with the bare input.
    pub student: Option<Score>,
    /// What a student must beat to be worth having.
    pub floors: Vec<Score>,
    /// Share of the rows where student and teacher answer alike.
    pub agreement: Option<Agreement>,
    /// What the recipe demands.
    pub gate: Option<Gate>,
    /// Whether all of that was reached; true where nothing is demanded.
    pub passed: bool,
    /// What a reader must know about this suite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One score with its 95 % confidence interval.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of `report.json`, where `score` is what the entry is about"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Whose.
    pub name: String,
    /// In the unit of the metric; a share is between 0 and 1.
    pub score: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Rows that it was measured on.
    pub n: u64,
    /// Requests answered a second.
    pub requests_per_second: Option<f64>,
    /// Largest resident memory of a process that does nothing else.
    pub peak_rss_bytes: Option<u64>,
    /// Prompt and answer tokens processed a second.
    #[serde(default)]
    pub tokens_per_second: Option<f64>,
}

/// How often student and teacher answer alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Share of the rows, between 0 and 1.
    pub share: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Rows.
    pub n: u64,
}

/// What a recipe demands, and whether it was reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// The whole demand in a sentence.
    pub text: String,
    /// Whether every condition holds.
    pub passed: bool,
    /// Its parts.
    pub conditions: Vec<GateCondition>,
}

/// One part of a gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateCondition {
    /// The condition in words, with its numbers.
    pub text: String,
    /// What was measured.
    pub measured: Option<f64>,
    /// What it was compared with, in the unit of `measured`.
    pub required: Option<f64>,
    /// Whether it holds.
    pub passed: bool,
}

/// A file for a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// `safetensors`, `gguf:q8_0`, ….
    pub format: String,
    /// The file or folder, relative to the work folder.
    pub path: String,
    /// Size of the file, or of everything in the folder.
    pub bytes: u64,
    /// SHA-256 of the file that holds the weights, in hex.
    pub sha256: String,
    /// Largest difference of a logit from the trained weights, after loading the file back.
    pub max_logit_difference: Option<f64>,
    /// Tokens decoded a second from this file, one sequence at a time.
    pub tokens_per_second: Option<f64>,
}

/// One input with what was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleAnswer {
    /// What the student saw.
    pub input: String,
    /// The teacher's answer.
    pub teacher: Option<String>,
    /// The student's answer.
    pub student: Option<String>,
    /// The answer that people gave.
    #[serde(default)]
    pub expected: Option<String>,
}
