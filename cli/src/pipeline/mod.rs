//! The road from a recipe to a report: each stage in a file of its own, and what they share here.
//!
//! A stage asks [`Pipeline::stage`] for its folder by name and inputs. If the folder has an outcome the stage is done;
//! if not, it works (or goes on working) there and writes the outcome last. A later stage names the hash of the one
//! before it among its inputs, so a change anywhere redoes what follows it and nothing else.

pub mod batches;
mod curate;
mod drawing;
pub mod estimate;
mod evaluate;
mod export;
mod guard;
mod harvest;
mod import;
pub mod kept_recipe;
mod labelling;
pub mod ledgered;
mod material;
mod prompts;
mod redact;
mod report;
mod suite;
pub mod teacher;
mod train;
pub mod workdir;

use std::path::{Path, PathBuf};

use anyhow::Context;
use limbeck_store::ledger::SecretKey;
use limbeck_store::redact::Redactor;
use limbeck_store::{RunStatus, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::printer::Printer;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::report::Report;
use crate::rights;
use crate::signing::{self, reviewer};
use crate::sources::Cache;

use batches::Left;
use drawing::Drawn;
use material::Material;
use workdir::{StageDir, Workdir, write_whole};

/// How far down the road to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Ask the teacher.
    Harvest,
    /// Judge its answers.
    Curate,
    /// Train the student.
    Train,
    /// Measure it.
    Evaluate,
    /// Write its files.
    Export,
}

/// What a person may change about a run without changing the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Options {
    /// At most so many prompts, and rows of each suite.
    pub limit: Option<u64>,
    /// A malformed row is an error.
    pub strict: bool,
    /// Kinds of failures that are asked again, also when the harvest is done.
    #[serde(skip)]
    pub retry_failed: Vec<String>,
    /// Do not wait for batches: ask once how far they are, and leave what is open to the next run.
    #[serde(skip)]
    pub no_wait: bool,
    /// Report what is done and do nothing.
    #[serde(skip)]
    pub only_look: bool,
}

/// What a run came to.
#[derive(Debug)]
pub enum Ended {
    /// All stages that were asked for are done.
    Done(Box<Report>),
    /// The user stopped it; what was in flight is saved.
    Interrupted,
    /// Something is left in batches, which the next run collects or asks again.
    Unfinished(Left),
}

/// A recipe on its way.
pub struct Pipeline {
    recipe: Recipe,
    options: Options,
    work: Workdir,
    store: Store,
    redactor: Redactor,
    /// Signs the ledger, and what is said of what is in it.
    signer: Option<SecretKey>,
    cache: Cache,
    printer: Printer,
    progress: Progress,
    cancel: CancellationToken,
    material: OnceCell<Material>,
    drawn: OnceCell<Drawn>,
}

/// Where and how a pipeline runs.
pub struct Surroundings {
    /// The work folder.
    pub workdir: PathBuf,
    /// Where downloads are kept.
    pub cache: Cache,
    /// The way to the terminal.
    pub printer: Printer,
    /// How progress is shown.
    pub progress: Progress,
    /// Stops long work.
    pub cancel: CancellationToken,
}

/// Outcomes of the stages that were run, for the report.
#[derive(Debug, Default)]
struct Outcomes {
    harvest: Option<harvest::Outcome>,
    curate: Option<curate::Outcome>,
    train: Option<train::Outcome>,
    evaluate: Option<evaluate::Outcome>,
    export: Option<export::Outcome>,
}

/// A finished stage: its folder and what it found.
struct Finished<T> {
    dir: StageDir,
    outcome: T,
}

/// A stage is not done, and only looking is asked for.
#[derive(Debug, thiserror::Error)]
#[error("not done yet")]
struct NotDone;

/// The user stopped the run in the middle of a stage.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// Requests are left in batches.
#[derive(Debug, thiserror::Error)]
#[error("batches are left to the next run")]
struct Unfinished(Left);

impl Pipeline {
    /// Opens the work folder, which no other process may be using.
    pub async fn open(recipe: Recipe, options: Options, at: Surroundings) -> anyhow::Result<Self> {
        let redactor = match recipe.redact() {
            Some(section) => section.redactor()?,
            None => Redactor::default(),
        };
        let work = Workdir::create(&at.workdir)?;
        let store = Store::open(&work.store()).await?;
        let signer = signing::ledger::sign_with_it(&store, &at.printer).await?;
        let reviewed = rights::Reviewed::of(&recipe, &reviewer::trusted(&[])?, &[])?;
        let clarifications =
            rights::clarifications(&recipe, &reviewed, &at.cache, &at.printer).await;
        store.tell_terms(recipe.registry()?, clarifications);
        Ok(Self {
            recipe,
            options,
            work,
            store,
            redactor,
            signer,
            cache: at.cache,
            printer: at.printer,
            progress: at.progress,
            cancel: at.cancel,
            material: OnceCell::new(),
            drawn: OnceCell::new(),
        })
    }

    /// Does every stage up to and including `until` that is not done yet, and writes the report.
    pub async fn run(&self, until: Stage) -> anyhow::Result<Ended> {
        if !self.options.only_look {
            self.keep_recipe().await?;
        }
        let mut outcomes = Outcomes::default();
        let ended = self.stages(until, &mut outcomes).await;
        let written = self.write_checkpoint().await;
        match ended {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => return Ok(Ended::Interrupted),
            Err(error) if error.is::<Unfinished>() => {
                let Unfinished(left) = error.downcast()?;
                return Ok(Ended::Unfinished(left));
            }
            Err(error) if error.is::<NotDone>() => {}
            // It may be what keeps a checkpoint from being written as well.
            Err(error) => return Err(error),
        }
        written?;
        let report = self.report(&outcomes)?;
        report.write(self.work.path())?;
        Ok(Ended::Done(Box::new(report)))
    }

    async fn stages(&self, until: Stage, outcomes: &mut Outcomes) -> anyhow::Result<()> {
        if until >= Stage::Train && !self.options.only_look {
            self.refuse_missing_device()?;
            self.warn_of_frozen()?;
        }
        let harvested = self.harvest(until >= Stage::Train).await?;
        outcomes.harvest = Some(harvested.outcome.clone());
        if until < Stage::Curate {
            return Ok(());
        }
        let curated = self.curate(&harvested).await?;
        outcomes.curate = Some(curated.outcome.clone());
        if until < Stage::Train {
            return Ok(());
        }
        let trained = self.train(&curated).await?;
        outcomes.train = Some(trained.outcome.clone());
        if until < Stage::Evaluate {
            return Ok(());
        }
        let evaluated = match self.recipe.evaluations() {
            [] if until > Stage::Evaluate => None,
            _ => Some(self.evaluate(&curated, &trained).await?),
        };
        outcomes.evaluate = evaluated.as_ref().map(|stage| stage.outcome.clone());
        if until < Stage::Export {
            return Ok(());
        }
        let from = export::From {
            curated: &curated,
            trained: &trained,
            evaluated: evaluated.as_ref(),
        };
        let exported = self.export(from).await?;
        outcomes.export = Some(exported.outcome);
        Ok(())
    }

    /// The folder of the stage `name`, with its outcome if it is done.
    fn stage<T: DeserializeOwned>(
        &self,
        name: &'static str,
        inputs: &impl Serialize,
    ) -> anyhow::Result<(StageDir, Option<T>)> {
        let dir = self.work.stage(name, inputs)?;
        let outcome = dir.outcome();
        if outcome.is_some() {
            self.printer.status(format_args!("{name}: done before"));
        }
        Ok((dir, outcome))
    }

    /// Runs the work of a stage between two entries in the store's list of runs.
    async fn recorded<T: Serialize>(
        &self,
        name: &'static str,
        dir: &StageDir,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let summary = |outcome: &T| serde_json::to_value(outcome);
        self.recorded_with(name, dir, work, summary, std::future::ready(Ok(())))
            .await
    }

    /// The same; `summary` is what the list says of the outcome.
    async fn recorded_as<T: Serialize>(
        &self,
        name: &'static str,
        dir: &StageDir,
        work: impl Future<Output = anyhow::Result<T>>,
        summary: impl FnOnce(&T) -> serde_json::Result<serde_json::Value>,
    ) -> anyhow::Result<T> {
        self.recorded_with(name, dir, work, summary, std::future::ready(Ok(())))
            .await
    }

    /// The same, with work that comes after the last entry and before the stage is marked as done.
    async fn recorded_then<T: Serialize>(
        &self,
        name: &'static str,
        dir: &StageDir,
        work: impl Future<Output = anyhow::Result<T>>,
        after: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<T> {
        let summary = |outcome: &T| serde_json::to_value(outcome);
        Box::pin(self.recorded_with(name, dir, work, summary, after)).await
    }

    async fn recorded_with<T: Serialize>(
        &self,
        name: &'static str,
        dir: &StageDir,
        work: impl Future<Output = anyhow::Result<T>>,
        summary: impl FnOnce(&T) -> serde_json::Result<serde_json::Value>,
        after: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<T> {
        self.must_work()?;
        self.stop_if_cancelled()?;
        dir.create()?;
        let id = self
            .store
            .start_run(name, dir.hash(), self.recipe.name())
            .await?;
        let result = work
            .await
            .with_context(|| format!("the stage `{name}` did not end well"));
        let (status, summary) = match &result {
            Ok(outcome) => (RunStatus::Finished, summary(outcome)?),
            Err(error) if error.is::<Interrupted>() || error.is::<Unfinished>() => {
                (RunStatus::Interrupted, serde_json::Value::Null)
            }
            Err(error) => (RunStatus::Failed, format!("{error:#}").into()),
        };
        // The outcome last: an audit asks for the run behind each, also of a process that was killed in between.
        self.store.finish_run(id, status, &summary).await?;
        if let Ok(outcome) = &result {
            after
                .await
                .with_context(|| format!("the stage `{name}` did not end well"))?;
            dir.finish(outcome)?;
        }
        result
    }

    /// Ends a run that only looks, where a stage is not done.
    fn must_work(&self) -> anyhow::Result<()> {
        if self.options.only_look {
            return Err(NotDone.into());
        }
        Ok(())
    }

    /// Ends the run where the user asked for it.
    fn stop_if_cancelled(&self) -> anyhow::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Interrupted.into());
        }
        Ok(())
    }

    /// The files that the recipe names, fetched once.
    async fn material(&self) -> anyhow::Result<&Material> {
        self.material
            .get_or_try_init(|| Material::fetch(self))
            .await
    }

    /// Prompts and suites, drawn once.
    async fn drawn(&self) -> anyhow::Result<&Drawn> {
        let material = self.material().await?;
        self.drawn
            .get_or_try_init(|| async { material.draw(self) })
            .await
    }

    /// A path of the work folder as the report shows it.
    fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.work.path()).unwrap_or(path);
        path.display().to_string()
    }
}
