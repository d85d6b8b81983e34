//! What a person asks of batches: to stop them, or to decide on one whose fate is unknown.

use std::path::Path;

use anyhow::Context;
use limbeck_store::{Batch, BatchState, Store};
use limbeck_teacher::{ApiTeacher, cancel_batch, forget_batch, poll_batch};
use tokio_util::sync::CancellationToken;

use crate::exit_status::ExitStatus;
use crate::pipeline::teacher::load_service;
use crate::printer::{Printer, WithHint, sanitize_line};
use crate::recipe::Recipe;
use crate::signing::ledger::sign_with_it;
use crate::text;

/// What becomes of the questions of a batch that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// They are asked again.
    SendAgain,
    /// They are failures.
    Forget,
}

/// Ends with 1 where a batch could not be stopped.
pub(super) async fn cancel(
    batches: &[Batch],
    recipe: &Recipe,
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
            // It may be there for another key, and closed it would be asked and paid for again.
            Err(error) if error.kind() == "not-found" => {
                status = ExitStatus::CheckFailed;
                printer.warning(format_args!(
                    "the service has no batch `{name}` for this key; if it is gone, `--send-again {name}` has its \
                     questions asked again, and `--forget {name}` gives them up"
                ));
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

/// Closes a batch whose fate is unknown, as a person decides; one that has a name only if the service does not know it.
pub(super) async fn settle(
    batch: &Batch,
    decision: Decision,
    recipe: Option<&Recipe>,
    store: &Path,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let name = batch.remote_id.as_deref();
    let name = name.map_or_else(|| batch.number.to_string(), sanitize_line);
    if batch.state == BatchState::Ended {
        anyhow::bail!("the batch `{name}` has ended, and nothing of it is open");
    }
    if batch.remote_id.is_some() {
        let recipe = recipe.with_context(|| {
            format!("whether the service has the batch `{name}` is asked with the recipe's key")
        });
        let recipe = recipe.hint("name the recipe: `limbeck teachers batches RECIPE …`")?;
        let teacher = teacher_of(batch, recipe, printer)?;
        match poll_batch(&teacher, batch, &CancellationToken::new()).await {
            Err(error) if error.kind() == "not-found" => {}
            Err(error) => return Err(error).with_context(|| not_asked(&name)),
            Ok(state) => {
                let state = sanitize_line(&state).replace('_', " ");
                let known = anyhow::anyhow!("the service has the batch `{name}`: it is {state}");
                return Err(known).hint("`--cancel ID` stops it, and a harvest collects it");
            }
        }
    }
    let store = Store::open(store).await?;
    let _signer = sign_with_it(&store, printer).await?;
    // A harvest may have found it in between.
    let now = store.batch(batch.number).await?;
    if now.is_none_or(|now| now.state != batch.state) {
        anyhow::bail!("the batch `{name}` has moved on; look at the list again");
    }
    match decision {
        Decision::SendAgain => {
            store.end_batch(batch.number, batch.odd_lines).await?;
            printer.line(format_args!(
                "the batch `{name}` is closed here; the next harvest asks its {} again",
                questions(batch.open())
            ))?;
        }
        Decision::Forget => {
            let given_up = forget_batch(&store, batch).await?;
            printer.line(format_args!(
                "the batch `{name}` is closed here, with {} given up; `--retry-failed batch-forgotten` of a harvest asks \
                 again",
                questions(given_up)
            ))?;
        }
    }
    store.close().await;
    Ok(ExitStatus::Success)
}

fn not_asked(name: &str) -> String {
    format!("the service cannot be asked whether it has the batch `{name}`")
}

fn questions(count: u64) -> String {
    match count {
        1 => "1 question".to_owned(),
        _ => format!("{} questions", text::grouped(count)),
    }
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
