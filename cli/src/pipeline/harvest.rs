//! The first stage: ask the teacher about every prompt, in every phrasing.

use std::sync::Arc;

use limbeck_store::{Prompt, SamplingParameters, TraceKey};
use limbeck_teacher::{HarvestPlan, HarvestSummary, Teacher, harvest};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Finished, Interrupted, Pipeline};
use crate::progress::adapters::HarvestBar;
use crate::recipe::HarvestSection;

/// What was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Rows of the source that pass the filter.
    pub rows: usize,
    /// Rows that were asked about.
    pub items: usize,
    /// Prompts: a row in two phrasings is two.
    pub prompts: usize,
    /// Ids of the answers, in the order of the prompts.
    pub traces: Vec<String>,
    /// Prompts that got no answer.
    pub failed: u64,
    /// How the asking went.
    pub asking: Asked,
    /// What a reader of the report must know about the draw.
    pub notes: Vec<String>,
    /// Who was asked.
    pub teacher: super::teacher::Facts,
    /// SHA-256 of the prompts' file, in hex.
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
    /// Asks what the store does not know yet.
    pub(super) async fn harvest(&self) -> anyhow::Result<Finished<Outcome>> {
        let material = self.material().await?;
        let (dir, done) = self.stage::<Outcome>("harvest", &material.inputs(self)?)?;
        if let Some(outcome) = done {
            return Ok(Finished { dir, outcome });
        }
        let outcome = self
            .recorded("harvest", &dir, self.ask_everything())
            .await?;
        Ok(Finished { dir, outcome })
    }

    async fn ask_everything(&self) -> anyhow::Result<Outcome> {
        let material = self.material().await?;
        let drawn = self.drawn().await?;
        if drawn.prompts.is_empty() {
            anyhow::bail!(
                "no prompt is left to ask; look at `where` and at the size of the suites"
            );
        }
        let section = self.recipe.harvest()?;
        let parameters = parameters(section);
        let teacher = self.load_teacher().await?;
        let (asked, failed) = self
            .ask(
                "harvest",
                teacher.asked(),
                drawn.prompts.clone(),
                section.samples,
            )
            .await?;
        let keys = keys(&drawn.prompts, section.samples, &teacher.key(), &parameters);
        let answered = self.store.answered(&keys).await?;
        let ids = keys.iter().map(TraceKey::id);
        Ok(Outcome {
            rows: drawn.rows,
            items: drawn.items,
            prompts: drawn.prompts.len(),
            traces: ids.filter(|id| answered.contains(id)).collect(),
            failed,
            asking: asked,
            notes: drawn.notes.clone(),
            teacher: teacher.facts,
            source_sha256: material.prompts.sha256.clone(),
            asked_now: asked.answers,
        })
    }

    /// Asks `teacher` about `prompts`; what the store has is not asked again. Also says how many got no answer.
    pub(super) async fn ask(
        &self,
        label: &'static str,
        teacher: Arc<dyn Teacher>,
        prompts: Vec<Prompt>,
        samples: u32,
    ) -> anyhow::Result<(Asked, u64)> {
        let section = self.recipe.harvest()?;
        let limits = &self.recipe.harvest_teacher()?.limits;
        limbeck_student::evaluate::reset_peak_resident();
        let plan = HarvestPlan {
            prompts: prompts.into(),
            samples,
            parameters: parameters(section),
            truncated_max_tokens: None,
            retry_failed: Vec::new(),
        };
        let limits = limits.limits();
        let reporter = Arc::new(HarvestBar::new(&self.progress, label));
        let stop: CancellationToken = self.cancel.clone();
        let summary = harvest(&self.store, teacher, plan, limits, reporter, stop).await?;
        if summary.interrupted {
            return Err(Interrupted.into());
        }
        Ok((asked(&summary), summary.failed))
    }
}

fn asked(summary: &HarvestSummary) -> Asked {
    Asked {
        answers: summary.asked,
        reused: summary.reused,
        prompt_tokens: summary.prompt_tokens,
        completion_tokens: summary.completion_tokens,
        seconds: summary.seconds,
        peak_rss_bytes: limbeck_student::evaluate::peak_resident_bytes(),
    }
}

/// How the recipe asks.
pub(super) fn parameters(section: &HarvestSection) -> SamplingParameters {
    if let Some(choices) = &section.choices {
        return SamplingParameters::choose(choices.clone());
    }
    SamplingParameters {
        choices: Vec::new(),
        temperature: section.sampling.temperature,
        top_p: section.sampling.top_p,
        max_tokens: section.sampling.max_tokens,
        top_logprobs: section.sampling.top_logprobs,
        seed: section.sampling.seed,
        stop: Vec::new(),
        json_schema: None,
        reasoning: None,
    }
}

/// What the answers are kept under, prompt by prompt.
pub(super) fn keys(
    prompts: &[Prompt],
    samples: u32,
    teacher: &str,
    parameters: &SamplingParameters,
) -> Vec<TraceKey> {
    let key = |prompt: &Prompt, sample| TraceKey {
        prompt_id: prompt.id.clone(),
        sample,
        teacher: teacher.to_owned(),
        parameters: parameters.clone(),
    };
    prompts
        .iter()
        .flat_map(|prompt| (0..samples).map(move |sample| key(prompt, sample)))
        .collect()
}
