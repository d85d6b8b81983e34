//! `limbeck bench requests`: a model alone in a process, answering requests.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use limbeck_model::{Decoder, ModelFiles, Precision};
use limbeck_student::evaluate::{Student, peak_resident_bytes};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::args::BenchRequestsArgs;
use crate::commands::requests_file;
use crate::exit_status::ExitStatus;
use crate::printer::Printer;
use crate::text;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestsBench {
    /// Requests answered.
    pub requests: usize,
    /// Requests a second, tokenising included.
    pub requests_per_second: f64,
    /// Prompt and answer tokens a second.
    pub tokens_per_second: f64,
    /// Largest resident memory of the process since it started, where the system tells it.
    pub peak_rss_bytes: Option<u64>,
}

/// Measures and prints.
pub fn run(args: &BenchRequestsArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let requests = requests_file::read(&args.requests)?;
    let inputs: Vec<String> = requests.into_iter().map(|request| request.input).collect();
    if inputs.is_empty() {
        anyhow::bail!("`{}` holds no request", args.requests.display());
    }
    let student = load(&args.model, args.concurrent.into())?;
    // Nobody stops a benchmark half-way but by ending the process.
    let never = CancellationToken::new();
    let (tokens, seconds) = if args.choice.is_empty() {
        let answers = student.answer(&inputs, args.max_tokens.into(), &never)?;
        (answers.tokens, answers.seconds)
    } else {
        let labelled = student.label(&inputs, &args.choice, &never)?;
        (labelled.tokens, labelled.seconds)
    };
    let measured = RequestsBench {
        requests: inputs.len(),
        requests_per_second: inputs.len() as f64 / seconds,
        tokens_per_second: tokens as f64 / seconds,
        peak_rss_bytes: peak_resident_bytes(),
    };
    if args.json {
        printer.json(serde_json::to_string(&measured)?)?;
    } else {
        printer.line(measured.to_text())?;
    }
    Ok(ExitStatus::Success)
}

impl RequestsBench {
    fn to_text(&self) -> String {
        let speed = format!(
            "{} requests\nspeed    {:.0} requests, {:.0} tokens a second",
            self.requests, self.requests_per_second, self.tokens_per_second
        );
        match self.peak_rss_bytes {
            Some(bytes) => format!("{speed}\nmemory   {} at its peak", text::size(bytes)),
            None => speed,
        }
    }
}

fn load(path: &Path, concurrent: usize) -> anyhow::Result<Student> {
    let files = ModelFiles::open(path)?;
    let decoder = Decoder::load(&files.config, files.weights.as_ref(), Precision::F32)
        .with_context(|| format!("cannot load `{}`", path.display()))?;
    let template = files
        .chat_template
        .with_context(|| format!("`{}` has no chat template", path.display()))?;
    Ok(Student::new(
        Arc::new(decoder),
        files.tokenizer,
        template,
        concurrent,
    )?)
}
