//! The second stage: judge the answers, and choose what the student learns from.

use limbeck_store::audit::Lineage;
use limbeck_store::redact::{Counts, Replaced};
use limbeck_store::{
    Candidate, CheckSummary, ChoiceDistribution, Curation, Dataset, PriorCorrectionFit, TraceRecord,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::harvest::is_zero;
use super::labelling::Labelling;
use super::{Finished, Pipeline, harvest, write_whole};

/// The file of a curate stage that holds the rows of the dataset.
pub(super) const DATASET: &str = "dataset.json";

/// How many traces are read from the store at once.
const CHUNK: usize = 2000;

/// What was chosen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Answers that every check kept.
    pub kept: usize,
    /// Answers that a check dropped.
    pub dropped: usize,
    /// What each check did.
    pub checks: Vec<CheckSummary>,
    /// The teacher's leaning that was taken out, by phrasing.
    pub prior: PriorCorrectionFit,
    /// The dataset's id in the store.
    pub dataset: String,
    /// Its rows.
    pub rows: usize,
    /// What was replaced in what the student learns from, by answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// How many answers were looked through for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub looked_through: u64,
}

impl Finished<Outcome> {
    /// What goes into a model that learns from this.
    pub(super) fn lineage(&self) -> Lineage {
        Lineage {
            dataset: self.outcome.dataset.clone(),
            curation: self.dir.hash().to_owned(),
            model: None,
            export: None,
        }
    }
}

impl Pipeline {
    /// Judges every answer of the harvest.
    pub(super) async fn curate(
        &self,
        harvested: &Finished<harvest::Outcome>,
    ) -> anyhow::Result<Finished<Outcome>> {
        let mut inputs = json!({"harvest": harvested.dir.hash(), "curate": self.recipe.curate()?});
        self.redaction_inputs(&mut inputs);
        if harvested.outcome.revision > 0 {
            inputs["revision"] = harvested.outcome.revision.into();
        }
        let mut erased = Vec::new();
        let anywhere = self.store.erased_traces().await?;
        if !anywhere.is_empty() {
            erased.extend(
                harvested
                    .outcome
                    .traces
                    .iter()
                    .filter(|id| anywhere.contains(id)),
            );
            erased.sort_unstable();
            erased.dedup();
        }
        if !erased.is_empty() {
            inputs["erased"] = json!(erased);
        }
        let (dir, done) = self.stage::<Outcome>("curate", &inputs)?;
        if let Some(outcome) = done {
            return Ok(Finished { dir, outcome });
        }
        let work = self.judge(&harvested.outcome, &erased, &dir);
        let outcome = self.recorded("curate", &dir, work).await?;
        Ok(Finished { dir, outcome })
    }

    async fn judge(
        &self,
        harvested: &harvest::Outcome,
        erased: &[String],
        dir: &super::StageDir,
    ) -> anyhow::Result<Outcome> {
        let bar = self
            .progress
            .stage("curate", Some(harvested.traces.len() as u64), "answers");
        let choices = self.recipe.harvest()?.choices.as_deref();
        let mut labelling = Labelling::new(choices);
        let mut counts = Counts::default();
        let mut candidates = Vec::with_capacity(harvested.traces.len());
        for ids in harvested.traces.chunks(CHUNK) {
            for record in self.store.traces(&ids).await? {
                // Nothing can be learned from what is no more.
                if erased.binary_search(&record.id).is_ok() {
                    continue;
                }
                let Some(mut candidate) = labelling.read(candidate(record)) else {
                    continue;
                };
                self.redactor.candidate(&mut candidate, &mut counts);
                candidates.push(candidate);
            }
            bar.set_position(candidates.len() as u64);
        }
        let section = self.recipe.curate()?;
        let weights = self.material().await?.asking.phrasings.iter();
        let curation = Curation {
            checks: section.check.clone(),
            prior_correction: section.prior_correction,
            phrasing_weights: weights
                .map(|phrasing| (phrasing.name.clone(), phrasing.weight))
                .collect(),
        };
        let suites = &self.drawn().await?.suites;
        let held_out: Vec<String> = suites
            .iter()
            .flat_map(|suite| suite.prompts.iter())
            .map(|prompt| prompt.input.clone())
            .collect();
        let mut curated = tokio::task::spawn_blocking(move || {
            limbeck_store::curate(candidates, &curation, &held_out)
        })
        .await?;
        labelling.account(&mut curated);
        self.store
            .write_verdicts(dir.hash(), &curated.verdicts)
            .await?;
        let replaced = self.redactor.replaced(&counts);
        let dataset = Dataset::new(self.recipe.name(), curated.rows).redacted(replaced.clone());
        self.store.write_dataset(&dataset).await?;
        write_whole(&dir.join(DATASET), &serde_json::to_vec(&dataset)?)?;
        bar.finish(format!(
            "{} kept, {} dropped",
            curated.kept, curated.dropped
        ));
        if dataset.rows.is_empty() {
            anyhow::bail!(
                "every answer was dropped, so there is nothing to learn from; `limbeck traces list --dropped` shows why"
            );
        }
        Ok(Outcome {
            kept: curated.kept,
            dropped: curated.dropped,
            checks: curated.checks,
            prior: curated.prior,
            dataset: dataset.id,
            rows: dataset.rows.len(),
            looked_through: if replaced.is_empty() {
                0
            } else {
                counts.items()
            },
            replaced,
        })
    }
}

pub(super) fn candidate(record: TraceRecord) -> Candidate {
    let choices = record
        .choice_log_probabilities
        .map(|log_probabilities| ChoiceDistribution {
            choices: record.key.parameters.choices,
            log_probabilities,
        });
    Candidate {
        trace_id: record.id,
        item: Candidate::item_of(&record.prompt.input),
        input: record.prompt.input,
        phrasing: record.prompt.phrasing,
        sample: record.key.sample,
        answer: record.text,
        choices,
        redacted: false,
        finish: record.finish_reason,
        completion_tokens: record.completion_tokens,
        mean_log_probability: record.mean_log_probability,
    }
}
