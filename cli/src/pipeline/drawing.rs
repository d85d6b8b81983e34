//! The prompts and suites drawn from the files that the recipe names.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use limbeck_store::redact::Counts;
use limbeck_store::{Prompt, normalise};
use limbeck_student::evaluate::Metric;
use serde_json::{Map, Value};

use super::material::Material;
use super::prompts::DrawnPrompts;
use super::suite::{check_expected, near_note};
use super::{Pipeline, redact};
use crate::recipe::{EvaluateSection, PromptTable, SourceTable};
use crate::sources::{Fetched, Source};
use crate::table::{
    Draw, DrawnRows, Expression, Format, NearIndex, RowFile, Scan, Scanning, Template,
};

/// Malformed rows that are named one by one.
const NAMED: usize = 5;

/// Prompts and suites.
pub struct Drawn {
    /// What is asked; `None` where all answers are imported.
    pub prompts: Option<DrawnPrompts>,
    /// Rows of the source that pass the filter.
    pub rows: usize,
    /// In the recipe's order.
    pub suites: Vec<DrawnSuite>,
    /// The suites' rows, to keep what is near them away from training.
    pub near: NearIndex,
    /// What a reader of the report must know about the draw.
    pub notes: Vec<String>,
}

/// The rows of one suite. Suites are small, so that they are held whole.
pub struct DrawnSuite {
    /// What the teacher is asked about each row, in the main phrasing.
    pub prompts: Arc<[Prompt]>,
    /// The right answer to each row; `None` where the metric needs none.
    pub expected: Option<Vec<String>>,
    /// What was replaced in its rows, told for a reader of the report.
    pub redaction: Option<String>,
}

/// A row of a suite with the text that the student sees.
struct Item {
    row: u64,
    columns: Map<String, Value>,
    input: String,
}

impl Material {
    /// Draws the suites, takes them and what is near them out of the prompts, and draws those.
    pub fn draw(&self, run: &Pipeline) -> anyhow::Result<Drawn> {
        let mut notes = Vec::new();
        let (suites, near) = self.draw_suites(run, &mut notes)?;
        let mut drawn = Drawn {
            prompts: None,
            rows: 0,
            suites,
            near,
            notes,
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
        let none = NearIndex::default();
        for (section, fetched) in run.recipe.evaluations().iter().zip(&self.suites) {
            let file = row_file(&section.suite, fetched)?;
            let scan = self.scan(run, &section.suite, &file, &none, notes)?;
            let items = self.items(run, &section.suite, &file, &scan.candidates.draw()?)?;
            for item in &items {
                near.add(&normalise(&item.input));
            }
            suites.push(self.suite(run, section, &items)?);
        }
        Ok((suites, near))
    }

    fn draw_prompts(
        &self,
        run: &Pipeline,
        table: &PromptTable,
        fetched: &Fetched,
        drawn: &mut Drawn,
    ) -> anyhow::Result<()> {
        let file = row_file(table, fetched)?;
        let none = NearIndex::default();
        let near = if table.exclude_near {
            &drawn.near
        } else {
            &none
        };
        let scan = self.scan(run, table, &file, near, &mut drawn.notes)?;
        drawn.rows = scan.candidates.len();
        let rows = scan.candidates.draw()?;
        if let Some(note) = left_out(table.source(), scan.empty, rows.repeated) {
            run.printer.status(&note);
            drawn.notes.push(note);
        }
        if rows.near_suite > 0 {
            drawn.notes.push(near_note(rows.near_suite, "rows"));
        }
        let prompts = DrawnPrompts::new(
            file,
            table,
            (self.asking.clone(), run.redactor.clone()),
            rows,
        );
        drawn.prompts = Some(prompts);
        Ok(())
    }

    /// Looks at every row of a file, and tells of those that cannot be used.
    fn scan(
        &self,
        run: &Pipeline,
        section: &impl SourceTable,
        file: &RowFile,
        near: &NearIndex,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Scan> {
        let name = section.source();
        let filter = section.filter().map(Expression::compile).transpose()?;
        let with = Scanning {
            filter: filter.as_ref(),
            input: &|columns| redact::input(&run.redactor, &self.asking, columns),
            near,
            strict: run.options.strict,
        };
        let scan = Scan::of(file, limited(section.draw(), run), &with)?;
        file.check_unchanged()?;
        self.asking
            .require(&scan.columns)
            .with_context(|| format!("`{name}` does not have what the recipe's templates need"))?;
        scan.check(filter.as_ref())
            .with_context(|| format!("no row of `{name}` can be used"))?;
        let named = scan.malformed.first.iter().chain(&scan.failed.first);
        for problem in named.take(NAMED) {
            run.printer
                .warning(format_args!("`{name}`, {problem}; it is skipped"));
        }
        let problems = scan.malformed.count + scan.failed.count;
        if problems > 0 {
            let note = format!("{problems} malformed rows of `{name}` were skipped.");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if run.options.strict
            && let Some(problem) = scan.failed.first.first()
        {
            anyhow::bail!("`{name}`, {problem}");
        }
        Ok(scan)
    }

    fn items(
        &self,
        run: &Pipeline,
        section: &impl SourceTable,
        file: &RowFile,
        rows: &DrawnRows,
    ) -> anyhow::Result<Vec<Item>> {
        let item = |read: anyhow::Result<_>| {
            let (row, columns): (crate::table::DrawnRow, _) = read?;
            let input = redact::input(&run.redactor, &self.asking, &columns);
            Ok(Item {
                row: row.number,
                input: input
                    .with_context(|| format!("`{}`, row {}", section.source(), row.number))?
                    .text,
                columns,
            })
        };
        file.read(rows.iter())?.map(item).collect()
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
        let (suite, main) = (&section.suite, &self.asking.phrasings[0]);
        let mut counts = Counts::default();
        let prompts = items.iter().map(|item| {
            let columns = redact::counted(&run.redactor, &self.asking, &item.columns, &mut counts);
            main.prompt(suite, item.row, &columns, &item.input)
        });
        let prompts = prompts.collect::<anyhow::Result<_>>()?;
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
            prompts,
            expected: expected.map(|answers| answers.into_iter().map(told).collect()),
            redaction,
        })
    }
}

/// The fetched file of a table.
fn row_file(section: &impl SourceTable, fetched: &Fetched) -> anyhow::Result<RowFile> {
    let format = section.format().or_else(|| {
        // A download's name is that of its source.
        let name = Source::parse(section.source()).map(|source| source.file_name());
        Format::of(Path::new(&name.unwrap_or_default()))
    });
    Ok(RowFile::new(fetched, format)?)
}

/// What is said of rows that are not asked about because of their text, which would otherwise be missed in silence.
fn left_out(source: &str, empty: usize, repeated: usize) -> Option<String> {
    let rows = |count: usize| if count == 1 { "row" } else { "rows" };
    let have = |count: usize| if count == 1 { "has" } else { "have" };
    let mut reasons = Vec::new();
    if repeated > 0 {
        reasons.push(format!(
            "{repeated} {} of `{source}` {} the same text for the student as another",
            rows(repeated),
            have(repeated)
        ));
    }
    if empty > 0 {
        reasons.push(format!(
            "{empty} {} of `{source}` {} an empty text",
            rows(empty),
            have(empty)
        ));
    }
    let is = if repeated + empty == 1 {
        "it is"
    } else {
        "they are"
    };
    (!reasons.is_empty()).then(|| format!("{}; {is} left out.", reasons.join(", and ")))
}

fn limited(mut draw: Draw, run: &Pipeline) -> Draw {
    if let Some(limit) = run.options.limit {
        let limit = limit as usize;
        draw.sample = Some(draw.sample.map_or(limit, |sample| sample.min(limit)));
    }
    draw
}
