//! The third stage: the student learns from the dataset.

use std::path::PathBuf;

use anyhow::Context;
use limbeck_model::{ModelFiles, Tokenizer, WeightMap, write_hugging_face_folder};
use limbeck_store::audit::Waiver;
use limbeck_store::identity::sha256_hex;
use limbeck_store::review::Carried;
use limbeck_store::{Dataset, DatasetRow, NotedKind, RowAnswer};
use limbeck_student::embeddings::{project_embeddings, teacher_rows};
use limbeck_student::train::{
    InitialWeights, Part, TrainData, TrainError, TrainPlan, TrainReport, Trained, train, untrained,
};
use limbeck_student::vocabulary::{Trimmed, train_bpe, trim};
use limbeck_student::{Example, STUDENT_CHAT_TEMPLATE, Target, TeacherToken};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Finished, Interrupted, Pipeline, StageDir, curate};
use crate::printer::WithHint;
use crate::progress::adapters::TrainBar;
use crate::recipe::{Init, TokenizerChoice};

/// The folder of a train stage that holds the student as others load it.
pub(super) const STUDENT: &str = "student";
/// The same for the student as it was before the first step.
pub(super) const UNTRAINED: &str = "untrained";

/// How training went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Loss, speed, size.
    pub report: TrainReport,
    /// Tokens of the student's vocabulary.
    pub vocabulary: usize,
    /// Those by which it was trained although an audit denied it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Carried<Waiver>>,
}

/// All that training needs, owned, so that it can run on a thread of its own.
struct Job {
    plan: TrainPlan,
    examples: Vec<Example>,
    tokenizer: TokenizerChoice,
    init: Init,
    /// The model whose tokenizer and weights the student takes, if it takes any.
    teacher: Option<PathBuf>,
    dir: StageDir,
    license: Option<String>,
    cancel: CancellationToken,
}

impl Pipeline {
    /// Trains the student on what curation kept.
    pub(super) async fn train(
        &self,
        curated: &Finished<curate::Outcome>,
    ) -> anyhow::Result<Finished<Outcome>> {
        let inputs = json!({
            "curate": curated.dir.hash(),
            "student": self.recipe.student()?,
            "train": self.recipe.train()?,
        });
        let (dir, done) = self.stage::<Outcome>("train", &inputs)?;
        let outcome = if let Some(outcome) = done {
            outcome
        } else {
            self.must_work()?;
            let lineage = curated.lineage();
            let audited = self.refuse_what_is_denied("train", &lineage).await?;
            let work = self.learn(curated, &dir, audited.waivers);
            self.recorded("train", &dir, work).await?
        };
        self.work.link("student", &dir.join(STUDENT))?;
        Ok(Finished { dir, outcome })
    }

    /// Warns of parts that are frozen as random numbers: at the end of a long harvest it would be late to.
    pub(super) fn warn_of_frozen(&self) -> anyhow::Result<()> {
        let borrowed = matches!(self.recipe.student()?.init, Init::Embeddings(_));
        for part in &self.recipe.train()?.freeze {
            if !(borrowed && *part == Part::Embeddings) {
                self.printer.warning(format_args!(
                    "`freeze` of `[train]` keeps `{part}` as random numbers: `[student]` starts them from nothing else"
                ));
            }
        }
        Ok(())
    }

    /// Refuses a device that this build or this machine does not have before a teacher is asked anything. Where a student
    /// was trained before, that stands in nobody's way: what is done is not trained again.
    pub(super) fn refuse_missing_device(&self) -> anyhow::Result<()> {
        let device = self.recipe.train()?.device.unwrap_or_default();
        if !self.work.path().join(STUDENT).exists() {
            device.resolve()?;
        }
        Ok(())
    }

    async fn learn(
        &self,
        curated: &Finished<curate::Outcome>,
        dir: &StageDir,
        waivers: Vec<Carried<Waiver>>,
    ) -> anyhow::Result<Outcome> {
        let student = self.recipe.student()?;
        let plan = self.recipe.train()?.plan(&student.shape);
        let (dataset, dataset_sha256) = self.dataset(curated).await?;
        let with_candidates = plan.objective.forward_kl > 0.0;
        let mut examples = Vec::with_capacity(dataset.rows.len());
        for row in dataset.rows {
            examples.push(self.example(row, with_candidates).await?);
        }
        let job = Job {
            plan,
            examples,
            tokenizer: student.tokenizer.clone(),
            init: student.init.clone(),
            teacher: self.borrowed_from().await?,
            dir: dir.clone(),
            license: self.recipe.intent().student_license.clone(),
            cancel: self.cancel.clone(),
        };
        let bar = TrainBar::new(&self.progress);
        let mut outcome = tokio::task::spawn_blocking(move || job.run(bar)).await??;
        let made_from = json!({
            "dataset": curated.outcome.dataset,
            "dataset_sha256": dataset_sha256,
            "curation": curated.dir.hash(),
            "waivers": waivers,
        });
        self.note_files(NotedKind::Model, dir, STUDENT, made_from)
            .await?;
        outcome.waivers = waivers;
        Ok(outcome)
    }

    /// The rows that are learned from, which must be those that the store has, and the SHA-256 of their file.
    async fn dataset(
        &self,
        curated: &Finished<curate::Outcome>,
    ) -> anyhow::Result<(Dataset, String)> {
        let path = curated.dir.join(curate::DATASET);
        let text =
            std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let dataset: Dataset = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` is no dataset", path.display()))?;
        let kept = self.store.dataset(&curated.outcome.dataset).await?;
        if kept.is_none_or(|kept| kept.rows != dataset.rows) {
            return Err(anyhow::anyhow!(
                "`{}` does not hold the rows that the store has of dataset {}",
                path.display(),
                curated.outcome.dataset
            ))
            .hint("remove the folder that it is in, and run the recipe again");
        }
        Ok((dataset, sha256_hex(&text)))
    }

    /// The file of the teacher that the student's tokenizer or weights come from.
    async fn borrowed_from(&self) -> anyhow::Result<Option<PathBuf>> {
        let material = self.material().await?;
        let name = self.recipe.student()?.teachers().next();
        let file = name.map(|name| material.teacher(name)).transpose()?;
        Ok(file.map(|file| file.path.clone()))
    }

    /// A row of the dataset as the trainer takes it, with the teacher's candidates where they are asked for and kept.
    async fn example(&self, row: DatasetRow, with_candidates: bool) -> anyhow::Result<Example> {
        let target = match row.answer {
            RowAnswer::Labels {
                choices,
                probabilities,
            } => Target::Labels {
                choices,
                probabilities,
            },
            // What was replaced is still in the teacher's tokens.
            RowAnswer::Text { text, redacted, .. } => match row.trace_ids.first() {
                Some(trace) if with_candidates && !redacted => {
                    let tokens = self.store.token_log_probabilities(trace).await?;
                    let tokens = tokens.into_iter().flatten();
                    let tokens = tokens.map(|token| TeacherToken {
                        id: token.id,
                        top: token.top,
                    });
                    Target::TextWithTop {
                        text,
                        tokens: tokens.collect(),
                    }
                }
                _ => Target::Text(text),
            },
        };
        Ok(Example {
            id: row.item,
            input: row.input,
            target,
        })
    }
}

impl Job {
    fn run(self, mut bar: TrainBar) -> anyhow::Result<Outcome> {
        let teacher = match &self.teacher {
            Some(path) => Some(ModelFiles::open(path)?),
            None => None,
        };
        let (tokenizer, teacher_ids) =
            self.vocabulary(teacher.as_ref().map(|teacher| &teacher.tokenizer))?;
        let initial = match &self.init {
            Init::Scratch => InitialWeights::Random,
            Init::Embeddings(_) => {
                let ids = teacher_ids
                    .as_deref()
                    .context("embeddings of the teacher need its tokenizer, trimmed")?;
                let teacher = teacher.as_ref().context("embeddings need a teacher")?;
                let rows = teacher_rows(teacher.weights.as_ref(), ids)?;
                InitialWeights::Embeddings(project_embeddings(&rows, self.plan.shape.width)?)
            }
        };
        drop(teacher);
        let before = untrained(&self.plan, &tokenizer, &initial)?;
        let data = TrainData {
            tokenizer: &tokenizer,
            teacher_ids: teacher_ids.as_deref(),
            examples: &self.examples,
        };
        let checkpoint = self.dir.join("checkpoint");
        let trained = match train(
            &self.plan,
            &data,
            &initial,
            &checkpoint,
            &mut bar,
            &self.cancel,
        ) {
            Err(TrainError::Interrupted { .. }) => return Err(Interrupted.into()),
            trained => trained?,
        };
        bar.finish(&trained.report);
        self.save(UNTRAINED, &before.0, &before.1, &tokenizer)?;
        let Trained {
            config,
            weights,
            report,
        } = trained;
        self.save(STUDENT, &config, &weights, &tokenizer)?;
        Ok(Outcome {
            report,
            vocabulary: tokenizer.vocab_size(),
            waivers: Vec::new(),
        })
    }

    /// The student's tokenizer, and for each of its tokens that of the teacher, where it is the teacher's, trimmed.
    fn vocabulary(
        &self,
        teacher: Option<&Tokenizer>,
    ) -> anyhow::Result<(Tokenizer, Option<Vec<u32>>)> {
        let texts = self.examples.iter().flat_map(|example| {
            let answers: Vec<&str> = match &example.target {
                Target::Text(text) | Target::TextWithTop { text, .. } => vec![text],
                Target::Labels { choices, .. } => choices.iter().map(String::as_str).collect(),
                Target::Unlabelled => Vec::new(),
            };
            std::iter::once(example.input.as_str()).chain(answers)
        });
        match self.tokenizer {
            TokenizerChoice::Trim(_) => {
                let Trimmed {
                    tokenizer,
                    teacher_ids,
                } = trim(
                    teacher.context("a trimmed tokenizer needs a teacher")?,
                    texts,
                )?;
                Ok((tokenizer, Some(teacher_ids)))
            }
            TokenizerChoice::TrainBpe(size) => Ok((train_bpe(texts, size as usize)?, None)),
        }
    }

    fn save(
        &self,
        folder: &str,
        config: &limbeck_model::ModelConfig,
        weights: &WeightMap,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<()> {
        Ok(write_hugging_face_folder(
            &self.dir.join(folder),
            config,
            weights,
            tokenizer,
            Some(STUDENT_CHAT_TEMPLATE),
            self.license.as_deref(),
        )?)
    }
}
