//! From the text of a recipe to its document, and from a mistake to its place.
//!
//! The document itself carries no positions. A mistake names its key (`harvest.sampling.top_p`, `teacher.0.name`) and
//! is looked up in the syntax tree only when there is one.

use std::ops::Range;
use std::path::Path;

use limbeck_store::nearest;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::Document;
use super::diagnostic::Diagnostic;

/// A mistake at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Keys and positions in lists, joined by dots.
    pub(super) at: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            message: message.into(),
            help: None,
        }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Reads the TOML strictly.
pub(super) fn read(path: &Path, text: &str) -> Result<Document, Vec<Diagnostic>> {
    let tree = DeTable::parse(text).map_err(|error| vec![explain(path, text, None, &error)])?;
    toml::from_str(text).map_err(|error| vec![explain(path, text, Some(tree.get_ref()), &error)])
}

/// Finds the place of each problem, and sorts them by it.
pub(super) fn place(path: &Path, text: &str, problems: Vec<Problem>) -> Vec<Diagnostic> {
    let tree = DeTable::parse(text);
    let mut placed: Vec<(usize, Diagnostic)> = problems
        .into_iter()
        .map(|problem| {
            let span = match &tree {
                Ok(tree) => span_of(tree.get_ref(), &problem.at),
                Err(_) => 0..0,
            };
            let start = span.start;
            let diagnostic = Diagnostic::new(path, text, span, problem.message);
            (start, diagnostic.with_help(problem.help))
        })
        .collect();
    placed.sort_by_key(|(start, _)| *start);
    placed
        .into_iter()
        .map(|(_, diagnostic)| diagnostic)
        .collect()
}

/// The place of a key's value; of the key where the value is a table; of what it would be in, if it is not there.
fn span_of(root: &DeTable<'_>, at: &str) -> Range<usize> {
    let mut found = 0..0;
    let mut table = Some(root);
    let mut list = None;
    for step in at.split('.').filter(|step| !step.is_empty()) {
        let next = match (table, list, step.parse::<usize>()) {
            (_, Some(list), Ok(index)) => element(list, index),
            (Some(table), ..) => table.get_key_value(step).map(|(key, value)| {
                let is_table = matches!(value.get_ref(), DeValue::Table(_));
                (if is_table { key.span() } else { value.span() }, value)
            }),
            _ => None,
        };
        let Some((span, value)) = next else {
            return found;
        };
        found = span;
        table = value.get_ref().as_table();
        list = value.get_ref().as_array();
    }
    found
}

fn element<'a, 'i>(
    list: &'a toml::de::DeArray<'i>,
    index: usize,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
    let value = list.get(index)?;
    Some((value.span(), value))
}

/// Turns an error of the TOML reader into one that speaks of keys and suggests the nearest.
fn explain(
    path: &Path,
    text: &str,
    tree: Option<&DeTable<'_>>,
    error: &toml::de::Error,
) -> Diagnostic {
    let message = error.message().trim_end();
    let mut span = error.span().unwrap_or(0..0);
    // The wording is serde's own, followed by ours, and has not changed in years; a test notices if it does.
    let unknown = message
        .strip_prefix("unknown ")
        .filter(|rest| rest.contains("`, expected ") || rest.ends_with("no fields"));
    let Some(rest) = unknown else {
        let message = message.replace("missing field", "missing key");
        return Diagnostic::new(path, text, span, plain_types(&message));
    };
    let what = if rest.starts_with("field ") {
        "key"
    } else {
        "value"
    };
    let mut words = rest.split('`').skip(1).step_by(2);
    let word = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    let search = Search {
        word,
        among_keys: what == "key",
        span: &span,
    };
    if let Some(better) = tree.and_then(|tree| search.in_table(tree, false)) {
        span = better;
    }
    let help = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "nothing is allowed here".to_owned(),
        None => format!("known here: {}", quoted(&known)),
    };
    Diagnostic::new(path, text, span, format!("unknown {what} `{word}`")).with_help(Some(help))
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// Rust's names of types, in words.
fn plain_types(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// Looks for a word among keys or among values.
struct Search<'a> {
    word: &'a str,
    among_keys: bool,
    /// Where the error is said to be; empty if nothing is known.
    span: &'a Range<usize>,
}

impl Search<'_> {
    /// The first occurrence inside the span. Sections that are read by their `kind` lose the exact place on the way:
    /// the error then spans the whole of them, or their header only. `inside` is set below such a header.
    fn in_table(&self, table: &DeTable<'_>, inside: bool) -> Option<Range<usize>> {
        table.iter().find_map(|(key, value)| {
            if self.among_keys && key.get_ref() == self.word && (inside || self.spans(&key.span()))
            {
                return Some(key.span());
            }
            self.in_value(value, inside)
        })
    }

    fn in_value(&self, value: &Spanned<DeValue<'_>>, inside: bool) -> Option<Range<usize>> {
        let inside = inside || value.span() == *self.span;
        match value.get_ref() {
            DeValue::Table(table) => self.in_table(table, inside),
            DeValue::Array(list) => list.iter().find_map(|value| self.in_value(value, inside)),
            DeValue::String(text) if !self.among_keys && text == self.word => {
                (inside || self.spans(&value.span())).then(|| value.span())
            }
            _ => None,
        }
    }

    fn spans(&self, range: &Range<usize>) -> bool {
        self.span.is_empty() || (range.start >= self.span.start && range.end <= self.span.end)
    }
}
