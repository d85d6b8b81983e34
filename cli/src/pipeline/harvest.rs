//! The first stage: ask the teacher about every prompt, in every phrasing.

use std::sync::Arc;

use anyhow::Context;
use limbeck_store::redact::Replaced;
use limbeck_store::{ContentIds, FinishReason, TraceIds};
use limbeck_teacher::{HarvestError, HarvestPlan, HarvestSummary};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::batches::{Harvested, Left, left_in_words};
use super::prompts::DrawnPrompts;
use super::teacher::Loaded;
use super::{Finished, Interrupted, Pipeline, Unfinished, redact};
use crate::printer::WithHint;
use crate::progress::adapters::HarvestBar;

/// Prompts whose answers are looked up at once.
const CHUNK: usize = 1000;

/// What was asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Rows of the source that pass the filter.
    pub rows: usize,
    /// Rows that were asked about.
    pub items: usize,
    /// Prompts: a row in two phrasings is two.
    pub prompts: usize,
    /// Ids of the answers, in the order of the prompts.
    pub traces: ContentIds,
    /// How many of the answers came by file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub imported: usize,
    /// Of the files that they came in, in the recipe's order, in hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imported_sha256: Vec<String>,
    /// Prompts that got no answer.
    pub failed: u64,
    /// How the asking went.
    pub asking: Asked,
    /// What a reader of the report must know about the draw.
    pub notes: Vec<String>,
    /// What was replaced before anything was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// Who was asked; the first, where there are several.
    pub teacher: super::teacher::Facts,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_teachers: Vec<super::teacher::Facts>,
    /// How often failures of it were asked again on request; what follows depends on it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// SHA-256 of the prompts' file, in hex; empty where none are asked.
    pub source_sha256: String,
    /// Answers that this run asked for; 0 when the outcome was there already.
    #[serde(skip)]
    pub asked_now: u64,
}

/// Work and time of asking.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Asked {
    /// Answers asked for.
    pub answers: u64,
    /// Answers that the store had.
    pub reused: u64,
    /// Tokens of the prompts asked.
    pub prompt_tokens: u64,
    /// Tokens of the answers.
    pub completion_tokens: u64,
    /// Wall time of asking, without loading the model.
    pub seconds: f64,
    /// Largest resident memory while asking.
    pub peak_rss_bytes: Option<u64>,
}

impl Pipeline {
    /// Asks what the store does not know yet. If a student is going to learn from the answers, and it is known that it
    /// must not, nothing is asked.
    pub(super) async fn harvest(&self, is_learned_from: bool) -> anyhow::Result<Finished<Outcome>> {
        let material = self.material().await?;
        let inputs = material.inputs(self)?;
        let retry = !self.options.only_look && self.has_failed_so().await?;
        let revision = if retry {
            self.work.stage("harvest", &inputs)?.reopen::<Outcome>()?
        } else {
            None
        };
        let revision = revision.map_or(0, |outcome| outcome.revision + 1);
        let (dir, done) = self.stage::<Outcome>("harvest", &inputs)?;
        if let Some(outcome) = done {
            return Ok(Finished { dir, outcome });
        }
        if is_learned_from && !self.options.only_look {
            self.refuse_what_would_be_denied().await?;
        }
        let work = self.ask_everything(revision);
        let outcome = self
            .recorded_as("harvest", &dir, work, Outcome::summary)
            .await?;
        Ok(Finished { dir, outcome })
    }

    /// Whether any question failed in a way that is to be asked again.
    async fn has_failed_so(&self) -> anyhow::Result<bool> {
        let asked_again = &self.options.retry_failed;
        if asked_again.is_empty() {
            return Ok(false);
        }
        let kinds = self.store.failure_kinds().await?;
        for kind in asked_again.iter().filter(|kind| !kinds.contains_key(*kind)) {
            let known: Vec<String> = kinds
                .iter()
                .map(|(kind, count)| format!("{count} as `{kind}`"))
                .collect();
            let known = if known.is_empty() {
                "none failed".to_owned()
            } else {
                format!("{} did", known.join(", "))
            };
            self.printer
                .warning(format_args!("no question failed as `{kind}`; {known}"));
        }
        Ok(asked_again.iter().any(|kind| kinds.contains_key(kind)))
    }

    async fn ask_everything(&self, revision: u32) -> anyhow::Result<Outcome> {
        let material = self.material().await?;
        let drawn = self.drawn().await?;
        let mut outcome = Outcome {
            rows: drawn.rows,
            revision,
            notes: drawn.notes.clone(),
            ..Outcome::default()
        };
        let mut facts = Vec::new();
        if let (Some(file), Some(prompts)) = (&material.prompts, &drawn.prompts) {
            outcome.source_sha256.clone_from(&file.sha256);
            outcome.items = prompts.items();
            outcome.prompts = prompts.len();
            facts = self.ask_prompts(prompts, &mut outcome).await?;
        }
        for (section, files) in self.recipe.imports().iter().zip(&material.imports) {
            let imported = self.import(section, files).await?;
            outcome.imported += imported.traces.len();
            outcome.imported_sha256.push(files.0.sha256.clone());
            outcome.prompts += imported.prompts;
            outcome.traces.append(&imported.traces);
            outcome.notes.extend(imported.notes);
            facts.push(imported.teacher);
        }
        let mut facts = facts.into_iter();
        outcome.teacher = facts.next().context("no answer is asked for or imported")?;
        outcome.more_teachers = facts.collect();
        Ok(outcome)
    }

    /// Asks about all that was drawn; who was asked.
    async fn ask_prompts(
        &self,
        prompts: &DrawnPrompts,
        outcome: &mut Outcome,
    ) -> anyhow::Result<Vec<super::teacher::Facts>> {
        if prompts.len() == 0 {
            anyhow::bail!(
                "no prompt is left to ask; look at `where` and at the size of the suites"
            );
        }
        let teachers = self.load_teachers().await?;
        let samples = self.recipe.harvest()?.samples;
        let (ids, counts) = self.keep_prompts(prompts, &teachers).await?;
        outcome.replaced = self.redactor.replaced(&counts);
        outcome.notes.extend(redact::note(
            "Replaced before anything was asked, in",
            &outcome.replaced,
            counts.items(),
            "rows",
        ));
        let (asked, failed) = self.ask("harvest", &teachers, &ids, samples).await?;
        for teacher in &teachers {
            let traces = &mut outcome.traces;
            self.answers(teacher, &ids, samples, |id| match id {
                Some(id) => Ok(traces.push(&id)?),
                None => Ok(()),
            })
            .await?;
        }
        outcome.asking = asked;
        outcome.asked_now = asked.answers;
        outcome.failed = failed;
        Ok(teachers.into_iter().map(|teacher| teacher.facts).collect())
    }

    /// Asks `teachers` about `prompts` of the store, side by side, each within its own limits; what is answered there is
    /// not asked again. Also says how many questions got no answer.
    pub(super) async fn ask(
        &self,
        label: &str,
        teachers: &[Loaded],
        prompts: &Arc<ContentIds>,
        samples: u32,
    ) -> anyhow::Result<(Asked, u64)> {
        let parameters = self.recipe.harvest()?.parameters();
        limbeck_student::evaluate::reset_peak_resident();
        let harvests = teachers.iter().map(|teacher| {
            let plan = HarvestPlan {
                prompts: prompts.clone(),
                samples,
                parameters: parameters.clone(),
                truncated_max_tokens: teacher.section.truncated_max_tokens(),
                retry_failed: self.options.retry_failed.clone(),
            };
            let label = match teachers {
                [_] => label.to_owned(),
                _ => format!("{label} {}", teacher.facts.name),
            };
            let reporter = Arc::new(HarvestBar::new(
                &self.progress,
                label,
                teacher.api().cloned(),
            ));
            self.ask_one(teacher, plan, reporter)
        });
        // All come to their end, also when one fails: what the others are answered is kept.
        let all = futures::future::join_all(harvests).await;
        let (mut total, mut left) = (Asked::default(), Left::default());
        let (mut failed, mut erased, mut interrupted) = (0, 0, false);
        for harvested in all {
            let Harvested { summary, left: one } = harvested.map_err(with_its_hint)?;
            left.add(one);
            total.add(&summary);
            failed += summary.failed + summary.left_out;
            erased += summary.erased;
            interrupted |= summary.interrupted;
        }
        if interrupted {
            if !left.is_nothing() {
                self.printer.status(left_in_words(left));
            }
            return Err(Interrupted.into());
        }
        if !left.is_nothing() {
            return Err(Unfinished(left).into());
        }
        total.peak_rss_bytes = limbeck_student::evaluate::peak_resident_bytes();
        if failed > 0 {
            self.printer.warning(format_args!(
                "{failed} questions got no answer; `limbeck traces failures --workdir {}` says why",
                self.work.path().display()
            ));
        }
        if erased > 0 {
            self.printer.warning(format_args!(
                "{erased} questions were not asked, because their prompts were erased from the store"
            ));
        }
        Ok((total, failed + erased))
    }

    /// Hands out the ids of the answers of `teacher`, prompt by prompt; `None` where there is none. Of an answer that was
    /// cut off and asked for again, the second.
    pub(super) async fn answers(
        &self,
        teacher: &Loaded,
        prompts: &ContentIds,
        samples: u32,
        mut each: impl FnMut(Option<String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let parameters = self.recipe.harvest()?.parameters();
        let key = teacher.key();
        let first = TraceIds::new(&key, &parameters);
        let second = teacher.section.truncated_max_tokens().map(|max_tokens| {
            let mut larger = parameters;
            larger.max_tokens = max_tokens;
            TraceIds::new(&key, &larger)
        });
        for prompts in prompts.chunks(CHUNK) {
            let first = ids_of(&first, &prompts, samples);
            let ended = self.store.finish_reasons(&first).await?;
            let second = match &second {
                Some(ids) => {
                    let ids = ids_of(ids, &prompts, samples);
                    let answered = self.store.answered(&ids).await?;
                    ids.into_iter()
                        .map(|id| answered.contains(&id).then_some(id))
                        .collect()
                }
                None => vec![None; first.len()],
            };
            for (id, second) in first.into_iter().zip(second) {
                each(match ended.get(&id) {
                    Some(FinishReason::Length) => second.or(Some(id)),
                    Some(_) => Some(id),
                    None => None,
                })?;
            }
        }
        Ok(())
    }
}

/// What a person can do about a harvest that could not go on.
fn with_its_hint(error: HarvestError) -> anyhow::Error {
    let hint = error.hint().map(str::to_owned);
    let error = anyhow::Error::new(error);
    match hint {
        Some(hint) => Err::<(), _>(error).hint(hint).expect_err("an error"),
        None => error,
    }
}

impl Outcome {
    /// With a digest for the ids of the answers, which the stage's folder has: there may be a million of them.
    fn summary(&self) -> serde_json::Result<Value> {
        let without = Self {
            traces: ContentIds::default(),
            ..self.clone()
        };
        let mut summary = serde_json::to_value(without)?;
        summary["traces"] = self.traces.summary();
        Ok(summary)
    }
}

impl Asked {
    /// Counts what one teacher answered; those that are asked side by side share the time.
    fn add(&mut self, summary: &HarvestSummary) {
        self.answers += summary.asked;
        self.reused += summary.reused;
        self.prompt_tokens += summary.prompt_tokens;
        self.completion_tokens += summary.completion_tokens;
        self.seconds = self.seconds.max(summary.seconds);
    }
}

/// What the answers to these prompts are kept under, prompt by prompt.
pub(super) fn ids_of(ids: &TraceIds, prompts: &[String], samples: u32) -> Vec<String> {
    prompts
        .iter()
        .flat_map(|prompt| (0..samples).map(move |sample| ids.of(prompt, sample)))
        .collect()
}

pub(super) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}
