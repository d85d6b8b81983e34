//! The list of batches.

use std::path::Path;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use limbeck_store::Batch;
use serde_json::json;

use crate::exit_status::ExitStatus;
use crate::printer::{Printer, sanitize_line};
use crate::text;

/// Lists `batches` of `workdir`.
pub(super) fn list(
    batches: &[Batch],
    json: bool,
    workdir: &Path,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    if json {
        for batch in batches {
            let mut line = serde_json::to_value(batch)?;
            line["open"] = json!(batch.open());
            line["age_seconds"] = json!(age(batch).as_secs());
            line["fate_unknown"] = json!(batch.fate_is_unknown());
            printer.json(line.to_string())?;
        }
    } else if batches.is_empty() {
        printer.status("no batch was handed over from this work folder");
    } else {
        printer.line(table(batches))?;
    }
    for batch in batches.iter().filter(|batch| batch.fate_is_unknown()) {
        printer.warning(in_doubt(batch, workdir));
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
            state(batch).to_owned(),
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

fn state(batch: &Batch) -> &'static str {
    if batch.fate_is_unknown() {
        "fate unknown"
    } else {
        batch.state.name()
    }
}

/// What a person can do about a batch whose fate is unknown.
fn in_doubt(batch: &Batch, workdir: &Path) -> String {
    let (number, workdir) = (batch.number, workdir.display());
    format!(
        "the batch {number} was sent, and no word of it came back; the next harvest looks for it. If you know that the \
         service does not have it, `limbeck teachers batches --workdir {workdir} --send-again {number}` has its questions \
         asked again; `--forget {number}` gives them up"
    )
}

/// How long ago it was made; by a clock that was set back since, no time.
fn age(batch: &Batch) -> Duration {
    let made: Option<Timestamp> = batch.created_at.parse().ok();
    let age = made.map(|made| Timestamp::now().duration_since(made));
    age.and_then(|age| Duration::try_from(age).ok())
        .unwrap_or_default()
}
