//! The last stage: the student as files for devices, each checked by loading it back.

mod facts;
mod sealing;

use std::path::Path;

use anyhow::Context;
use limbeck_model::{MetadataValue, ModelFiles};
use limbeck_store::NotedKind;
use limbeck_store::attestation::{FileDigest, SIGNING_KEY};
use limbeck_store::audit::{Lineage, Waiver};
use limbeck_store::review::Carried;
use limbeck_student::export::{CardFacts, CardScore, ExportError, ExportModel, Exported, export};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::guard::Audited;
use super::{Finished, Interrupted, Pipeline, StageDir, curate, evaluate, train, write_whole};
use crate::dossier::{Facts, sections};
use crate::recipe::{ImportSection, SourceTable};
use crate::sources::{Source, shown};
use crate::{report, signing};

/// The folder of an export stage that holds the files.
const FILES: &str = "export";

/// Texts beside those of the prompts that every exported file is compared on: what tokenizers get wrong.
const AWKWARD: [&str; 4] = [
    "",
    "  two  spaces\n\n\tand a tab",
    "naïve café 東京 🦊👩‍👩‍👧",
    "12345 3.14 <|im_end|> don't",
];
/// Prompts that every exported file is compared on.
const PROBES: usize = 12;

/// The files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// In the recipe's order.
    pub files: Vec<Exported>,
    /// Those by which they were written although an audit denied it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Carried<Waiver>>,
}

/// Raised when other documents go with the files, so that older exports are made anew.
const DOCUMENTS: u32 = 2;

/// What an export is made of.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    /// What the student learned from.
    pub(super) curated: &'a Finished<curate::Outcome>,
    /// The student.
    pub(super) trained: &'a Finished<train::Outcome>,
    /// Its scores, where it was measured.
    pub(super) evaluated: Option<&'a Finished<evaluate::Outcome>>,
}

impl Pipeline {
    /// Writes and verifies the files that the recipe asks for, with what goes with them.
    pub(super) async fn export(&self, from: From<'_>) -> anyhow::Result<Finished<Outcome>> {
        let section = self.recipe.export()?;
        let inputs = json!({
            "train": from.trained.dir.hash(),
            "evaluate": from.evaluated.map(|stage| stage.dir.hash()),
            // What the device allows is a gate over the files and changes none of them.
            "formats": section.formats,
            "intent": self.recipe.intent(),
            "about": self.recipe.about(),
            "rights": self.recipe.said_of_rights(),
            "documents": DOCUMENTS,
        });
        let (dir, done) = self.stage::<Outcome>("export", &inputs)?;
        let outcome = if let Some(outcome) = done {
            outcome
        } else {
            self.must_work()?;
            self.note_older_model(from).await?;
            let lineage = Lineage {
                model: Some(from.trained.dir.hash().to_owned()),
                ..from.curated.lineage()
            };
            let audited = self.refuse_what_is_denied("export", &lineage).await?;
            let work = self.write_files(&dir, from, audited);
            let seal = self.seal(&dir, from.curated, from.trained);
            self.recorded_then("export", &dir, work, seal).await?
        };
        self.work.link("export", &dir.join(FILES))?;
        Ok(Finished { dir, outcome })
    }

    async fn write_files(
        &self,
        dir: &StageDir,
        from: From<'_>,
        audited: Audited<'_>,
    ) -> anyhow::Result<Outcome> {
        let formats = &self.recipe.export()?.formats;
        let bar = self.progress.stage("export", None, "files");
        let files = ModelFiles::open(&from.trained.dir.join(train::STUDENT))?;
        let template = files
            .chat_template
            .as_ref()
            .context("the student has no chat template")?;
        let waivers = audited.waivers.clone();
        let suites = from
            .evaluated
            .iter()
            .flat_map(|stage| &stage.outcome.suites);
        let facts = self
            .facts(from, audited, suites.flat_map(scores).collect())
            .await?;
        let card = self.card_facts(&facts)?;
        let probes = self.probes().await?;
        let exported = tokio::task::block_in_place(|| {
            export(
                &dir.join(FILES),
                formats,
                ExportModel {
                    name: self.recipe.name(),
                    license: self.recipe.intent().student_license.as_deref(),
                    config: &files.config,
                    weights: files.weights.as_ref(),
                    tokenizer: &files.tokenizer,
                    template,
                    metadata: &metadata(&facts),
                },
                &probes,
                &card,
                &self.cancel,
            )
        });
        let files = match exported {
            Err(ExportError::Cancelled) => return Err(Interrupted.into()),
            exported => exported?,
        };
        self.write_documents(&dir.join(FILES), &facts, &files)?;
        bar.finish(format!(
            "{} files, each loaded back and compared",
            files.len()
        ));
        let made_from = json!({"model": from.trained.dir.hash(), "waivers": waivers});
        self.note_files(NotedKind::Export, dir, FILES, made_from)
            .await?;
        Ok(Outcome { files, waivers })
    }

    /// Notes a model that was trained before there was a ledger, as adopted.
    async fn note_older_model(&self, from: From<'_>) -> anyhow::Result<()> {
        let dir = &from.trained.dir;
        let noted = self.store.ledger_state_after("model", dir.hash()).await?;
        if noted.is_some() {
            return Ok(());
        }
        let made_from = json!({
            "dataset": from.curated.outcome.dataset,
            "curation": from.curated.dir.hash(),
            "adopted": true,
        });
        self.note_files(NotedKind::Model, dir, train::STUDENT, made_from)
            .await
    }

    /// The texts that every exported file is compared on.
    async fn probes(&self) -> anyhow::Result<Vec<String>> {
        let mut probes: Vec<String> = AWKWARD.map(str::to_owned).to_vec();
        if let Some(prompts) = &self.drawn().await?.prompts {
            probes.extend(prompts.first_inputs(PROBES)?);
        }
        Ok(probes)
    }

    /// What goes with the model, but for what is written last.
    fn write_documents(
        &self,
        folder: &Path,
        facts: &Facts,
        exported: &[Exported],
    ) -> anyhow::Result<()> {
        let weights = exported.iter().map(|file| FileDigest {
            path: file
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        });
        let weights: Vec<FileDigest> = weights.collect();
        for (name, text) in facts.documents(&weights, self.signer.as_ref())? {
            write_whole(&folder.join(name), text.as_bytes())?;
        }
        if let Some(key) = signing::model::existing_or_new(&self.printer)? {
            write_whole(&folder.join(SIGNING_KEY), key.public().to_pem().as_bytes())?;
        }
        Ok(())
    }

    fn card_facts(&self, facts: &Facts) -> anyhow::Result<CardFacts> {
        let with_license = |source: &str, license: Option<&str>| match license {
            Some(license) => format!("{source} ({license})"),
            None => source.to_owned(),
        };
        let prompts = self.recipe.harvest()?.prompts.iter();
        let prompts = prompts.map(|table| with_license(&shown(table.source()), table.license()));
        let imports = self.recipe.imports().iter();
        let datasets = imports.clone().map(|import| &import.from);
        let imports = imports.map(|import| with_license(&import.from, Some(&import.license)));
        let weights = facts.weights.iter();
        Ok(CardFacts {
            summary: self.recipe.about().description.clone(),
            teachers: self.models_that_answered()?,
            base_models: weights
                .filter_map(|weights| on_the_hub(&weights.name))
                .collect(),
            datasets: datasets.filter(|from| is_hub_id(from)).cloned().collect(),
            prompt_sources: prompts.chain(imports).collect(),
            scores: facts.scores.clone(),
            sections: sections(facts),
        })
    }

    /// The models whose answers the student learns from, as the recipe names them.
    fn models_that_answered(&self) -> anyhow::Result<Vec<String>> {
        let mut models = Vec::new();
        if self.recipe.harvest()?.prompts.is_some() {
            let teachers = self.recipe.harvest_teachers()?;
            models.extend(teachers.iter().map(|teacher| shown(&teacher.model)));
        }
        models.extend(self.recipe.imports().iter().map(ImportSection::answered_by));
        Ok(models)
    }
}

/// The essentials, inside the files themselves. Nothing of the ledger: it has another root in each work folder, and the
/// same run is to give the same files. The ledger names the files instead.
fn metadata(facts: &Facts) -> Vec<(String, MetadataValue)> {
    let text = |key: &str, value: &str| (key.to_owned(), MetadataValue::String(value.to_owned()));
    let mut metadata = vec![
        text("limbeck.version", env!("CARGO_PKG_VERSION")),
        text("limbeck.dataset", &facts.dataset.0),
        text("limbeck.training", &facts.training.hash),
        text("limbeck.use", &facts.uses().join(",")),
        text("limbeck.verdict", facts.rights.verdict.name()),
    ];
    let duties = facts.rights.duties.iter();
    let duties: Vec<String> = duties
        .map(|duty| format!("{} ({})", duty.text, duty.terms))
        .collect();
    if !duties.is_empty() {
        metadata.push(text("limbeck.duties", &duties.join("\n")));
    }
    if !facts.weights.is_empty() {
        let count = MetadataValue::U32(facts.weights.len() as u32);
        metadata.push(("general.base_model.count".to_owned(), count));
    }
    for (index, weights) in facts.weights.iter().enumerate() {
        let key = |name: &str| format!("general.base_model.{index}.{name}");
        metadata.push(text(&key("name"), &weights.name));
        if let Some(id) = on_the_hub(&weights.name) {
            metadata.push(text(
                &key("repo_url"),
                &format!("https://huggingface.co/{id}"),
            ));
        }
    }
    metadata
}

/// The id of a model of the Hugging Face hub.
fn on_the_hub(model: &str) -> Option<String> {
    match Source::parse(model) {
        Ok(Source::Hub { repository, .. }) => Some(repository),
        _ => None,
    }
}

/// Whether a text has the form of an id of the Hugging Face hub.
fn is_hub_id(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

fn scores(suite: &report::Suite) -> Vec<CardScore> {
    let contenders = suite
        .student
        .iter()
        .chain(&suite.teacher)
        .chain(&suite.floors);
    contenders
        .map(|score| CardScore {
            suite: suite.name.clone(),
            metric: suite.metric.title().to_owned(),
            name: score.name.clone(),
            score: score.score,
            low: score.low,
            high: score.high,
            n: score.n as usize,
        })
        .collect()
}
