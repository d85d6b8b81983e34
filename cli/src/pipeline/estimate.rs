//! `--dry-run`: how many requests, tokens, hours and dollars asking would take, before anything is sent.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use limbeck_store::{Prompt, TraceIds};
use limbeck_teacher::{Ask, Limits, usd};
use serde::Serialize;

use super::teacher::load_service;
use super::{Pipeline, Stage};
use crate::printer::Printer;
use crate::recipe::TeacherSection;
use crate::text;

/// Bytes that make a token in most texts.
const BYTES_OF_A_TOKEN: u64 = 4;
/// Prompts of a suite that are looked up at once.
const CHUNK: usize = 1000;

/// What one teacher would be asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The teacher's name.
    pub teacher: String,
    /// Requests, without those that fail and are put again.
    pub requests: u64,
    /// Questions whose answers are kept already.
    pub answered: u64,
    /// Questions that are in batches already.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_batches: u64,
    /// How many batches it takes; `None` for a teacher that is not asked in batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<u64>,
    /// Tokens of the prompts, at four bytes each.
    pub input_tokens: u64,
    /// Tokens of the answers, at most.
    pub output_tokens: u64,
    /// How long it takes at the limits that are declared, at most; `None` where nothing limits it.
    pub seconds: Option<f64>,
    /// What it costs if every answer is as long as it may be; `None` where no price is known.
    pub usd: Option<f64>,
    /// What was spent on it so far.
    pub spent_usd: f64,
    /// The most that may be spent on it.
    pub cap_usd: Option<f64>,
}

/// What is needed to count for one teacher.
struct Estimating<'a> {
    section: &'a TeacherSection,
    /// What its answers are kept under.
    key: String,
    estimate: Estimate,
}

impl Pipeline {
    /// Estimates what the stages up to `until` would ask. Reads the prompts and the store; sends and keeps nothing.
    pub async fn dry_run(&self, until: Stage) -> anyhow::Result<Vec<Estimate>> {
        let drawn = self.drawn().await?;
        let samples = self.recipe.harvest()?.samples;
        let mut all = Vec::new();
        for section in self.recipe.harvest_teachers()? {
            all.push(self.estimating(section).await?);
        }
        if let Some(prompts) = &drawn.prompts {
            let mut reading = prompts.read()?;
            loop {
                let chunk = reading.chunk()?;
                if chunk.is_empty() {
                    break;
                }
                let asks: Vec<Ask> = self.asks(chunk.into_iter().map(|(_, prompt)| prompt))?;
                for one in &mut all {
                    self.count(&asks, samples, one).await?;
                }
            }
        }
        if let (Some(first), true) = (all.first_mut(), until >= Stage::Evaluate) {
            for suite in &drawn.suites {
                let asks = self.asks(suite.prompts.iter().cloned())?;
                for asks in asks.chunks(CHUNK) {
                    self.count(asks, 1, first).await?;
                }
            }
        }
        let mut estimates = Vec::new();
        for one in all {
            estimates.push(self.estimated(one).await?);
        }
        Ok(estimates)
    }

    async fn estimating<'a>(&self, section: &'a TeacherSection) -> anyhow::Result<Estimating<'a>> {
        let key = if section.is_local() {
            self.local_key(section).await?
        } else {
            load_service(section, &self.printer)?.key()
        };
        Ok(Estimating {
            section,
            key,
            estimate: Estimate {
                teacher: section.name.clone(),
                cap_usd: section.limits.spend_usd,
                ..Estimate::default()
            },
        })
    }

    fn asks(&self, prompts: impl Iterator<Item = Prompt>) -> anyhow::Result<Vec<Ask>> {
        let parameters = self.recipe.harvest()?.parameters();
        let ask = |prompt| Ask {
            prompt,
            sample: 0,
            parameters: parameters.clone(),
        };
        Ok(prompts.map(ask).collect())
    }

    /// Counts what has no answer yet.
    async fn count(
        &self,
        asks: &[Ask],
        samples: u32,
        one: &mut Estimating<'_>,
    ) -> anyhow::Result<()> {
        let harvest = self.recipe.harvest()?;
        let parameters = harvest.parameters();
        let output = match &harvest.choices {
            // A choice takes no more tokens than it has bytes.
            Some(choices) => choices.iter().map(String::len).max().unwrap_or(0) as u64,
            None => u64::from(parameters.max_tokens),
        };
        let ids: Vec<String> = asks.iter().map(|ask| ask.prompt.id.clone()).collect();
        let traces = TraceIds::new(&one.key, &parameters);
        let ids = super::harvest::ids_of(&traces, &ids, samples);
        let answered = self.store.answered(&ids).await?;
        let in_batches = self.store.batch_outcomes(&ids).await?;
        let estimate = &mut one.estimate;
        for (ask, ids) in asks.iter().zip(ids.chunks(samples as usize)) {
            for id in ids {
                if answered.contains(id) {
                    estimate.answered += 1;
                    continue;
                }
                if in_batches.get(id) == Some(&None) {
                    estimate.in_batches += 1;
                    continue;
                }
                estimate.requests += 1;
                estimate.input_tokens += ask.prompt_bytes().div_ceil(BYTES_OF_A_TOKEN);
                estimate.output_tokens += output;
            }
        }
        Ok(())
    }

    /// What the counts come to in money and time.
    async fn estimated(&self, one: Estimating<'_>) -> anyhow::Result<Estimate> {
        let Estimating {
            section,
            key,
            mut estimate,
        } = one;
        if let Some(price) = section.harvest_price() {
            let most = price.cost(estimate.input_tokens, 0, estimate.output_tokens);
            estimate.usd = Some(usd(most));
            estimate.spent_usd = usd(self.store.cost_of(&key).await?);
        }
        match section.batch {
            Some(batch) => {
                estimate.batches = Some(estimate.requests.div_ceil(u64::from(batch.size)));
            }
            None => estimate.seconds = seconds(&section.limits.limits(), &estimate),
        }
        Ok(estimate)
    }

    /// What the answers of a local teacher are kept under, without loading it.
    async fn local_key(&self, section: &TeacherSection) -> anyhow::Result<String> {
        let file = self.material().await?.teacher(&section.name)?;
        Ok(limbeck_teacher::TeacherIdentity {
            name: section.name.clone(),
            provider: "local".to_owned(),
            model: section.model.clone(),
            model_sha256: Some(file.sha256.clone()),
            route: "in-process".to_owned(),
            license: None,
        }
        .key())
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The longest that any of the limits makes it take.
fn seconds(limits: &Limits, estimate: &Estimate) -> Option<f64> {
    let (requests, input) = (estimate.requests, estimate.input_tokens);
    let both = input + estimate.output_tokens;
    let of_a_minute = [
        (limits.requests_per_minute, requests),
        (limits.input_tokens_per_minute, input),
        (limits.output_tokens_per_minute, estimate.output_tokens),
        (limits.tokens_per_minute, both),
    ];
    let of_a_day = [
        (limits.requests_per_day, requests),
        (limits.tokens_per_day, both),
    ];
    let spans = |(limit, amount): (Option<u64>, u64)| Some(amount as f64 / limit? as f64);
    let minutes = of_a_minute.into_iter().filter_map(spans);
    let days = of_a_day.into_iter().filter_map(spans);
    // A day's allowance may be used as soon as the day begins.
    let days = days.map(|days| (days.ceil() - 1.0).max(0.0));
    minutes
        .map(|minutes| minutes * 60.0)
        .chain(days.map(|days| days * 86_400.0))
        .reduce(f64::max)
}

/// Prints estimates as a table, or as JSON.
pub fn print(estimates: &[Estimate], json: bool, printer: &Printer) -> anyhow::Result<()> {
    if json {
        for estimate in estimates {
            printer.json(serde_json::to_string(estimate)?)?;
        }
        return Ok(());
    }
    if estimates.is_empty() {
        printer.line("nobody is asked: all answers are imported")?;
        return Ok(());
    }
    printer.line(table(estimates))?;
    for estimate in estimates {
        if let (Some(cap), Some(cost)) = (estimate.cap_usd, estimate.usd)
            && estimate.spent_usd + cost > cap
        {
            printer.warning(format_args!(
                "{}: the cap of {cap} USD may end it early; {:.4} are spent already",
                estimate.teacher, estimate.spent_usd
            ));
        }
    }
    printer.status("nothing was sent");
    Ok(())
}

fn table(estimates: &[Estimate]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([
            "teacher",
            "requests",
            "kept",
            "tokens in",
            "tokens out",
            "time",
            "cost",
        ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for estimate in estimates {
        let time = estimate.seconds.map_or_else(
            || match estimate.batches {
                Some(1) => "a day at most, in 1 batch".to_owned(),
                Some(batches) => format!("a day at most, in {} batches", text::grouped(batches)),
                None => "no limit declared".to_owned(),
            },
            |seconds| text::duration(Duration::from_secs_f64(seconds.min(1e12))),
        );
        let cost = estimate.usd.map_or_else(
            || "no price known".to_owned(),
            |usd| format!("at most {usd:.4} USD"),
        );
        table.add_row([
            estimate.teacher.clone(),
            text::grouped(estimate.requests),
            text::grouped(estimate.answered),
            format!("about {}", text::grouped(estimate.input_tokens)),
            format!("at most {}", text::grouped(estimate.output_tokens)),
            time,
            cost,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_tells_the_time() {
        let estimate = Estimate {
            requests: 3000,
            input_tokens: 300_000,
            output_tokens: 600_000,
            ..Estimate::default()
        };
        let mut limits = Limits::concurrent(8);
        assert_eq!(seconds(&limits, &estimate), None);
        limits.requests_per_minute = Some(600);
        assert_eq!(seconds(&limits, &estimate), Some(300.0));
        limits.tokens_per_minute = Some(60_000);
        assert_eq!(seconds(&limits, &estimate), Some(900.0));
        limits.requests_per_day = Some(1000);
        assert_eq!(seconds(&limits, &estimate), Some(2.0 * 86_400.0));
    }
}
