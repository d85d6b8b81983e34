//! `limbeck audit`: what one who answers for the data must know about a work folder.

mod json;
mod junit;
mod sarif;
mod target;
mod text;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use limbeck_store::audit::{Area, Finding, IntegrityOptions, Level, Lineage};
use limbeck_store::ledger::PublicKey;
use limbeck_store::terms::Use;

use crate::args::GlobalArgs;
use crate::auditing::Audit;
use crate::commands::stage::cache_dir;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint, sanitize_line, verdict};
use crate::rights::{Reviewed, Rights};
use crate::signing::reviewer;
use crate::sources::Cache;
use target::{Target, Words};

const NO_ADVICE: &str = "What was kept was read by a program. This is not legal advice, and what it does not see it does not tell.";

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// What to look at, `terms`, `licences`, `provenance`, `integrity`, `conduct` or `privacy` (default: all of these),
    /// and last what it is about: a recipe, a work folder or a model folder
    #[arg(value_name = "AREA|TARGET")]
    pub words: Vec<String>,
    /// The work folder of a run (default: that of the recipe, `runs/NAME`, or the one that a model folder lies in)
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// What is meant to be done, instead of what the recipe says: `train`, `evaluate`, `release-model`, `release-data`;
    /// several with commas
    #[arg(long = "intent", value_name = "USE", value_delimiter = ',', value_parser = uses())]
    pub intent: Vec<Use>,
    /// How the findings are written
    #[arg(long, value_enum, default_value_t = AuditFormat::Human)]
    pub format: AuditFormat,
    /// A public key that checkpoints of the ledger may be signed by, as `limbeck keys show --workdir DIR` prints it
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// The public key of a person whose signature under declarations, waivers and the like counts, beside those that this
    /// machine trusts; as `limbeck keys show --reviewer` prints it
    #[arg(long = "reviewer-key", value_name = "KEY")]
    pub reviewers: Vec<String>,
    /// A checkpoint that was kept outside of the work folder, which the ledger must go on from
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

fn uses() -> impl TypedValueParser<Value = Use> {
    PossibleValuesParser::new(Use::ALL.map(Use::name)).map(|name| {
        let named = Use::ALL.into_iter().find(|usage| usage.name() == name);
        named.unwrap_or(Use::Train)
    })
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

/// The forms that findings are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// Text, grouped by area
    Human,
    /// One JSON value, as `docs/audit.schema.json` describes it
    Json,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
    /// The XML of `JUnit`, for CI systems
    Junit,
}

/// What was found in each area that was looked at.
struct Looked {
    areas: Vec<(Area, Vec<Finding>)>,
    /// What is meant to be done, where it was judged.
    intent: Vec<Use>,
    /// The work folder.
    workdir: String,
    /// The file that says what is meant, if there is one.
    recipe: Option<String>,
    /// What one model came by, where that was looked at in place of the whole store.
    lineage: Option<Lineage>,
}

/// Looks, writes what was found, and says which areas deny something. What keeps it from looking is told here,
/// since it has an exit code of its own.
pub async fn run(args: &AuditArgs, global: &GlobalArgs, printer: &Printer) -> ExitStatus {
    match look(args, global, printer).await {
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

async fn look(
    args: &AuditArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let words = Words::parse(&args.words)?;
    let (integrity, reviewers) = (args.integrity()?, reviewer::trusted(&args.reviewers)?);
    let target = Target::open(words.target.as_deref(), args.workdir.as_deref()).await?;
    target.can_be_judged(&words.areas)?;
    let needs_rights = [Area::Terms, Area::Licences];
    let recipe = target.recipe.as_ref();
    let reviewed = recipe.map(|recipe| Reviewed::of(recipe, &reviewers, &args.intent));
    let reviewed = reviewed.transpose()?.map(Arc::new);
    let rights = if words.areas.iter().any(|area| needs_rights.contains(area)) {
        let reviewed = reviewed.clone();
        Some(rights(&target, reviewed, &args.intent, global, printer).await?)
    } else {
        None
    };
    let audit = Audit {
        store: &target.store,
        workdir: &target.workdir,
        recipe,
        reviewed: reviewed.as_deref(),
        copy: target.copy.as_deref(),
        is_foreign_copy: target.is_foreign_copy,
        lineage: target.lineage.as_ref(),
        folder: target.model.as_deref(),
        integrity,
    };
    let mut areas = Vec::new();
    for area in words.areas {
        areas.push((area, audit.findings(area, rights.as_ref()).await?));
    }
    let looked = Looked {
        areas,
        intent: rights
            .iter()
            .flat_map(|rights| rights.intent.uses())
            .collect(),
        workdir: target.workdir.display().to_string(),
        recipe: recipe.map(|recipe| recipe.path().display().to_string()),
        lineage: target.lineage.clone(),
    };
    let exit_code = bits(&looked.areas);
    let told = match args.format {
        AuditFormat::Human => printer.line(text::text(&looked)),
        AuditFormat::Json => printer.json(format_args!("{:#}", json::value(&looked))),
        AuditFormat::Sarif => printer.json(format_args!("{:#}", sarif::value(&looked))),
        AuditFormat::Junit => printer.raw(junit::text(&looked)?),
    };
    verdict(told, ExitStatus::Audited(exit_code))
}

/// What terms and licences are judged by. `uses` stand for those of the recipe, if there are any.
async fn rights<'a>(
    target: &'a Target,
    reviewed: Option<Arc<Reviewed>>,
    uses: &[Use],
    global: &GlobalArgs,
    printer: &Printer,
) -> anyhow::Result<Rights<'a>> {
    let recipe = target.needed_recipe()?;
    let reviewed = reviewed.context("terms and licences are judged by a recipe")?;
    let cache = Cache::new(cache_dir(global)?, true);
    let dataset = target.lineage.as_ref();
    let dataset = dataset.map(|lineage| lineage.dataset.as_str());
    let rights = Rights::held(recipe, reviewed, &cache, printer, &target.store, dataset).await?;
    Ok(rights.for_uses(uses))
}

/// The bits of the areas in which something is denied.
fn bits(looked: &[(Area, Vec<Finding>)]) -> u8 {
    looked
        .iter()
        .filter(|(_, found)| found.iter().any(|finding| finding.level == Level::Deny))
        .fold(0, |bits, (area, _)| bits | area.bit())
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
