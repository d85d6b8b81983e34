//! The report of a run, out of what its stages found.

use std::path::Path;

use limbeck_student::evaluate::{GateOutcome, Metric, Scored};
use sha2::{Digest, Sha256};

use super::{Outcomes, Pipeline, curate, export, harvest, redact, train};
use crate::recipe::{DeviceSection, SourceTable};
use crate::report::{
    CheckOutcome, Curate, CurvePoint, Evaluate, Exported, FunnelStep, Gate, GateCondition, Harvest,
    Intent, Machine, RecipeIdentity, Report, Score, SourceIdentity, TeacherIdentity, Train,
};
use crate::rights::signed_with;

/// What was denied, and by whose word it was done all the same.
fn waived(outcomes: &Outcomes) -> Vec<String> {
    let trained = outcomes.train.iter().flat_map(|outcome| &outcome.waivers);
    let exported = outcomes.export.iter().flat_map(|outcome| &outcome.waivers);
    let told = trained.chain(exported).map(|waiver| {
        let waiver = &waiver.said;
        format!(
            "The audit denies `{}`; {} waived it{} until {}: {}",
            waiver.code,
            waiver.reviewer,
            signed_with(waiver.signature.as_ref()),
            waiver.expires,
            waiver.reason
        )
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told.dedup();
    told
}

impl Pipeline {
    /// Puts together what the stages found.
    pub(super) fn report(&self, outcomes: &Outcomes) -> anyhow::Result<Report> {
        let intent = self.recipe.intent();
        let text = std::fs::read(self.recipe.path())?;
        let mut notes = Vec::new();
        if let Some(harvest) = &outcomes.harvest {
            notes.extend(harvest.notes.iter().cloned());
            notes.extend(self.filter_note()?);
        }
        if let Some(curate) = &outcomes.curate {
            notes.extend(redact::note(
                "Replaced in what the student learns from, in",
                &curate.replaced,
                curate.looked_through,
                "answers with their inputs",
            ));
        }
        notes.extend(waived(outcomes));
        if let Some(limit) = self.options.limit {
            notes.push(format!(
                "A trial with at most {limit} prompts and {limit} rows of each suite."
            ));
        }
        Ok(Report {
            limbeck_version: env!("CARGO_PKG_VERSION").to_owned(),
            created: limbeck_store::now(),
            recipe: RecipeIdentity {
                name: self.recipe.name().to_owned(),
                path: Some(self.recipe.path().display().to_string()),
                hash: hex::encode(Sha256::digest(&text)),
            },
            machine: machine(),
            intent: Some(Intent {
                uses: names(&intent.uses),
                student_license: intent.student_license.clone(),
                commercial: intent.commercial,
            }),
            funnel: funnel(outcomes),
            harvest: match &outcomes.harvest {
                Some(outcome) => Some(self.harvest_section(outcome)?),
                None => None,
            },
            curate: outcomes.curate.as_ref().map(curate_section),
            train: outcomes.train.as_ref().map(train_section),
            evaluate: outcomes.evaluate.as_ref().map(|outcome| Evaluate {
                suites: outcome.suites.clone(),
            }),
            export: self.export_section(outcomes.export.as_ref()),
            device: self.device_gate(outcomes),
            samples: outcomes
                .evaluate
                .as_ref()
                .map_or_else(Vec::new, |outcome| outcome.samples.clone()),
            notes,
        })
    }

    /// Filters over columns are where labels of people can get in: the report shows them.
    fn filter_note(&self) -> anyhow::Result<Option<String>> {
        let prompts = self.recipe.harvest()?.prompts.as_ref();
        let filter = prompts.and_then(SourceTable::filter);
        Ok(filter.map(|filter| {
            format!("Prompts are the rows for which `{filter}` holds. Beyond that choice, nothing but the input of a row reaches the teacher or the student; other columns are used in the suites alone.")
        }))
    }

    fn harvest_section(&self, outcome: &harvest::Outcome) -> anyhow::Result<Harvest> {
        let asking = &outcome.asking;
        let tokens = asking.prompt_tokens + asking.completion_tokens;
        let traces = outcome.traces.len() as u64;
        Ok(Harvest {
            prompts: outcome.prompts as u64,
            traces,
            asked: outcome.asked_now,
            reused: traces.saturating_sub(outcome.asked_now + outcome.imported as u64),
            imported: outcome.imported as u64,
            seconds: asking.seconds,
            tokens_per_second: (asking.answers > 0).then(|| tokens as f64 / asking.seconds),
            prompt_tokens: asking.prompt_tokens,
            completion_tokens: asking.completion_tokens,
            teacher: TeacherIdentity {
                name: outcome.teacher.name.clone(),
                model: outcome.teacher.model.clone(),
                sha256: outcome.teacher.sha256.clone(),
                license: outcome.teacher.license.clone(),
                bytes: outcome.teacher.bytes,
                parameters: outcome.teacher.parameters,
            },
            source: self.source_of_prompts(outcome)?,
            replaced: outcome.replaced.iter().cloned().map(Into::into).collect(),
        })
    }

    /// Where the prompts come from; where none were asked, the first file of answers.
    fn source_of_prompts(&self, outcome: &harvest::Outcome) -> anyhow::Result<SourceIdentity> {
        if let Some(prompts) = &self.recipe.harvest()?.prompts {
            return Ok(SourceIdentity {
                source: prompts.source().to_owned(),
                sha256: Some(outcome.source_sha256.clone()),
                license: prompts.license().map(str::to_owned),
            });
        }
        let first = self.recipe.imports().first();
        Ok(
            first.map_or_else(SourceIdentity::default, |import| SourceIdentity {
                source: import.from.clone(),
                sha256: outcome.imported_sha256.first().cloned(),
                license: Some(import.license.clone()),
            }),
        )
    }

    fn export_section(&self, outcome: Option<&export::Outcome>) -> Vec<Exported> {
        let files = outcome.iter().flat_map(|outcome| &outcome.files);
        files
            .map(|file| Exported {
                format: file.format.to_string(),
                path: file.path.file_name().map_or_else(
                    || self.relative(&file.path),
                    |name| Path::new("export").join(name).display().to_string(),
                ),
                bytes: file.bytes,
                sha256: file.sha256.clone(),
                max_logit_difference: Some(file.max_logit_difference.into()),
                tokens_per_second: Some(file.tokens_per_second),
            })
            .collect()
    }

    fn device_gate(&self, outcomes: &Outcomes) -> Option<Gate> {
        let device = &self.recipe.export().ok()?.device;
        let export = outcomes.export.as_ref()?;
        let speed = outcomes
            .evaluate
            .iter()
            .flat_map(|outcome| &outcome.suites)
            .find_map(|suite| suite.student.as_ref()?.requests_per_second);
        device_gate(device, export, speed)
    }
}

fn device_gate(
    device: &DeviceSection,
    export: &export::Outcome,
    speed: Option<f64>,
) -> Option<Gate> {
    let mut conditions = Vec::new();
    if let Some(most) = device.max_file_mb {
        let smallest = export.files.iter().map(|file| file.bytes).min();
        let megabytes = smallest.map(|bytes| bytes as f64 / 1e6);
        conditions.push(GateCondition {
            text: match megabytes {
                Some(found) => {
                    format!("the smallest file has {found:.2} MB; the device takes {most}")
                }
                None => "no file was written".to_owned(),
            },
            measured: megabytes,
            required: Some(most),
            passed: megabytes.is_some_and(|found| found <= most),
        });
    }
    if let Some(least) = device.min_requests_per_second {
        conditions.push(GateCondition {
            text: match speed {
                Some(found) => {
                    format!("the student answers {found:.0} requests a second; {least} are needed")
                }
                None => "the student's speed was not measured".to_owned(),
            },
            measured: speed,
            required: Some(least),
            passed: speed.is_some_and(|found| found >= least),
        });
    }
    (!conditions.is_empty()).then(|| gate(conditions))
}

fn gate(conditions: Vec<GateCondition>) -> Gate {
    let texts: Vec<&str> = conditions
        .iter()
        .map(|condition| condition.text.as_str())
        .collect();
    Gate {
        text: texts.join("; "),
        passed: conditions.iter().all(|condition| condition.passed),
        conditions,
    }
}

fn funnel(outcomes: &Outcomes) -> Vec<FunnelStep> {
    let mut steps = Vec::new();
    let mut step = |name: &str, count: usize| {
        steps.push(FunnelStep {
            name: name.to_owned(),
            count: count as u64,
        });
    };
    if let Some(outcome) = &outcomes.harvest {
        // Answers that were imported come without rows to ask about.
        if outcome.rows > 0 {
            step("rows that pass the filter", outcome.rows);
        }
        step("prompts", outcome.prompts);
        step("answers", outcome.traces.len());
    }
    if let Some(outcome) = &outcomes.curate {
        step("answers kept", outcome.kept);
        step("examples to learn from", outcome.rows);
    }
    steps
}

fn curate_section(outcome: &curate::Outcome) -> Curate {
    let checks = outcome.checks.iter();
    Curate {
        kept: outcome.kept as u64,
        dropped: outcome.dropped as u64,
        checks: checks
            .map(|check| CheckOutcome {
                name: check.check.clone(),
                judged: check.judged as u64,
                dropped: check.dropped as u64,
                // A check judges only what those before it kept.
                first_dropped: check.dropped as u64,
            })
            .collect(),
        replaced: outcome.replaced.iter().cloned().map(Into::into).collect(),
    }
}

fn train_section(outcome: &train::Outcome) -> Train {
    let report = &outcome.report;
    Train {
        parameters: report.parameters as u64,
        tokens: report.tokens,
        tokens_per_second: report.tokens_per_second,
        seconds: report.seconds,
        final_loss: report.final_loss.into(),
        held_out_loss: report.best_held_out.map(Into::into),
        precision: Some(if report.device.is_cpu() {
            report.precision.to_string()
        } else {
            format!("{} on {}", report.precision, report.device)
        }),
        curve: report
            .curve
            .iter()
            .map(|point| CurvePoint {
                step: point.step as u64,
                tokens: point.tokens,
                train_loss: point.train_loss.into(),
                held_out: point.held_out.map(Into::into),
            })
            .collect(),
    }
}

fn names(uses: &[limbeck_store::terms::Use]) -> Vec<String> {
    let name = |value: serde_json::Value| value.as_str().map(str::to_owned);
    uses.iter()
        .filter_map(|one| serde_json::to_value(one).ok().and_then(name))
        .collect()
}

fn machine() -> Option<Machine> {
    let cores = std::thread::available_parallelism().ok()?.get() as u32;
    let processor = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    Some(Machine {
        cores,
        description: processor.map_or(system.clone(), |processor| format!("{processor}, {system}")),
    })
}

impl From<Scored> for Score {
    fn from(scored: Scored) -> Self {
        Self {
            name: scored.name,
            score: scored.score,
            low: scored.low,
            high: scored.high,
            n: scored.n as u64,
            requests_per_second: scored.requests_per_second,
            peak_rss_bytes: scored.peak_rss_bytes,
            tokens_per_second: scored.tokens_per_second,
        }
    }
}

impl From<GateOutcome> for Gate {
    fn from(outcome: GateOutcome) -> Self {
        let condition = |one: limbeck_student::evaluate::GateCondition| GateCondition {
            text: one.line,
            measured: one.measured,
            required: one.required,
            passed: one.holds,
        };
        gate(outcome.conditions.into_iter().map(condition).collect())
    }
}

impl From<Metric> for crate::report::Metric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Accuracy => Self::Accuracy,
            Metric::NatsPerByte => Self::NatsPerByte,
            Metric::Ends => Self::Ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_demands_has_no_gate() {
        let export = export::Outcome {
            files: Vec::new(),
            waivers: Vec::new(),
        };
        assert_eq!(device_gate(&DeviceSection::default(), &export, None), None);
    }

    #[test]
    fn a_condition_that_held_is_not_reported_as_missed() {
        let condition = |holds, required| limbeck_student::evaluate::GateCondition {
            holds,
            line: String::new(),
            measured: Some(0.77),
            required: Some(required),
        };
        let gate = Gate::from(GateOutcome {
            passed: false,
            conditions: vec![condition(true, 0.75), condition(false, 0.78)],
        });
        let told: Vec<_> = gate
            .conditions
            .iter()
            .map(|one| (one.passed, one.measured, one.required))
            .collect();
        assert!(!gate.passed);
        assert_eq!(
            told,
            [
                (true, Some(0.77), Some(0.75)),
                (false, Some(0.77), Some(0.78))
            ]
        );
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let export = export::Outcome {
            files: Vec::new(),
            waivers: Vec::new(),
        };
        let device = DeviceSection {
            max_file_mb: Some(4.0),
            min_requests_per_second: Some(200.0),
        };
        let gate = device_gate(&device, &export, None);
        assert!(gate.is_some_and(|gate| !gate.passed && gate.conditions.iter().all(|c| !c.passed)));
        let fast = DeviceSection {
            max_file_mb: None,
            min_requests_per_second: Some(200.0),
        };
        assert!(device_gate(&fast, &export, Some(200.0)).is_some_and(|gate| gate.passed));
    }
}
