//! What the stages work on: the files that the recipe names.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::{Value, json};

use super::Pipeline;
use crate::progress::adapters::FetchBar;
use crate::recipe::{Asking, SourceTable};
use crate::sources::{Fetched, Source};

/// Files on this machine, with their digests.
pub struct Material {
    /// By the teacher's name.
    pub teachers: BTreeMap<String, Fetched>,
    /// The rows of the prompts, where any are asked.
    pub prompts: Option<Fetched>,
    /// The files of answers that were asked for elsewhere, each with its batch's input where it has one, in the
    /// recipe's order.
    pub imports: Vec<(Fetched, Option<Fetched>)>,
    /// The rows of each suite, in the recipe's order.
    pub suites: Vec<Fetched>,
    /// How the teacher is asked.
    pub asking: Asking,
}

impl Material {
    /// Fetches what is not in the cache.
    pub async fn fetch(run: &Pipeline) -> anyhow::Result<Self> {
        let recipe = &run.recipe;
        let harvest = recipe.harvest()?;
        let mut teachers = BTreeMap::new();
        for teacher in recipe.local_teachers()? {
            let file = fetch(run, &teacher.model, teacher.sha256.as_deref()).await?;
            teachers.insert(teacher.name.clone(), file);
        }
        let prompts = match &harvest.prompts {
            Some(prompts) => Some(fetch_table(run, prompts).await?),
            None => None,
        };
        let mut imports = Vec::new();
        for import in recipe.imports() {
            let answers = fetch(run, &import.source, import.sha256.as_deref()).await?;
            let requests = match &import.requests {
                Some(requests) => Some(fetch(run, requests, None).await?),
                None => None,
            };
            imports.push((answers, requests));
        }
        let mut suites = Vec::new();
        for section in recipe.evaluations() {
            suites.push(fetch_table(run, &section.suite).await?);
        }
        Ok(Self {
            teachers,
            prompts,
            imports,
            suites,
            asking: recipe.asking()?,
        })
    }

    /// What the draw depends on, for the hash of a stage.
    pub fn inputs(&self, run: &Pipeline) -> anyhow::Result<Value> {
        let harvest = run.recipe.harvest()?;
        let suites: Vec<Value> = run
            .recipe
            .evaluations()
            .iter()
            .zip(&self.suites)
            .map(|(section, file)| json!({"suite": section.suite, "sha256": file.sha256, "metric": section.metric}))
            .collect();
        let mut inputs = json!({
            "harvest": harvest,
            "asking": self.asking,
            "teacher": self.teacher_inputs(run)?,
            "prompts": self.prompts.as_ref().map(|prompts| &prompts.sha256),
            "suites": suites,
            "options": run.options,
        });
        if !self.imports.is_empty() {
            inputs["imports"] = self.import_inputs(run);
        }
        run.redaction_inputs(&mut inputs);
        Ok(inputs)
    }

    /// The answers that come by file: what the recipe says of them, and the files' digests.
    fn import_inputs(&self, run: &Pipeline) -> Value {
        let sections = run.recipe.imports().iter().zip(&self.imports);
        let digests = sections.map(|(section, (answers, requests))| {
            let requests = requests.as_ref().map(|requests| &requests.sha256);
            json!({"import": section, "sha256": answers.sha256, "requests": requests})
        });
        digests.collect()
    }

    /// What the answers depend on of who gives them: the digest of a model file, the name of a model and the way to it.
    fn teacher_inputs(&self, run: &Pipeline) -> anyhow::Result<Value> {
        let mut inputs = Vec::new();
        for section in run.recipe.harvest_teachers()? {
            inputs.push(if section.is_local() {
                json!(self.teacher(&section.name)?.sha256)
            } else {
                let addresses: Vec<_> = section
                    .endpoints()
                    .into_iter()
                    .map(|endpoint| endpoint.base_url)
                    .collect();
                json!({
                    "provider": section.provider,
                    "model": section.model,
                    "route": section.route,
                    // Without a route, the first address stands for it.
                    "address": section.route.is_none().then(|| addresses.into_iter().next()),
                    "truncated_max_tokens": section.truncated_max_tokens(),
                })
            });
        }
        // One local teacher is written as it always was.
        Ok(match inputs.len() {
            1 => inputs.remove(0),
            _ => Value::Array(inputs),
        })
    }

    /// The file of a local teacher.
    pub fn teacher(&self, name: &str) -> anyhow::Result<&Fetched> {
        self.teachers
            .get(name)
            .with_context(|| format!("the teacher `{name}` was not fetched"))
    }
}

async fn fetch_table(run: &Pipeline, table: &impl SourceTable) -> anyhow::Result<Fetched> {
    fetch(run, table.source(), table.sha256()).await
}

async fn fetch(run: &Pipeline, source: &str, sha256: Option<&str>) -> anyhow::Result<Fetched> {
    let source = Source::parse(source)?;
    let reporter = FetchBar::new(&run.progress);
    Ok(run
        .cache
        .fetch(&source, sha256, run.recipe.folder(), &reporter)
        .await?)
}
