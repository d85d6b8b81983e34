//! `limbeck audit`: what one who answers for the data must know about a work folder.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use limbeck_store::Store;
use limbeck_store::audit::conduct::ConductPolicy;
use limbeck_store::audit::{Area, Finding, IntegrityOptions, Level, privacy};
use limbeck_store::ledger::PublicKey;
use serde_json::json;

use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint, sanitize_line};

const NO_ADVICE: &str = "What was kept was read by a program. This is not legal advice, and what it does not see it does not tell.";

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// What to look at (default: all of these)
    #[arg(value_enum)]
    pub areas: Vec<AuditArea>,
    /// The work folder of a run
    #[arg(long, value_name = "DIR")]
    pub workdir: PathBuf,
    /// How the findings are written
    #[arg(long, value_enum, default_value_t = AuditFormat::Human)]
    pub format: AuditFormat,
    /// A public key that checkpoints of the ledger may be signed by, as `limbeck keys show --workdir DIR` prints it
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// A checkpoint that was kept outside of the work folder, which the ledger must go on from
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

impl AuditArgs {
    /// What the ledger is held to.
    fn integrity(&self) -> anyhow::Result<IntegrityOptions> {
        let key = |text: &String| {
            PublicKey::parse(text)
                .with_context(|| format!("`{}` is no public key", sanitize_line(text)))
                .hint("`limbeck keys show --workdir DIR` prints the one of this machine")
        };
        let checkpoint = self.checkpoint.as_ref().map(|path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the checkpoint `{}`", path.display()))
        });
        Ok(IntegrityOptions {
            keys: self.keys.iter().map(key).collect::<anyhow::Result<_>>()?,
            checkpoint: checkpoint.transpose()?,
        })
    }
}

/// The areas that can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum AuditArea {
    /// Whether anything in the store was changed, taken out, put in or moved
    Integrity,
    /// How services were treated: waits they asked for, limits, keys
    Conduct,
    /// Personal data and secrets in prompts and answers: counts, never what was met
    Privacy,
}

impl AuditArea {
    fn area(self) -> Area {
        match self {
            Self::Integrity => Area::Integrity,
            Self::Conduct => Area::Conduct,
            Self::Privacy => Area::Privacy,
        }
    }
}

/// The forms that findings are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// Text, grouped by area
    Human,
    /// One JSON value
    Json,
}

/// Looks, writes what was found, and says which areas deny something. What keeps it from looking is printed here,
/// since it has an exit code of its own.
pub async fn run(args: &AuditArgs, printer: &Printer) -> ExitStatus {
    match look(args, printer).await {
        Ok(status) => status,
        Err(error) => match printer.finish(Err(error)) {
            ExitStatus::Error => ExitStatus::NotEvaluated,
            closed => closed,
        },
    }
}

/// Whether the command line is one of `audit`, also if clap cannot read it: the first word that is no option.
pub fn is_meant(arguments: impl Iterator<Item = OsString>) -> bool {
    const OPTIONS_WITH_A_VALUE: [&str; 2] = ["--progress", "--cache-dir"];
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str() else {
            return false;
        };
        if OPTIONS_WITH_A_VALUE.contains(&text) {
            arguments.next();
        } else if !text.starts_with('-') {
            return text == "audit";
        }
    }
    false
}

async fn look(args: &AuditArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut areas = args.areas.clone();
    if areas.is_empty() {
        areas = AuditArea::value_variants().to_vec();
    }
    areas.sort_unstable();
    areas.dedup();
    let options = args.integrity()?;
    let store = Store::open_read_only(&args.workdir.join("limbeck.db")).await?;
    let mut looked = Vec::new();
    for area in areas {
        let findings = match area {
            AuditArea::Integrity => store.audit_integrity(&options).await?,
            AuditArea::Conduct => store.audit_conduct(&ConductPolicy::default()).await?,
            AuditArea::Privacy => {
                let detectors = privacy::detectors().context("a detector is wrong")?;
                store.audit_privacy(detectors).await?
            }
        };
        looked.push((area.area(), findings));
    }
    match args.format {
        AuditFormat::Human => printer.line(text(&looked))?,
        AuditFormat::Json => {
            let findings: Vec<&Finding> = looked.iter().flat_map(|(_, found)| found).collect();
            let areas: Vec<Area> = looked.iter().map(|(area, _)| *area).collect();
            let value = json!({
                "areas": areas,
                "findings": findings,
                "exit_code": bits(&looked),
                "notice": NO_ADVICE,
            });
            printer.json(serde_json::to_string_pretty(&value)?)?;
        }
    }
    Ok(ExitStatus::Audited(bits(&looked)))
}

/// The bits of the areas in which something is denied.
fn bits(looked: &[(Area, Vec<Finding>)]) -> u8 {
    looked
        .iter()
        .filter(|(_, found)| found.iter().any(|finding| finding.level == Level::Deny))
        .fold(0, |bits, (area, _)| bits | area.bit())
}

fn text(looked: &[(Area, Vec<Finding>)]) -> String {
    let mut lines = Vec::new();
    for (area, found) in looked {
        let verdict = if found.is_empty() {
            "nothing found".to_owned()
        } else {
            let count = |level| {
                found
                    .iter()
                    .filter(|finding| finding.level == level)
                    .count()
            };
            let levels = [Level::Deny, Level::Warning, Level::Note];
            let counts = levels.map(|level| (level, count(level)));
            let told = counts.iter().filter(|(_, count)| *count > 0);
            let told: Vec<String> = told
                .map(|(level, count)| format!("{count} {}", level.name()))
                .collect();
            told.join(", ")
        };
        lines.push(format!("{area}: {verdict}"));
        for finding in found {
            let level = finding.level.name();
            lines.push(format!("  {level}[{}]", finding.code));
            lines.push(format!("    {}", sanitize_line(&finding.message)));
            if !finding.path.is_empty() {
                let path = finding.path.join(" > ");
                lines.push(format!("    in: {}", sanitize_line(&path)));
            }
            if let Some(help) = &finding.help {
                lines.push(format!("    to do: {help}"));
            }
        }
        lines.push(String::new());
    }
    lines.push(NO_ADVICE.to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_of_the_audit_is_known_by_its_first_word() {
        let meant = |line: &str| is_meant(line.split(' ').map(OsString::from));
        assert!(meant("limbeck audit --unknown"));
        assert!(meant("limbeck --quiet --progress plain audit"));
        assert!(!meant("limbeck traces show audit"));
        assert!(!meant("limbeck"));
    }
}
