//! The prompts of a harvest: known by the rows that they are made from, and made anew each time they are needed.

use std::sync::Arc;

use anyhow::Context;
use limbeck_store::redact::{Counts, Redactor};
use limbeck_store::{ContentIds, Prompt, SamplingParameters, id_bytes};
use limbeck_teacher::Ask;
use limbeck_teacher::wire::WireRequest;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;

use super::teacher::Loaded;
use super::{Pipeline, redact};
use crate::printer::WithHint;
use crate::recipe::{Asking, Phrasing, PromptTable, SourceTable};
use crate::table::{Chosen, DrawnRow, DrawnRows, RowFile};

/// Prompts that are held at once, at most: each lot of them is written for itself, and since their ids are digests each
/// changes nearly all pages of the indices.
const CHUNK: usize = 4096;
/// Bytes of text at which a lot is large enough.
const CHUNK_BYTES: usize = 4 << 20;

/// The prompts that were drawn: every phrasing of every row, the main one of all rows first. A row is a few bytes.
pub struct DrawnPrompts {
    file: RowFile,
    table: PromptTable,
    asking: Asking,
    redactor: Redactor,
    rows: DrawnRows,
}

/// A prompt, and how many come before it.
pub type Placed = (usize, Prompt);

impl DrawnPrompts {
    /// The prompts about `rows` of `file`: how they are asked, and what is replaced before.
    pub fn new(
        file: RowFile,
        table: &PromptTable,
        (asking, redactor): (Asking, Redactor),
        rows: DrawnRows,
    ) -> Self {
        Self {
            file,
            table: table.clone(),
            asking,
            redactor,
            rows,
        }
    }

    /// Rows that are asked about.
    pub fn items(&self) -> usize {
        self.rows.len()
    }

    /// How many prompts there are.
    pub fn len(&self) -> usize {
        self.ways().iter().map(|way| way.rows).sum()
    }

    /// All prompts. Those of a row come together, in the order of the file.
    pub fn read(&self) -> anyhow::Result<Reading<'_, impl Iterator<Item = DrawnRow>>> {
        Ok(Reading {
            prompts: self,
            rows: self.file.read(self.rows.iter())?,
            ways: self.ways(),
            counts: Counts::default(),
        })
    }

    /// The inputs of the first `count` prompts.
    pub fn first_inputs(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let all = self.items() < count;
        let rows = self.rows.iter().filter(|row| all || row.place < count);
        let mut reading = Reading {
            prompts: self,
            rows: self.file.read(rows)?,
            ways: self.ways(),
            counts: Counts::default(),
        };
        let mut first = Vec::new();
        loop {
            let chunk = reading.chunk()?;
            if chunk.is_empty() {
                break;
            }
            first.extend(chunk.into_iter().filter(|(place, _)| *place < count));
        }
        first.sort_unstable_by_key(|(place, _)| *place);
        Ok(first.into_iter().map(|(_, prompt)| prompt.input).collect())
    }

    fn ways(&self) -> Vec<Way<'_>> {
        let mut ways = Vec::new();
        let mut first = 0;
        for (index, phrasing) in self.asking.phrasings.iter().enumerate() {
            // The main phrasing is asked about every row.
            let sample = phrasing.sample.filter(|_| index > 0);
            let rows = sample.map_or(self.items(), |sample| self.items().min(sample as usize));
            ways.push(Way {
                phrasing,
                rows,
                first,
                begun: 0,
            });
            first += rows;
        }
        ways
    }

    fn prompts_of(
        &self,
        row: DrawnRow,
        columns: &Map<String, Value>,
        ways: &mut [Way<'_>],
        counts: &mut Counts,
    ) -> anyhow::Result<Vec<Placed>> {
        let source = self.table.source();
        let columns = redact::counted(&self.redactor, &self.asking, columns, counts);
        let input = self.asking.input(&columns);
        let input = input.with_context(|| format!("`{source}`, row {}", row.number))?;
        let mut prompts = Vec::with_capacity(ways.len());
        for way in ways.iter_mut().filter(|way| row.drawn < way.rows) {
            let prompt = way
                .phrasing
                .prompt(&self.table, row.number, &columns, &input)?;
            let place = if self.table.shuffle {
                row.drawn
            } else {
                way.begun
            };
            way.begun += 1;
            prompts.push((way.first + place, prompt));
        }
        Ok(prompts)
    }
}

/// A phrasing and the prompts in it.
struct Way<'a> {
    phrasing: &'a Phrasing,
    /// How many rows are asked about in it: those that were drawn first.
    rows: usize,
    /// How many prompts in other phrasings come before its own.
    first: usize,
    /// How many of its prompts were made.
    begun: usize,
}

/// Prompts that are being made. It ends with an error if the file changed.
pub struct Reading<'a, I> {
    prompts: &'a DrawnPrompts,
    rows: Chosen<'a, I>,
    ways: Vec<Way<'a>>,
    /// What was replaced so far.
    counts: Counts,
}

impl<I: Iterator<Item = DrawnRow>> Reading<'_, I> {
    /// The next prompts; none at the end.
    pub fn chunk(&mut self) -> anyhow::Result<Vec<Placed>> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some(row) = self.rows.next() else { break };
            let (row, columns) = row?;
            let (ways, counts) = (&mut self.ways, &mut self.counts);
            let prompts = self.prompts.prompts_of(row, &columns, ways, counts)?;
            let texts = prompts
                .iter()
                .map(|(_, prompt)| prompt.body.bytes() + prompt.input.len());
            bytes += texts.sum::<usize>();
            chunk.extend(prompts);
        }
        Ok(chunk)
    }
}

impl Phrasing {
    /// The question about a row of `source`.
    pub(super) fn prompt(
        &self,
        source: &impl SourceTable,
        row: u64,
        columns: &Map<String, Value>,
        input: &str,
    ) -> anyhow::Result<Prompt> {
        let name = source.source();
        let body = self
            .ask(columns)
            .with_context(|| format!("`{name}`, row {row}"))?;
        let mut prompt = Prompt::new(body, input, &self.name, name, row);
        prompt.license = source.license().map(str::to_owned);
        Ok(prompt)
    }
}

impl Pipeline {
    /// Puts the prompts in the store; returns their ids in the order in which they are asked, and what was replaced in
    /// their rows. What one of `teachers` would refuse is found before anything is kept or sent and paid for.
    pub(super) async fn keep_prompts(
        &self,
        prompts: &DrawnPrompts,
        teachers: &[Loaded],
    ) -> anyhow::Result<(Arc<ContentIds>, Counts)> {
        let (ids, counts) = self.check_prompts(prompts, teachers)?;
        let mut reading = prompts.read()?;
        // A chunk is written while the next one is read.
        let mut writing: Option<JoinHandle<_>> = None;
        loop {
            let chunk = reading.chunk()?;
            if let Some(writing) = writing.take() {
                writing.await.context("writing the prompts")??;
            }
            if chunk.is_empty() {
                return Ok((Arc::new(ids.into()), counts));
            }
            self.stop_if_cancelled()?;
            for (place, prompt) in &chunk {
                if ids[*place] != id_bytes(&prompt.id)? {
                    return prompts.file.changed();
                }
            }
            let chunk: Vec<Prompt> = chunk.into_iter().map(|(_, prompt)| prompt).collect();
            let store = self.store.clone();
            writing = Some(tokio::spawn(async move { store.add_prompts(&chunk).await }));
        }
    }

    /// The ids of the prompts, each looked at, and what was replaced.
    fn check_prompts(
        &self,
        prompts: &DrawnPrompts,
        teachers: &[Loaded],
    ) -> anyhow::Result<(Vec<[u8; 32]>, Counts)> {
        let parameters = self.recipe.harvest()?.parameters();
        let mut ids = vec![[0; 32]; prompts.len()];
        let mut reading = prompts.read()?;
        loop {
            let chunk = reading.chunk()?;
            if chunk.is_empty() {
                return Ok((ids, reading.counts));
            }
            self.stop_if_cancelled()?;
            for (place, prompt) in chunk {
                ids[place] = id_bytes(&prompt.id)?;
                check_question(teachers, prompt, &parameters)?;
            }
        }
    }

    /// The same for the prompts of a suite.
    pub(super) async fn keep_suite(
        &self,
        prompts: &[Prompt],
        teachers: &[Loaded],
    ) -> anyhow::Result<Arc<ContentIds>> {
        let parameters = self.recipe.harvest()?.parameters();
        let mut ids = ContentIds::default();
        for prompt in prompts {
            check_question(teachers, prompt.clone(), &parameters)?;
            ids.push(&prompt.id)?;
        }
        for prompts in prompts.chunks(CHUNK) {
            self.store.add_prompts(prompts).await?;
        }
        Ok(Arc::new(ids))
    }
}

/// Fails where one of `teachers` would refuse a question.
fn check_question(
    teachers: &[Loaded],
    prompt: Prompt,
    parameters: &SamplingParameters,
) -> anyhow::Result<()> {
    let ask = Ask {
        prompt,
        sample: 0,
        parameters: parameters.clone(),
    };
    for teacher in teachers {
        let Some(preset) = teacher.section.preset() else {
            continue;
        };
        if let Err(error) = WireRequest::build(preset, &teacher.section.model, &ask, false) {
            let hint = error.hint().map(str::to_owned);
            let context = format!(
                "row {} of `{}` cannot be asked of the teacher `{}`",
                ask.prompt.row, ask.prompt.source, teacher.facts.name
            );
            let error = Err::<(), _>(anyhow::Error::new(error).context(context));
            return match hint {
                Some(hint) => error.hint(hint),
                None => error,
            };
        }
    }
    Ok(())
}
