//! What is known of a model when its files are written.

use anyhow::Context;
use limbeck_store::RunStatus;
use limbeck_store::audit::Waiver;
use limbeck_store::identity::sha256_hex;
use limbeck_store::review::Carried;
use limbeck_student::export::CardScore;
use serde::Serialize;
use serde_json::{Value, json};

use super::From;
use crate::dossier::{Facts, LedgerState, Training, judge, ways};
use crate::pipeline::guard::Audited;
use crate::pipeline::{Finished, Pipeline, train};
use crate::sources::shown;

impl Pipeline {
    /// Everything that goes with the model.
    pub(super) async fn facts(
        &self,
        From {
            curated, trained, ..
        }: From<'_>,
        audited: Audited<'_>,
        scores: Vec<CardScore>,
    ) -> anyhow::Result<Facts> {
        let reviewed = audited.rights.reviewed.clone();
        let (judged, mut ways) = {
            let input = audited.rights.input();
            (judge(&input, audited.areas), ways(&input))
        };
        let (mut rights, intent, mut found) = (
            judged,
            audited.rights.intent.clone(),
            audited.rights.materials,
        );
        for finding in rights.findings_mut() {
            for teacher in self.recipe.teachers() {
                let shown = shown(&teacher.model);
                finding.message = finding.message.replace(&teacher.model, &shown);
            }
            for text in &found.texts {
                finding.message = finding.message.replace(&text.file, &shown(&text.file));
            }
        }
        for way in &mut ways {
            way.model = shown(&way.model);
            if let Some(clarified) = &mut way.clarified {
                clarified.text = shown(&clarified.text);
            }
        }
        for licensed in found.weights.iter_mut().chain(&mut found.prompts) {
            licensed.name = shown(&licensed.name);
            if let Some(clarified) = &mut licensed.clarified {
                clarified.text = shown(&clarified.text);
            }
        }
        let mut waivers = trained.outcome.waivers.clone();
        waivers.extend(audited.waivers);
        let key = |waiver: &Carried<Waiver>| (waiver.said.code.clone(), waiver.said.about.clone());
        waivers.sort_by_key(key);
        waivers.dedup();
        Ok(Facts {
            waivers,
            name: self.recipe.name().to_owned(),
            description: self.recipe.about().description.clone(),
            recipe_sha256: sha256_hex(self.recipe.text().as_bytes()),
            ways,
            rights,
            weights_sha256: self.digests_of_weights().await?,
            weights: found.weights,
            prompts: found.prompts,
            license_text: found.student_text.map(|text| text.text),
            texts: found.texts,
            words: reviewed.carried.clone(),
            dataset: (curated.outcome.dataset.clone(), curated.outcome.rows),
            ledger: self.ledger_at(trained.dir.hash()).await?,
            training: self.training(trained).await?,
            intent,
            scores,
        })
    }

    /// The digests of the files that the student's weights or tokenizer come from, in the order of the recipe.
    async fn digests_of_weights(&self) -> anyhow::Result<Vec<Option<String>>> {
        let taken: Vec<&str> = self.recipe.student()?.teachers().collect();
        let material = self.material().await?;
        let teachers = self.recipe.teachers().iter();
        let of = teachers.filter(|teacher| taken.contains(&teacher.name.as_str()));
        let digests = of.map(|teacher| {
            let file = material.teacher(&teacher.name).ok();
            file.map(|file| file.sha256.clone())
        });
        Ok(digests.collect())
    }

    async fn ledger_at(&self, model: &str) -> anyhow::Result<LedgerState> {
        let state = self.store.ledger_state_after("model", model).await?;
        let (size, root) = state.with_context(|| {
            format!("the ledger has no record of the model `{model}`, so nothing can be said of it")
        })?;
        Ok(LedgerState {
            origin: self.store.ledger_origin().await?,
            size,
            root: hex::encode(root),
        })
    }

    async fn training(&self, trained: &Finished<train::Outcome>) -> anyhow::Result<Training> {
        let mut runs = self.store.runs().await?;
        runs.retain(|run| run.stage == "train" && run.hash == trained.dir.hash());
        // One that was killed after its last step ended well, and was written down as interrupted.
        let finished = runs.iter().rfind(|run| run.status == RunStatus::Finished);
        let run = finished.or(runs.last()).cloned();
        let run = run.context("the store has no run of the training")?;
        let report = &trained.outcome.report;
        Ok(Training {
            hash: trained.dir.hash().to_owned(),
            run: run.id,
            finished: run.finished_at.unwrap_or_else(|| run.started_at.clone()),
            started: run.started_at,
            parameters: report.parameters,
            examples: report.examples,
            tokens: report.tokens,
            sections: json!({
                "curate": as_written(self.recipe.curate()?)?,
                "student": as_written(self.recipe.student()?)?,
                "train": as_written(self.recipe.train()?)?,
            }),
        })
    }
}

/// A section with its numbers as they were written: on its way through a JSON value 0.1 would become the nearest number
/// of 32 bits with all its digits.
fn as_written(section: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::from_str(&serde_json::to_string(section)?)
}
