//! `limbeck traces`: what is in the store, and what goes in and out by file.

mod croissant;
mod erase;
pub mod export;
pub mod import;

use std::path::Path;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use limbeck_store::{
    Attempt, AttemptStatus, Failure, FailureFilter, PromptBody, Store, TraceDetail, TraceFilter,
    TraceSummary, VerdictFilter,
};

use crate::args::TracesCommand;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, sanitize_line, sanitize_terminal};

/// How many characters of an id are shown: enough to name a trace in `traces show`.
const SHORT_ID: usize = 12;
/// How many characters of a text fit into a line of the list.
const EXCERPT: usize = 48;

/// Lists traces, shows one, or moves them in or out.
pub async fn run(command: &TracesCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        TracesCommand::List {
            workdir,
            limit,
            offset,
            kept,
            dropped,
            json,
        } => {
            let filter = TraceFilter {
                limit: Some(*limit),
                offset: *offset,
                teacher: None,
                verdict: verdict_filter(*kept, *dropped),
            };
            let store = open(workdir).await?;
            let mut traces = store.list_traces(&filter).await?;
            let erased = store.erased_traces().await?;
            traces.retain(|trace| !(*kept && erased.contains(&trace.id)));
            if *json {
                for trace in &traces {
                    printer.json(serde_json::to_string(trace)?)?;
                }
            } else {
                printer.line(table(&traces))?;
            }
        }
        TracesCommand::Failures {
            workdir,
            kind,
            limit,
            json,
        } => {
            let filter = FailureFilter {
                kind: kind.clone(),
                limit: *limit,
                offset: 0,
            };
            let failures = open(workdir).await?.failures(&filter).await?;
            if *json {
                for failure in &failures {
                    printer.json(serde_json::to_string(failure)?)?;
                }
            } else {
                printer.line(failure_table(&failures))?;
            }
        }
        TracesCommand::Erase {
            id,
            workdir,
            reason,
        } => return erase::run(id, workdir, reason, printer).await,
        TracesCommand::Import(args) => return import::run(args, printer).await,
        TracesCommand::Export(args) => return export::run(args, printer).await,
        TracesCommand::Show { id, workdir, json } => {
            let trace = open(workdir).await?.trace(id).await?;
            if *json {
                let mut shown = serde_json::to_value(&trace)?;
                shown["grounds"] = serde_json::json!(trace.receipt.grounds());
                printer.json(format_args!("{shown:#}"))?;
            } else {
                printer.line(page(&trace))?;
            }
        }
    }
    Ok(ExitStatus::Success)
}

/// The newest curation's word that is asked for.
fn verdict_filter(kept: bool, dropped: bool) -> Option<VerdictFilter> {
    match (kept, dropped) {
        (true, _) => Some(VerdictFilter::Kept),
        (_, true) => Some(VerdictFilter::Dropped),
        _ => None,
    }
}

/// Reading does not take the store away from a run that is using it.
async fn open(workdir: &Path) -> anyhow::Result<Store> {
    Ok(Store::open_read_only(&workdir.join("limbeck.db")).await?)
}

fn table(traces: &[TraceSummary]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["id", "phrasing", "verdict", "tokens", "answer", "input"]);
    for trace in traces {
        table.add_row([
            trace.id.chars().take(SHORT_ID).collect(),
            trace.phrasing.clone(),
            verdict(trace.verdict).to_owned(),
            trace.completion_tokens.to_string(),
            excerpt(&trace.text),
            excerpt(&trace.input),
        ]);
    }
    table
}

fn failure_table(failures: &[Failure]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["id", "kind", "attempts", "when", "reason", "input"]);
    for failure in failures {
        let AttemptStatus::Failed { kind, message } = &failure.last.status else {
            continue;
        };
        table.add_row([
            failure.last.trace_id.chars().take(SHORT_ID).collect(),
            sanitize_line(kind),
            failure.attempts.to_string(),
            failure.last.started_at.chars().take(19).collect(),
            excerpt(message),
            excerpt(&failure.input),
        ]);
    }
    table
}

fn verdict(verdict: VerdictFilter) -> &'static str {
    match verdict {
        VerdictFilter::Kept => "kept",
        VerdictFilter::Dropped => "dropped",
        VerdictFilter::Unjudged => "-",
    }
}

fn excerpt(text: &str) -> String {
    let line = sanitize_line(text);
    let mut short: String = line.chars().take(EXCERPT).collect();
    if line.chars().count() > EXCERPT {
        short.push('…');
    }
    short
}

/// One attempt over the network; a local one has nothing more to tell.
fn attempt_line(attempt: &Attempt) -> Option<String> {
    let call = attempt.call.as_deref()?;
    let how = match &attempt.status {
        AttemptStatus::Answered => "answered".to_owned(),
        AttemptStatus::Failed { kind, message } => format!("{kind}: {message}"),
    };
    let status = call
        .http_status
        .map_or_else(String::new, |status| format!(" ({status})"));
    let key = call.key_alias.as_deref().unwrap_or("no key");
    let cost = call.cost_nano_usd.map_or_else(String::new, |cost| {
        format!(", {:.6} USD", limbeck_teacher::usd(cost))
    });
    Some(format!(
        "{how}{status} by {} with {key} after {} ms, held back {} ms{cost}",
        call.endpoint, attempt.latency_ms, attempt.waited_ms
    ))
}

/// A trace as a page: what was asked, what came back, what was decided, where it comes from.
fn page(trace: &TraceDetail) -> String {
    let record = &trace.record;
    let mut page = format!("trace     {}\n", record.id);
    let mut field = |name: &str, value: &str| {
        page.extend([format!("{name:<10}"), sanitize_line(value), "\n".to_owned()]);
    };
    field("prompt", &record.prompt.id);
    field("phrasing", &record.prompt.phrasing);
    field(
        "source",
        &format!("{}, row {}", record.prompt.source, record.prompt.row),
    );
    field(
        "teacher",
        &format!("{} ({})", trace.receipt.model, trace.receipt.provider),
    );
    field(
        "licence",
        trace.receipt.license.as_deref().unwrap_or("not known"),
    );
    field("recorded", &record.recorded_at);
    let finish = record.finish_reason.name();
    field(
        "finish",
        &format!(
            "{finish}, {} prompt tokens, {} answer tokens",
            record.prompt_tokens, record.completion_tokens
        ),
    );
    if let Some(log_probabilities) = &record.choice_log_probabilities {
        let choices = record.key.parameters.choices.iter().zip(log_probabilities);
        let choices: Vec<String> = choices
            .map(|(choice, l)| format!("{choice} {l:.3}"))
            .collect();
        field("choices", &choices.join(", "));
    }
    for attempt in &trace.attempts {
        if let Some(text) = attempt_line(attempt) {
            field("attempt", &text);
        }
    }
    for verdict in &trace.verdicts {
        let word = if verdict.keep { "keeps" } else { "drops" };
        field(
            "verdict",
            &format!("{} {word}: {}", verdict.check, verdict.reason),
        );
    }
    page.push_str("\nreceipt\n");
    for (field, value, ground) in trace.receipt.fields() {
        let line = format!("{field}: {} ({})", sanitize_line(&value), ground.name());
        page.push_str(&indented(&line));
    }
    page.push_str("\nasked\n");
    match &record.prompt.body {
        PromptBody::Completion { text } => page.push_str(&indented(text)),
        PromptBody::Chat { messages } => {
            for message in messages {
                page.push_str(&indented(&format!(
                    "[{}] {}",
                    message.role, message.content
                )));
            }
        }
    }
    for (what, text) in [
        ("thought", &record.reasoning),
        ("said, and took back", &record.retracted),
    ] {
        if let Some(text) = text {
            page.extend(["\n", what, "\n"]);
            page.push_str(&indented(text));
        }
    }
    page.push_str("\nanswered\n");
    page.push_str(&indented(&record.text));
    page.pop();
    page
}

fn indented(text: &str) -> String {
    let text = sanitize_terminal(text);
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}
