//! Names and values: how training went, and where everything comes from.

use std::time::Duration;

use serde::Serialize;

use super::{millions, short_digest};
use crate::report::{Report, SourceIdentity};
use crate::text;

/// A name and what is known about it.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    name: &'static str,
    value: String,
    /// The whole of a shortened value.
    title: Option<String>,
}

impl Fact {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        Self {
            name,
            value,
            title: None,
        }
    }

    fn digest(name: &'static str, digest: &str) -> Self {
        Self {
            name,
            value: short_digest(digest),
            title: Some(digest.to_owned()),
        }
    }
}

pub(super) fn training(report: &Report) -> Vec<Fact> {
    let Some(train) = &report.train else {
        return Vec::new();
    };
    let mut facts = vec![
        Fact::new("Parameters", text::grouped(train.parameters)),
        Fact::new(
            "Tokens",
            format!(
                "{}, {} a second",
                text::grouped(train.tokens),
                text::number(train.tokens_per_second)
            ),
        ),
        Fact::new("Time", seconds(train.seconds)),
        Fact::new("Final loss", format!("{:.3}", train.final_loss)),
    ];
    if let Some(loss) = train.held_out_loss {
        facts.push(Fact::new("Held-out loss", format!("{loss:.3}")));
    }
    if let Some(precision) = &train.precision {
        facts.push(Fact::new("Products in", precision));
    }
    facts
}

pub(super) fn provenance(report: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(harvest) = &report.harvest {
        let teacher = &harvest.teacher;
        facts.push(Fact::new(
            "Teacher",
            format!("{} ({})", teacher.name, teacher.model),
        ));
        if let Some(parameters) = teacher.parameters {
            let size = teacher
                .bytes
                .map_or_else(String::new, |bytes| format!(", {}", text::size(bytes)));
            facts.push(Fact::new(
                "Teacher’s size",
                format!("{} parameters{size}", millions(parameters)),
            ));
        }
        if let Some(digest) = &teacher.sha256 {
            facts.push(Fact::digest("Teacher’s SHA-256", digest));
        }
        facts.push(Fact::new(
            "Teacher’s licence",
            license(teacher.license.as_deref()),
        ));
        push_source(&mut facts, "Prompts", "Prompts’ licence", &harvest.source);
        let (all, prompts) = (
            text::grouped(harvest.traces),
            text::grouped(harvest.prompts),
        );
        if harvest.imported > 0 {
            let imported = text::grouped(harvest.imported);
            facts.push(Fact::new(
                "Imported",
                format!("{imported} of {all} answers to {prompts} prompts came by file"),
            ));
        }
        // A recipe that asks nobody has nothing to tell of asking.
        if harvest.imported < harvest.traces {
            facts.push(Fact::new(
                "Asking",
                format!(
                    "{all} answers to {prompts} prompts ({} new, {} from before) in {}; {} prompt and {} answer tokens",
                    text::grouped(harvest.asked),
                    text::grouped(harvest.reused),
                    seconds(harvest.seconds),
                    text::grouped(harvest.prompt_tokens),
                    text::grouped(harvest.completion_tokens),
                ),
            ));
        }
    }
    for source in report
        .suites()
        .iter()
        .filter_map(|suite| suite.source.as_ref())
    {
        push_source(&mut facts, "Suite", "Suite’s licence", source);
    }
    if let Some(intent) = &report.intent {
        let uses = match &intent.uses[..] {
            [] => "not declared".to_owned(),
            uses => uses.join(", "),
        };
        facts.push(Fact::new("Meant for", uses));
        facts.push(Fact::new(
            "Student’s licence",
            license(intent.student_license.as_deref()),
        ));
    }
    facts.push(Fact::new(
        "Recipe",
        report.recipe.path.as_deref().unwrap_or(&report.recipe.name),
    ));
    facts.push(Fact::digest("Recipe’s SHA-256", &report.recipe.hash));
    if let Some(machine) = &report.machine {
        facts.push(Fact::new(
            "Measured on",
            format!("{}, {} cores", machine.description, machine.cores),
        ));
    }
    facts
}

fn push_source(
    facts: &mut Vec<Fact>,
    name: &'static str,
    license_name: &'static str,
    source: &SourceIdentity,
) {
    facts.push(Fact::new(name, &source.source));
    facts.push(Fact::new(license_name, license(source.license.as_deref())));
}

fn license(license: Option<&str>) -> &str {
    license.unwrap_or("not declared")
}

fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "unknown time".to_owned(), text::duration)
}
