//! `limbeck chat`: try a student or a teacher in the terminal.

mod speaker;
mod utf8;

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use limbeck_model::{Decoder, ModelFiles, Precision, Sampling};

use self::speaker::Speaker;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint, is_interactive, sanitize_line, sanitize_terminal};

/// A longer line is cut into several messages; no context holds as much, and memory stays bounded.
const LONGEST_LINE: u64 = 1 << 20;

/// Arguments of `chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// A GGUF file or a folder in Hugging Face's layout
    pub model: PathBuf,
    /// How freely tokens are drawn; 0 always takes the likeliest
    #[arg(long, default_value_t = 0.0, value_parser = at_least_zero)]
    pub temperature: f32,
    /// Draw only from the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    pub top_p: f32,
    /// Seed of the random draws
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Cut an answer off after this many tokens
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// What the model is told before the first message
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
}

fn at_least_zero(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number of at least 0".to_owned()),
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value > 0.0 && value <= 1.0 => Ok(value),
        _ => Err("expected a number above 0 and at most 1".to_owned()),
    }
}

/// Talks in the terminal, with a memory of what was said; without one, answers each line of standard input with one
/// line, each by itself.
pub fn run(args: &ChatArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let files = ModelFiles::open(&args.model)
        .hint("MODEL is a `.gguf` file, or a folder with `config.json`, `model.safetensors` and `tokenizer.json`")?;
    let precision = Precision::for_one_sequence();
    let decoder = Decoder::load(&files.config, files.weights.as_ref(), precision)?;
    let interactive = is_interactive();
    if interactive {
        printer.status(welcome(&files));
    }
    let sampling = Sampling {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
        max_tokens: args.max_tokens as usize,
        top_logprobs: 0,
    };
    let mut speaker = Speaker::new(files, decoder, sampling, args.system.as_deref())?;
    let input = io::stdin().lock();
    if interactive {
        talk(&mut speaker, input, printer)?;
    } else {
        answer_lines(&mut speaker, input, &mut |line| printer.line(line))?;
    }
    Ok(ExitStatus::Success)
}

fn welcome(files: &ModelFiles) -> String {
    let parameters = files.config.parameter_count() as f64 / 1e6;
    format!(
        "{}, {parameters:.1} M parameters. An empty line or Ctrl-D ends the chat.",
        sanitize_line(&files.name)
    )
}

fn talk(speaker: &mut Speaker, mut input: impl BufRead, printer: &Printer) -> anyhow::Result<()> {
    loop {
        printer.raw("\n> ")?;
        let message = match read_line(&mut input)? {
            Some(message) if !message.trim().is_empty() => message,
            _ => return printer.line(""),
        };
        let answered = speaker.answer(&message, &mut |piece| printer.raw(sanitize_terminal(piece)));
        match answered {
            Ok(_) => printer.line("")?,
            Err(error) if error.is::<crate::printer::OutputClosed>() => return Err(error),
            // A message that is too long, say: the next one may do.
            Err(error) => printer.error(&error),
        }
    }
}

/// Every answer is one line, whatever it holds, so that the n-th line out belongs to the n-th line in.
fn answer_lines(
    speaker: &mut Speaker,
    mut input: impl BufRead,
    out: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut number = 0;
    while let Some(message) = read_line(&mut input)? {
        number += 1;
        speaker.forget();
        let answer = speaker
            .answer(&message, &mut |_| Ok(()))
            .with_context(|| format!("cannot answer line {number}"))?;
        out(&sanitize_line(&answer))?;
    }
    Ok(())
}

/// The next line without its end; None at the end of the input. What is not UTF-8 is replaced.
fn read_line(input: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    let read = input
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .context("cannot read standard input")?;
    let text = String::from_utf8_lossy(&line);
    Ok((read > 0).then(|| text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::speaker::tests::tiny_speaker;
    use super::*;

    fn answers(input: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        answer_lines(&mut tiny_speaker(), input, &mut |line| {
            lines.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn each_line_gets_one_line_and_no_memory_of_the_others() {
        let both = answers(b"first\nsecond\r\n");
        assert_eq!(both.len(), 2);
        assert_eq!(answers(b"second"), both[1..]);
        assert!(both.iter().all(|line| !line.contains(['\n', '\r', '\x1b'])));
    }

    #[test]
    fn bytes_that_are_no_text_are_answered_too() {
        assert_eq!(
            answers(b"caf\xe9\n\n").len(),
            2,
            "an empty line is a message as well"
        );
        assert!(answers(b"").is_empty());
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error_with_its_line() {
        let input = format!("short\n{}\n", "x".repeat(500));
        let error =
            answer_lines(&mut tiny_speaker(), input.as_bytes(), &mut |_| Ok(())).unwrap_err();
        expect_test::expect!["cannot answer line 2: the message has 502 tokens, and the model’s context holds 64: the message has 502 tokens, and the model’s context holds 64"].assert_eq(&format!("{error:#}"));
    }

    #[test]
    fn a_closed_output_ends_the_loop() {
        let mut calls = 0;
        let result = answer_lines(&mut tiny_speaker(), &b"a\nb\nc\n"[..], &mut |_| {
            calls += 1;
            Err(crate::printer::OutputClosed.into())
        });
        assert!(result.unwrap_err().is::<crate::printer::OutputClosed>());
        assert_eq!(calls, 1);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        assert!(at_least_zero("0").is_ok() && at_least_zero("1.5").is_ok());
        assert!(at_least_zero("-1").is_err() && at_least_zero("NaN").is_err());
        assert!(share("1").is_ok() && share("0").is_err() && share("1.1").is_err());
    }
}
