//! What the stages work on: the files that the recipe names, and the prompts and suites drawn from them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use limbeck_store::Prompt;
use limbeck_store::redact::{Counts, Replaced};
use limbeck_student::evaluate::Metric;
use serde_json::{Value, json};

use super::suite::{check_expected, near_note};
use super::{Pipeline, redact};
use crate::progress::adapters::FetchBar;
use crate::recipe::{
    Asking, EvaluateSection, HarvestSection, PhrasingSection, PromptTable, SourceTable,
};
use crate::sources::{Fetched, Source};
use crate::table::{
    Draw, Expression, Item, Items, NearIndex, Table, Template, draw_prompts, draw_suite,
};

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

/// Prompts and suites.
pub struct Drawn {
    /// Everything that is asked, in all phrasings.
    pub prompts: Arc<[Prompt]>,
    /// Rows that are asked about.
    pub items: usize,
    /// Rows of the source that pass the filter.
    pub rows: usize,
    /// In the recipe's order.
    pub suites: Vec<DrawnSuite>,
    /// The suites' rows, to keep what is near them away from training.
    pub near: NearIndex,
    /// What a reader of the report must know about the draw.
    pub notes: Vec<String>,
    /// What was replaced in the rows that are asked about.
    pub replaced: Vec<Replaced>,
}

/// The rows of one suite.
pub struct DrawnSuite {
    /// What the teacher is asked about each row, in the main phrasing.
    pub prompts: Arc<[Prompt]>,
    /// The right answer to each row; `None` where the metric needs none.
    pub expected: Option<Vec<String>>,
    /// What was replaced in its rows, told for a reader of the report.
    pub redaction: Option<String>,
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

    /// Draws the suites, takes them and what is near them out of the prompts, and draws those.
    pub fn draw(&self, run: &Pipeline) -> anyhow::Result<Drawn> {
        let mut notes = Vec::new();
        let (suites, near) = self.draw_suites(run, &mut notes)?;
        let mut drawn = Drawn {
            prompts: Vec::new().into(),
            items: 0,
            rows: 0,
            suites,
            near,
            notes,
            replaced: Vec::new(),
        };
        let harvest = run.recipe.harvest()?;
        if let (Some(table), Some(file)) = (&harvest.prompts, &self.prompts) {
            self.draw_prompts(run, table, file, &mut drawn)?;
        }
        Ok(drawn)
    }

    fn draw_suites(
        &self,
        run: &Pipeline,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<(Vec<DrawnSuite>, NearIndex)> {
        let mut near = NearIndex::default();
        let mut suites = Vec::new();
        for (section, file) in run.recipe.evaluations().iter().zip(&self.suites) {
            let items = self.items(run, &section.suite, file, notes)?;
            let drawn = draw_suite(items.items, &limited(section.suite.draw(), run))?;
            for item in &drawn {
                near.add(&item.key);
            }
            suites.push(self.suite(run, section, &drawn)?);
        }
        Ok((suites, near))
    }

    fn draw_prompts(
        &self,
        run: &Pipeline,
        table: &PromptTable,
        file: &Fetched,
        drawn: &mut Drawn,
    ) -> anyhow::Result<()> {
        let items = self.items(run, table, file, &mut drawn.notes)?;
        drawn.rows = items.items.len();
        let none = NearIndex::default();
        let near = if table.exclude_near {
            &drawn.near
        } else {
            &none
        };
        let pool = draw_prompts(items.items, near, &limited(table.draw(), run))?;
        if pool.near_suite > 0 {
            drawn.notes.push(near_note(pool.near_suite, "rows"));
        }
        let harvest = run.recipe.harvest()?;
        let mut counts = Counts::default();
        let items = redact::items(&run.redactor, &self.asking, pool.items, &mut counts);
        drawn.prompts = self.prompts_of(harvest, table, &items)?.into();
        drawn.items = items.len();
        drawn.replaced = run.redactor.replaced(&counts);
        drawn.notes.extend(redact::note(
            "Replaced before anything was asked, in",
            &drawn.replaced,
            counts.items(),
            "rows",
        ));
        Ok(())
    }

    fn items(
        &self,
        run: &Pipeline,
        section: &impl SourceTable,
        file: &Fetched,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Items> {
        let name = section.source();
        let format = section.format().or_else(|| {
            crate::table::Format::of(Path::new(
                &Source::parse(name)
                    .map(|s| s.file_name())
                    .unwrap_or_default(),
            ))
        });
        let table = Table::read(&file.path, format, run.options.strict)?;
        self.asking
            .require(&table.columns)
            .with_context(|| format!("`{name}` does not have what the recipe's templates need"))?;
        let filter = section.filter().map(Expression::compile).transpose()?;
        let malformed = table.problems.clone();
        let items = Items::of(table, filter.as_ref(), |columns| {
            redact::input(&run.redactor, &self.asking, columns)
        })
        .with_context(|| format!("no row of `{name}` can be used"))?;
        let problems = malformed.len() + items.problems.len();
        for problem in malformed.iter().chain(&items.problems).take(5) {
            run.printer
                .warning(format_args!("`{name}`, {problem}; it is skipped"));
        }
        if problems > 0 {
            let note = format!("{problems} malformed rows of `{name}` were skipped.");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if run.options.strict
            && let Some(problem) = items.problems.first()
        {
            anyhow::bail!("`{name}`, {problem}");
        }
        Ok(items)
    }

    fn suite(
        &self,
        run: &Pipeline,
        section: &EvaluateSection,
        items: &[Item],
    ) -> anyhow::Result<DrawnSuite> {
        let teacher = run.recipe.suites_teacher()?;
        let expected = match section.metric {
            // Without a teacher that answers the suite, the file has what the student is scored on.
            Metric::Accuracy | Metric::NatsPerByte
                if section.metric == Metric::Accuracy || teacher.is_none() =>
            {
                let template = Template::compile(&section.suite.expected)?;
                let answers = items.iter().map(|item| Ok(template.render(&item.columns)?));
                Some(answers.collect::<anyhow::Result<Vec<String>>>()?)
            }
            _ => None,
        };
        let harvest = run.recipe.harvest()?;
        check_expected(harvest, section, expected.as_deref())?;
        let main = &self.asking.phrasings[..1];
        let mut counts = Counts::default();
        let items = redact::items(&run.redactor, &self.asking, items.to_vec(), &mut counts);
        let prompts = Self::ask(main, &section.suite, &items)?;
        let redaction = redact::note(
            "The suite is redacted as what was asked and learned; replaced in",
            &run.redactor.replaced(&counts),
            counts.items(),
            "rows",
        );
        // Texts are measured as they are learned; labels are the recipe's own words.
        let told = |answer: String| match harvest.choices {
            Some(_) => answer,
            None => run
                .redactor
                .text(&answer, &mut Counts::default())
                .into_owned(),
        };
        Ok(DrawnSuite {
            prompts: prompts.into(),
            expected: expected.map(|answers| answers.into_iter().map(told).collect()),
            redaction,
        })
    }

    /// Every phrasing of every item: the main one first, then those that are asked about a sample.
    fn prompts_of(
        &self,
        harvest: &HarvestSection,
        table: &PromptTable,
        items: &[Item],
    ) -> anyhow::Result<Vec<Prompt>> {
        let (main, others) = self.asking.phrasings.split_at(1);
        let mut prompts = Self::ask(main, table, items)?;
        for (phrasing, section) in others.iter().zip(&harvest.phrasing) {
            let chosen = draw_suite(items.to_vec(), &sample_of(table, section))?;
            prompts.extend(Self::ask(std::slice::from_ref(phrasing), table, &chosen)?);
        }
        Ok(prompts)
    }

    fn ask(
        phrasings: &[crate::recipe::Phrasing],
        source: &impl SourceTable,
        items: &[Item],
    ) -> anyhow::Result<Vec<Prompt>> {
        let mut prompts = Vec::with_capacity(items.len() * phrasings.len());
        for phrasing in phrasings {
            for item in items {
                let body = phrasing
                    .ask(&item.columns)
                    .with_context(|| format!("`{}`, row {}", source.source(), item.row))?;
                let mut prompt =
                    Prompt::new(body, &item.input, &phrasing.name, source.source(), item.row);
                prompt.license = source.license().map(str::to_owned);
                prompts.push(prompt);
            }
        }
        Ok(prompts)
    }
}

fn sample_of(table: &PromptTable, phrasing: &PhrasingSection) -> Draw {
    Draw {
        sample: phrasing.sample.map(|sample| sample as usize),
        seed: table.seed,
        balance: None,
        shuffle: false,
    }
}

fn limited(mut draw: Draw, run: &Pipeline) -> Draw {
    if let Some(limit) = run.options.limit {
        let limit = limit as usize;
        draw.sample = Some(draw.sample.map_or(limit, |sample| sample.min(limit)));
    }
    draw
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
