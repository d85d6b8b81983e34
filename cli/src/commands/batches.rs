//! `limbeck teachers batches`: what is with the services, and how to stop it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use limbeck_store::{Batch, BatchState, Store};
use limbeck_teacher::{ApiTeacher, cancel_batch};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::exit_status::ExitStatus;
use crate::pipeline::teacher::load_service;
use crate::printer::{Printer, WithHint, sanitize_line};
use crate::recipe::Recipe;
use crate::text;

/// Arguments of `teachers batches`.
#[derive(Debug, Args)]
pub struct BatchesArgs {
    /// The recipe
    #[arg(required_unless_present = "workdir")]
    pub recipe: Option<PathBuf>,
    /// Where everything of the run is kept (default: `runs/NAME` of the recipe)
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Ask the service to stop this batch, or `all` that are open; what was answered until then is collected by the
    /// next harvest
    #[arg(long, value_name = "ID", requires = "recipe")]
    pub cancel: Option<String>,
    /// JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What `--cancel` takes for every open batch.
const ALL: &str = "all";

/// Lists batches, or asks services to stop them.
pub async fn run(args: &BatchesArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let recipe = args.recipe.as_deref().map(Recipe::load).transpose()?;
    let workdir = match (&args.workdir, &recipe) {
        (Some(workdir), _) => workdir.clone(),
        (None, Some(recipe)) => PathBuf::from("runs").join(recipe.name()),
        (None, None) => anyhow::bail!("neither a recipe nor a work folder is named"),
    };
    let path = workdir.join("limbeck.db");
    // Reading does not take the store away from a harvest that waits for the same batches.
    let store = Store::open_read_only(&path).await?;
    let batches = store.batches().await?;
    store.close().await;
    match (&args.cancel, &recipe) {
        (Some(id), Some(recipe)) => {
            let chosen = choose(&batches, id)?;
            cancel(&chosen, recipe, &path, printer).await
        }
        _ => list(&batches, args.json, printer),
    }
}

fn list(batches: &[Batch], json: bool, printer: &Printer) -> anyhow::Result<ExitStatus> {
    if json {
        for batch in batches {
            let mut line = serde_json::to_value(batch)?;
            line["open"] = json!(batch.open());
            line["age_seconds"] = json!(age(batch).as_secs());
            printer.json(line.to_string())?;
        }
    } else if batches.is_empty() {
        printer.status("no batch was handed over from this work folder");
    } else {
        printer.line(table(batches))?;
    }
    Ok(ExitStatus::Success)
}

fn table(batches: &[Batch]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([
            "batch",
            "id",
            "teacher",
            "state",
            "requests",
            "answered",
            "failed",
            "not worked on",
            "at the service",
            "age",
        ]);
    for column in [0, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for batch in batches {
        let told = batch.remote_state.as_deref().map(sanitize_line);
        let told = match (told, batch.remote_done) {
            (Some(state), Some(done)) => format!("{state}, {} done", text::grouped(done)),
            (Some(state), None) => state,
            (None, _) => "-".to_owned(),
        };
        table.add_row([
            batch.number.to_string(),
            batch
                .remote_id
                .as_deref()
                .map_or_else(|| "-".to_owned(), sanitize_line),
            sanitize_line(&batch.teacher),
            batch.state.name().to_owned(),
            text::grouped(batch.requests),
            text::grouped(batch.answered),
            text::grouped(batch.failed),
            text::grouped(batch.unanswered),
            told,
            text::duration(age(batch)),
        ]);
    }
    table
}

/// How long ago it was made; by a clock that was set back since, no time.
fn age(batch: &Batch) -> Duration {
    let made: Option<Timestamp> = batch.created_at.parse().ok();
    let age = made.map(|made| Timestamp::now().duration_since(made));
    age.and_then(|age| Duration::try_from(age).ok())
        .unwrap_or_default()
}

/// The open batches that `id` names: the service's name, the number in the list, or all.
fn choose(batches: &[Batch], id: &str) -> anyhow::Result<Vec<Batch>> {
    let named = |batch: &&Batch| {
        id == ALL || batch.remote_id.as_deref() == Some(id) || batch.number.to_string() == id
    };
    let named: Vec<&Batch> = batches.iter().filter(named).collect();
    if named.is_empty() && id != ALL {
        return Err(anyhow::anyhow!("there is no batch `{id}`"))
            .hint("`limbeck teachers batches` without `--cancel` lists them");
    }
    let open = named.into_iter();
    let open = open.filter(|batch| batch.state != BatchState::Ended);
    Ok(open.cloned().collect())
}

/// Ends with 1 where a batch could not be stopped.
async fn cancel(
    batches: &[Batch],
    recipe: &Recipe,
    store: &Path,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    if batches.is_empty() {
        printer.status("no such batch is open");
        return Ok(ExitStatus::Success);
    }
    let mut status = ExitStatus::Success;
    let never = CancellationToken::new();
    for batch in batches {
        let name = batch.remote_id.clone();
        let name = name.unwrap_or_else(|| batch.number.to_string());
        let teacher = teacher_of(batch, recipe, printer)?;
        match cancel_batch(&teacher, batch, &never).await {
            Ok(state) => printer.line(format_args!(
                "the batch `{name}` is {}; the next harvest collects what was answered",
                sanitize_line(&state).replace('_', " ")
            ))?,
            Err(error) if error.kind() == "not-found" => {
                let store = Store::open(store).await?;
                store.end_batch(batch.number, batch.odd_lines).await?;
                store.close().await;
                printer.line(format_args!(
                    "the service has no batch `{name}`; it is closed here, and its questions are asked again"
                ))?;
            }
            Err(error) => {
                status = ExitStatus::CheckFailed;
                let why = format!("{:#}", anyhow::Error::new(error));
                printer.warning(format_args!(
                    "the batch `{name}` is not cancelled: {}",
                    sanitize_line(&why)
                ));
            }
        }
    }
    Ok(status)
}

/// The teacher of the recipe that a batch was handed over to.
fn teacher_of(
    batch: &Batch,
    recipe: &Recipe,
    printer: &Printer,
) -> anyhow::Result<std::sync::Arc<ApiTeacher>> {
    let mut why = None;
    for section in recipe
        .teachers()
        .iter()
        .filter(|section| !section.is_local())
    {
        // A key that is missing matters only if none of the others is meant.
        match load_service(section, printer) {
            Ok(loaded) if loaded.key() == batch.teacher => {
                return loaded
                    .api()
                    .cloned()
                    .context("a local teacher has no batches");
            }
            Ok(_) => {}
            Err(error) => why = Some(error),
        }
    }
    match why {
        Some(error) => Err(error),
        None => Err(anyhow::anyhow!(
            "the recipe `{}` has no teacher `{}`, which the batch was handed over to",
            recipe.path().display(),
            batch.teacher
        )),
    }
}
