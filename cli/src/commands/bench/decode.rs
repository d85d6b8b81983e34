//! `limbeck bench decode`: prompt processing and decoding of one model.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use limbeck_model::bench::{DecodeBench, decode};
use limbeck_model::{Decoder, ModelFiles, Precision};
use limbeck_student::evaluate::{peak_resident_bytes, reset_peak_resident};
use serde_json::json;

use super::args::BenchDecodeArgs;
use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// Measures and prints.
pub fn run(args: &BenchDecodeArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let BenchDecodeArgs {
        model,
        sequences,
        prompt,
        new,
        precision,
        json,
    } = args;
    let decoder = load(model, (*precision).into())?;
    reset_peak_resident();
    let (sequences, prompt, new) = (
        usize::from(*sequences),
        usize::from(*prompt),
        usize::from(*new),
    );
    let measured = decode(&decoder, sequences, prompt, new)?;
    let peak = peak_resident_bytes();
    if *json {
        printer.json(to_json(&measured, sequences, prompt, new, peak))?;
    } else {
        printer.line(format_args!(
            "{sequences} sequences, {prompt} prompt tokens, {new} new tokens each\n\
             prompt     {:.0} tokens a second\n\
             decoding   {:.0} tokens a second\n\
             computed   {} with {} on {} threads",
            measured.prompt_tokens_per_second,
            measured.tokens_per_second,
            measured.precision,
            measured.instruction_set,
            measured.threads,
        ))?;
        if let Some(bytes) = peak {
            printer.line(format_args!(
                "memory     {:.0} MB at its peak",
                bytes as f64 / 1e6
            ))?;
        }
    }
    Ok(ExitStatus::Success)
}

fn load(model: &Path, precision: Precision) -> anyhow::Result<Arc<Decoder>> {
    let files = ModelFiles::open(model)?;
    let decoder = Decoder::load(&files.config, files.weights.as_ref(), precision)
        .with_context(|| format!("cannot load `{}`", model.display()))?;
    Ok(Arc::new(decoder))
}

fn to_json(
    measured: &DecodeBench,
    sequences: usize,
    prompt: usize,
    new: usize,
    peak_rss_bytes: Option<u64>,
) -> serde_json::Value {
    json!({
        "sequences": sequences,
        "prompt": prompt,
        "new": new,
        "prompt_tokens_per_second": measured.prompt_tokens_per_second,
        "tokens_per_second": measured.tokens_per_second,
        "peak_rss_bytes": peak_rss_bytes,
        "precision": measured.precision,
        "instruction_set": measured.instruction_set,
        "threads": measured.threads,
    })
}
