//! `limbeck terms`: the records of what routes and licences say.

mod add;
mod check;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use limbeck_store::nearest;
use limbeck_store::terms::{Kind, Registry, TermsRecord};
use serde_json::json;

pub use add::AddArgs;

use crate::args::GlobalArgs;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint};
use crate::recipe::Recipe;

/// Said wherever terms are.
pub(crate) const NOTICE: &str =
    "A reading of public texts by the makers of Limbeck, not legal advice.";

/// Arguments of `terms`.
#[derive(Debug, Args)]
pub struct TermsArgs {
    /// What to do with the records
    #[command(subcommand)]
    pub command: TermsCommand,
}

/// The commands of `terms`.
#[derive(Debug, Subcommand)]
pub enum TermsCommand {
    /// List the records, a line each
    #[command(
        after_help = "Examples:\n  limbeck terms list\n  limbeck terms list --json | jq -r 'select(.class == \"any\").id'"
    )]
    List {
        /// Also those of this recipe
        #[arg(long, value_name = "RECIPE")]
        recipe: Option<PathBuf>,
        /// JSON lines instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one record, as a file of records holds it
    #[command(after_help = "Example:\n  limbeck terms show openai-api-2026-01-01")]
    Show {
        /// The record's id, or a licence's name
        id: String,
        /// Also look among those of this recipe
        #[arg(long, value_name = "RECIPE")]
        recipe: Option<PathBuf>,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Say what the terms of a recipe's teachers, weights and prompts mean for its intent, before anything is asked
    #[command(after_help = "Example:\n  limbeck terms check recipes/support-sentiment/recipe.toml")]
    Check {
        /// The recipe
        recipe: PathBuf,
        /// The public key of a person whose signature counts, beside those that this machine trusts
        #[arg(long = "reviewer-key", value_name = "KEY")]
        reviewers: Vec<String>,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make a record of a text that you saved, and print it for a recipe
    #[command(
        after_help = "Examples:\n  limbeck terms add services-agreement.txt --effective 2026-11-01 --like openai-api-2026-01-01 --id openai-api-2026-11-01 >> recipe.toml\n  limbeck terms add terms.txt --effective 2026-05-04 --id acme-api --provider acme --class noncompeting_only --clause 'You may not use outputs to build a competing model.' --summary 'Bars models that compete.' >> recipe.toml"
    )]
    Add(AddArgs),
}

/// Lists, shows, checks or makes records.
pub async fn run(
    command: &TermsCommand,
    global: &GlobalArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    match command {
        TermsCommand::List { recipe, json } => {
            let registry = registry(recipe.as_ref())?;
            if *json {
                for record in registry.records() {
                    printer.json(value(record))?;
                }
            } else {
                printer.line(table(&registry))?;
                printer.status(NOTICE);
            }
        }
        TermsCommand::Show { id, recipe, json } => {
            let registry = registry(recipe.as_ref())?;
            let record = find(&registry, id)?;
            if *json {
                printer.json(format_args!("{:#}", value(record)))?;
            } else {
                printer.line(toml::to_string(record)?.trim_end())?;
                printer.line(format_args!("\n# terms_sha256 = \"{}\"", record.digest()))?;
                printer.status(NOTICE);
            }
        }
        TermsCommand::Check {
            recipe,
            reviewers,
            json,
        } => {
            let recipe = Recipe::load(recipe)?;
            return check::run(&recipe, reviewers, *json, global, printer).await;
        }
        TermsCommand::Add(args) => add::run(args, printer)?,
    }
    Ok(ExitStatus::Success)
}

fn registry(recipe: Option<&PathBuf>) -> anyhow::Result<Registry> {
    let registry = match recipe {
        Some(path) => Recipe::load(path)?.registry()?,
        None => Registry::embedded()?,
    };
    Ok(registry)
}

/// The record called `id`; of a licence also by another of its names, if that is the name of one record.
pub(super) fn find<'a>(registry: &'a Registry, id: &str) -> anyhow::Result<&'a TermsRecord> {
    if let Some(record) = registry.record(id) {
        return Ok(record);
    }
    let called: Vec<&TermsRecord> = registry
        .records()
        .filter(|record| record.is_called(id))
        .collect();
    if let [only] = called[..] {
        return Ok(only);
    }
    let ids: Vec<&str> = registry
        .records()
        .map(|record| record.id.as_str())
        .collect();
    let hint = if called.is_empty() {
        let near = nearest(id, ids.iter().copied());
        near.map_or_else(
            || "`limbeck terms list` shows the ids".to_owned(),
            |near| format!("did you mean `{near}`?"),
        )
    } else {
        let ids: Vec<&str> = called.iter().map(|record| record.id.as_str()).collect();
        format!("several records have this name: `{}`", ids.join("`, `"))
    };
    None.with_context(|| format!("there is no record of terms `{id}`"))
        .hint(hint)
}

/// A record with the digest that declarations about it name.
fn value(record: &TermsRecord) -> serde_json::Value {
    let mut value = json!(record);
    value["terms_sha256"] = json!(record.digest());
    value
}

fn table(registry: &Registry) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["id", "for", "class", "effective", "basis"]);
    for record in registry.records() {
        let what = match record.kind {
            Kind::License => "licence".to_owned(),
            Kind::Route => format!(
                "{} ({})",
                record.providers.join(", "),
                record.plan.as_deref().unwrap_or_default()
            ),
        };
        let effective = record.effective.map(|day| day.to_string());
        let basis = json!(record.basis);
        table.add_row([
            record.id.clone(),
            what,
            record.class.name().to_owned(),
            effective.unwrap_or_else(|| "-".to_owned()),
            basis.as_str().unwrap_or_default().to_owned(),
        ]);
    }
    table
}
