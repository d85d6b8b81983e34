//! The last stage: the student as files for devices, each checked by loading it back.

use anyhow::Context;
use limbeck_model::ModelFiles;
use limbeck_store::NotedKind;
use limbeck_store::audit::Waiver;
use limbeck_student::export::{CardFacts, CardScore, ExportError, ExportModel, Exported, export};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Finished, Interrupted, Pipeline, curate, evaluate, train};
use crate::recipe::{ImportSection, SourceTable};
use crate::report;

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
    pub waivers: Vec<Waiver>,
}

impl Pipeline {
    /// Writes and verifies the files that the recipe asks for.
    pub(super) async fn export(
        &self,
        curated: &Finished<curate::Outcome>,
        trained: &Finished<train::Outcome>,
        evaluated: Option<&Finished<evaluate::Outcome>>,
    ) -> anyhow::Result<Finished<Outcome>> {
        let section = self.recipe.export()?;
        let inputs = json!({
            "train": trained.dir.hash(),
            "evaluate": evaluated.map(|stage| stage.dir.hash()),
            // What the device allows is a gate over the files and changes none of them.
            "formats": section.formats,
            "intent": self.recipe.intent(),
            "about": self.recipe.about(),
        });
        let (dir, done) = self.stage::<Outcome>("export", &inputs)?;
        let outcome = if let Some(outcome) = done {
            outcome
        } else {
            let waivers = self.may_go_on("export", curated).await?;
            let work = self.write_files(&dir, trained, evaluated, waivers);
            self.recorded("export", &dir, work).await?
        };
        self.work.link("export", &dir.join(FILES))?;
        Ok(Finished { dir, outcome })
    }

    async fn write_files(
        &self,
        dir: &super::StageDir,
        trained: &Finished<train::Outcome>,
        evaluated: Option<&Finished<evaluate::Outcome>>,
        waivers: Vec<Waiver>,
    ) -> anyhow::Result<Outcome> {
        let formats = &self.recipe.export()?.formats;
        let bar = self.progress.stage("export", None, "files");
        let files = ModelFiles::open(&trained.dir.join(train::STUDENT))?;
        let template = files
            .chat_template
            .as_ref()
            .context("the student has no chat template")?;
        let prompts = &self.drawn().await?.prompts;
        let mut probes: Vec<String> = AWKWARD.map(str::to_owned).to_vec();
        probes.extend(
            prompts
                .iter()
                .take(PROBES)
                .map(|prompt| prompt.input.clone()),
        );
        let facts = self.card_facts(evaluated)?;
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
                },
                &probes,
                &facts,
                &self.cancel,
            )
        });
        let files = match exported {
            Err(ExportError::Cancelled) => return Err(Interrupted.into()),
            exported => exported?,
        };
        bar.finish(format!(
            "{} files, each loaded back and compared",
            files.len()
        ));
        let made_from = json!({"model": trained.dir.hash(), "waivers": waivers});
        self.note_files(NotedKind::Export, dir, FILES, made_from)
            .await?;
        Ok(Outcome { files, waivers })
    }

    fn card_facts(
        &self,
        evaluated: Option<&Finished<evaluate::Outcome>>,
    ) -> anyhow::Result<CardFacts> {
        let with_license = |source: &str, license: Option<&str>| match license {
            Some(license) => format!("{source} ({license})"),
            None => source.to_owned(),
        };
        let prompts = self.recipe.harvest()?.prompts.iter();
        let prompts = prompts.map(|table| with_license(table.source(), table.license()));
        let imports = self.recipe.imports().iter();
        let imports = imports.map(|import| with_license(&import.from, Some(&import.license)));
        let suites = evaluated.iter().flat_map(|stage| &stage.outcome.suites);
        Ok(CardFacts {
            summary: self.recipe.about().description.clone(),
            teachers: self.models_that_answered()?,
            base_model: None,
            prompt_sources: prompts.chain(imports).collect(),
            scores: suites.flat_map(scores).collect(),
        })
    }
}

impl Pipeline {
    /// The models whose answers the student learns from, as the recipe names them.
    fn models_that_answered(&self) -> anyhow::Result<Vec<String>> {
        let mut models = Vec::new();
        if self.recipe.harvest()?.prompts.is_some() {
            let teachers = self.recipe.harvest_teachers()?;
            models.extend(teachers.iter().map(|teacher| teacher.model.clone()));
        }
        models.extend(self.recipe.imports().iter().map(ImportSection::answered_by));
        Ok(models)
    }
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
