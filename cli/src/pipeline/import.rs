//! Answers of a recipe's `[[import]]`: brought into the store like those that are asked for, each with its receipt.

use limbeck_store::redact::{Counts, Redactor};
use limbeck_store::{ContentIds, Imported};
use tokio::sync::mpsc;

use super::suite::near_note;
use super::teacher::Facts;
use super::{Interrupted, Pipeline};
use crate::import::ImportFile;
use crate::recipe::ImportSection;
use crate::sources::Fetched;
use crate::table::{NearIndex, Problems};
use crate::text::grouped;

/// Batches that are read ahead of the store.
const READ_AHEAD: usize = 2;

/// What came of one file.
pub(super) struct FromFile {
    /// Ids of the answers, in the order of the rows.
    pub(super) traces: ContentIds,
    /// Different questions among them.
    pub(super) prompts: usize,
    /// What a reader of the report must know.
    pub(super) notes: Vec<String>,
    /// Who answered, as far as that is declared.
    pub(super) teacher: Facts,
}

/// Rows that did not become answers.
#[derive(Default)]
struct LeftOut {
    malformed: Problems,
    near_suite: usize,
}

impl Pipeline {
    /// Imports what the store does not have. What is near a suite is left out, and `--limit` takes the first rows.
    pub(super) async fn import(
        &self,
        section: &ImportSection,
        (answers, requests): &(Fetched, Option<Fetched>),
    ) -> anyhow::Result<FromFile> {
        let bar = self.progress.stage("import", None, "answers");
        bar.message(section.source.clone());
        let file = self.look_at(section, answers, requests.as_ref()).await?;
        let near = if section.exclude_near {
            self.drawn().await?.near.clone()
        } else {
            NearIndex::default()
        };
        let (sender, mut batches) = mpsc::channel(READ_AHEAD);
        let reading = {
            let (file, redactor) = (file.clone(), self.redactor.clone());
            tokio::task::spawn_blocking(move || read(&file, &near, &redactor, &sender))
        };
        let most = self
            .options
            .limit
            .map_or(usize::MAX, |limit| limit as usize);
        let (mut traces, mut prompts) = (ContentIds::default(), ContentIds::default());
        let mut erased = 0;
        while traces.len() < most
            && !self.cancel.is_cancelled()
            && let Some(mut batch) = batches.recv().await
        {
            batch.truncate(most - traces.len());
            let outcome = self.store.import(&batch).await?;
            for id in &outcome.traces {
                traces.push(id)?;
            }
            erased += outcome.erased.len();
            for (place, row) in batch.iter().enumerate() {
                if outcome.erased.binary_search(&place).is_err() {
                    prompts.push(&row.prompt().id)?;
                }
            }
            bar.set_position(traces.len() as u64);
        }
        // A reader that is still at it learns that nobody listens.
        drop(batches);
        let left_out = reading.await??;
        if self.cancel.is_cancelled() {
            return Err(Interrupted.into());
        }
        let mut notes = self.account_for(section, &file, &left_out);
        if erased > 0 {
            notes.push(format!(
                "{erased} rows of `{}` were erased before and stay out.",
                section.source
            ));
        }
        if traces.is_empty() && left_out.near_suite == 0 && erased == 0 {
            anyhow::bail!(file.nothing_came());
        }
        bar.finish(format!(
            "{} answers from `{}`",
            grouped(traces.len() as u64),
            section.source
        ));
        Ok(FromFile {
            traces,
            prompts: prompts.distinct(),
            notes,
            teacher: teacher(section),
        })
    }

    /// A first pass over the file; with `--strict` a malformed row is an error before anything is imported.
    async fn look_at(
        &self,
        section: &ImportSection,
        answers: &Fetched,
        requests: Option<&Fetched>,
    ) -> anyhow::Result<ImportFile> {
        let path = answers.path.clone();
        let (format, declared) = (section.format, section.declared());
        let requests = requests.map(|requests| requests.path.clone());
        let strict = self.options.strict;
        tokio::task::spawn_blocking(move || {
            let file = ImportFile::look_at(&path, format, declared, requests.as_deref())?;
            if strict && let Some(problem) = file.first_problem()? {
                anyhow::bail!(file.malformed(&problem));
            }
            Ok(file)
        })
        .await?
    }

    /// Names the rows that were left out.
    fn account_for(
        &self,
        section: &ImportSection,
        file: &ImportFile,
        left_out: &LeftOut,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        for problem in &left_out.malformed.first {
            self.printer
                .warning(format_args!("{}; it is left out", file.malformed(problem)));
        }
        if left_out.malformed.count > 0 {
            notes.push(format!(
                "{} malformed rows of `{}` were left out.",
                left_out.malformed.count, section.source
            ));
        }
        if left_out.near_suite > 0 {
            notes.push(near_note(left_out.near_suite, "imported answers"));
        }
        notes
    }
}

/// Reads the file on a thread of its own.
fn read(
    file: &ImportFile,
    near: &NearIndex,
    redactor: &Redactor,
    to: &mpsc::Sender<Vec<Imported>>,
) -> anyhow::Result<LeftOut> {
    let mut malformed = Problems::default();
    let near_suite = std::cell::Cell::new(0);
    let is_far = |row: &Imported| {
        // Suites are redacted, so that what is held against them has to be.
        let input = redactor.text(&row.prompt().input, &mut Counts::default());
        let is_near = near.is_near(&limbeck_store::normalise(&input));
        near_suite.set(near_suite.get() + usize::from(is_near));
        !is_near
    };
    file.send(to, is_far, |problem| malformed.add(problem))?;
    Ok(LeftOut {
        malformed,
        near_suite: near_suite.get(),
    })
}

/// Who answered, for the report and the model card.
fn teacher(section: &ImportSection) -> Facts {
    Facts {
        name: section
            .provider
            .clone()
            .unwrap_or_else(|| "imported".to_owned()),
        model: section.answered_by(),
        license: Some(section.license.clone()),
        ..Facts::default()
    }
}
