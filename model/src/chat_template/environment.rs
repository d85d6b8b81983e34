//! The world that a chat template sees.

use std::fmt::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::ModelError;

/// The one template of the environment, as it appears in messages.
pub(super) const NAME: &str = "chat_template";
/// Instructions that one rendering may take; a long chat takes some tens of thousands. Text costs one for 64 bytes,
/// so this also bounds memory to some hundred megabytes.
const FUEL: u64 = 2_000_000;
/// No published template is a tenth of this.
const MAX_SOURCE_BYTES: usize = 1 << 20;

/// An environment that holds the compiled `source`.
pub(super) fn with_template(source: &str) -> Result<Environment<'static>, ModelError> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(ModelError::ChatTemplate {
            reason: format!(
                "{} bytes are too long, expected at most {MAX_SOURCE_BYTES}",
                source.len()
            ),
        });
    }
    let mut environment = Environment::new();
    build(&mut environment, source).map_err(|error| failure(&error))?;
    Ok(environment)
}

fn build(environment: &mut Environment<'static>, source: &str) -> Result<(), Error> {
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", to_json);
    environment.add_template_owned(NAME, without_generation_tags(source))
}

/// The error with its line and its causes.
pub(super) fn failure(error: &Error) -> ModelError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(reason, ": {error}");
        cause = error.source();
    }
    ModelError::ChatTemplate { reason }
}

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The date of every chat, so that the same messages always give the same text: Friday 26 July 2024, midnight, the one
/// that Llama 3's own template falls back to.
fn strftime_now(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        out.push_str(match characters.next() {
            Some('Y') => "2024",
            Some('y') => "24",
            Some('m') => "07",
            Some('d') => "26",
            Some('B') => "July",
            Some('b' | 'h') => "Jul",
            Some('A') => "Friday",
            Some('a') => "Fri",
            Some('H' | 'M' | 'S') => "00",
            Some('I') => "12",
            Some('p') => "AM",
            Some('j') => "208",
            Some('F') => "2024-07-26",
            Some('T') => "00:00:00",
            Some('%') => "%",
            other => {
                let directive = other.map(String::from).unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now does not know `%{directive}`"),
                ));
            }
        });
    }
    Ok(out)
}

/// The engine's own filter escapes for HTML, which would change the text that a model sees; this is Python's
/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "filters take their arguments so"
)]
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // transformers accepts it; text is never escaped to ASCII here.
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    match indent {
        None => print_json(value, PythonFormatter),
        Some(spaces) => {
            let indent = " ".repeat(spaces.min(16));
            print_json(value, PrettyFormatter::with_indent(indent.as_bytes()))
        }
    }
}

fn print_json(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let mut out = Vec::new();
    let failed = |error: String| Error::new(ErrorKind::BadSerialization, error);
    value
        .serialize(&mut Serializer::with_formatter(&mut out, formatter))
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(out).map_err(|error| failed(error.to_string()))
}

/// Python's separators: a space after every comma and colon.
struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// `{% generation %}` marks the answer for training masks and prints nothing. It becomes a block that does nothing
/// rather than going away, since a tag may also trim the space around it.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let inner = tag.trim_start_matches("{%").trim_end_matches("%}");
        let word = inner.trim_matches(['-', '+']).trim();
        match word {
            "generation" | "endgeneration" => {
                let nothing = if word == "generation" {
                    "if true"
                } else {
                    "endif"
                };
                out.push_str(&tag.replacen(word, nothing, 1));
            }
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
