//! `limbeck probe`: what a model computes, in numbers that another runtime can be held against.

use anyhow::Context;
use limbeck_model::{ChatMessage, Decoder, ModelFiles, Precision};
use serde::Serialize;

use super::requests_file;
use crate::args::ProbeArgs;
use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// One line of the output.
#[derive(Debug, Serialize)]
struct Probe<'r> {
    /// The request as it was given.
    input: &'r str,
    /// Its tokens on its own, where nothing in it counts as a control token.
    input_tokens: Vec<u32>,
    /// The request in the model's chat template.
    prompt: String,
    /// The tokens of the prompt, in which only the template's control tokens count as such.
    tokens: Vec<u32>,
    /// For the token after them, the whole vocabulary.
    logits: Vec<f32>,
    /// The greedy answer, its end token included.
    greedy: Vec<u32>,
    /// How far the best logit was above the second at each step.
    gaps: Vec<f32>,
    /// The answer as text.
    text: String,
}

/// Computes each request in f32 and prints a JSON line for it.
pub fn run(args: &ProbeArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let files = ModelFiles::open(&args.model)?;
    let decoder = Decoder::load(&files.config, files.weights.as_ref(), Precision::F32)?;
    for request in requests_file::read(&args.requests)? {
        let probe = probe(&files, &decoder, &request.input, args.max_tokens)
            .with_context(|| request.place.clone())?;
        printer.json(serde_json::to_string(&probe)?)?;
    }
    Ok(ExitStatus::Success)
}

fn probe<'r>(
    files: &ModelFiles,
    decoder: &Decoder,
    input: &'r str,
    max_tokens: usize,
) -> anyhow::Result<Probe<'r>> {
    let template = files
        .chat_template
        .as_ref()
        .context("the model has no chat template")?;
    let message = ChatMessage {
        role: "user".to_owned(),
        content: input.to_owned(),
    };
    let messages = [message];
    let tokenizer = &files.tokenizer;
    let tokens = template.encode(tokenizer, &messages, true)?;
    let logits = decoder.next_token_logits(&tokens)?;
    let (mut greedy, mut gaps) = (Vec::new(), Vec::new());
    let mut all = tokens.clone();
    let room = files.config.context_length.saturating_sub(tokens.len());
    while greedy.len() < max_tokens.min(room) {
        let (token, gap) = best(&decoder.next_token_logits(&all)?);
        greedy.push(token);
        gaps.push(gap);
        all.push(token);
        if token == tokenizer.eos() {
            break;
        }
    }
    Ok(Probe {
        input,
        input_tokens: tokenizer.encode(input, false),
        prompt: template.render(&messages, true, "", "")?,
        text: tokenizer.decode(&greedy),
        tokens,
        logits,
        greedy,
        gaps,
    })
}

/// The likeliest token, and how far it is above the second.
fn best(logits: &[f32]) -> (u32, f32) {
    let (mut first, mut second) = ((0, f32::NEG_INFINITY), f32::NEG_INFINITY);
    for (token, &logit) in logits.iter().enumerate() {
        if logit > first.1 {
            second = first.1;
            first = (token as u32, logit);
        } else if logit > second {
            second = logit;
        }
    }
    (first.0, first.1 - second)
}
