//! Redaction on the road: rows of tables before they are asked about, and what the student learns from.
//!
//! Rows are drawn and filtered as their files have them; what a prompt or a suite takes from a row is redacted. Only
//! columns that templates use are looked at. What the recipe itself says (templates, instructions, examples, choices)
//! stays as it is.

use std::borrow::Cow;

use limbeck_store::TraceRecord;
use limbeck_store::redact::{Counts, Redactor, Replaced};
use serde_json::{Map, Value};

use super::Pipeline;
use crate::recipe::Asking;
use crate::table::{Input, TemplateError};
use crate::text::grouped;

impl Pipeline {
    /// What the replacement depends on, for the hash of a stage; nothing where none is asked for.
    pub(super) fn redaction_inputs(&self, inputs: &mut Value) {
        if !self.redactor.is_off() {
            inputs["redact"] = serde_json::json!(self.redactor.identity());
        }
    }

    /// Answers of the teacher to a suite, redacted as what the student learns is: texts, and never labels.
    pub(super) fn redact_answers(&self, records: &mut [Option<TraceRecord>]) {
        for record in records.iter_mut().flatten() {
            if record.choice_log_probabilities.is_none() {
                let text = self.redactor.text(&record.text, &mut Counts::default());
                if let Cow::Owned(text) = text {
                    record.text = text;
                    // It is that of the text as it came.
                    record.mean_log_probability = None;
                }
            }
        }
    }
}

/// The columns that `asking` uses, with what is to be replaced in them replaced.
fn columns(
    redactor: &Redactor,
    asking: &Asking,
    columns: &Map<String, Value>,
    counts: &mut Counts,
) -> Map<String, Value> {
    let mut columns = columns.clone();
    for (name, value) in &mut columns {
        if asking.uses(name) {
            redact(redactor, value, counts);
        }
    }
    columns
}

/// What the student sees of a row, and what it would see if nothing were replaced.
pub(super) fn input(
    redactor: &Redactor,
    asking: &Asking,
    row: &Map<String, Value>,
) -> Result<Input, TemplateError> {
    let as_it_came = asking.input(row)?;
    if redactor.is_off() {
        return Ok(as_it_came.into());
    }
    let row = columns(redactor, asking, row, &mut Counts::default());
    let text = asking.input(&row)?;
    Ok(Input {
        as_it_came: (as_it_came != text).then_some(as_it_came),
        text,
    })
}

/// The columns as they are asked about, with counts.
pub(super) fn counted<'a>(
    redactor: &Redactor,
    asking: &Asking,
    row: &'a Map<String, Value>,
    counts: &mut Counts,
) -> Cow<'a, Map<String, Value>> {
    if redactor.is_off() {
        return Cow::Borrowed(row);
    }
    Cow::Owned(counts.item(|counts| columns(redactor, asking, row, counts)))
}

fn redact(redactor: &Redactor, value: &mut Value, counts: &mut Counts) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(redacted) = redactor.text(text, counts) {
                *text = redacted;
            }
        }
        // A telephone number is one without quotation marks, too.
        Value::Number(number) => {
            let text = number.to_string();
            if let Cow::Owned(redacted) = redactor.text(&text, counts) {
                *value = redacted.into();
            }
        }
        Value::Array(values) => {
            for value in values {
                redact(redactor, value, counts);
            }
        }
        Value::Object(fields) => {
            for value in fields.values_mut() {
                redact(redactor, value, counts);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// What the report says of a replacement, such as `12 links in 9 of 1,000 rows (detector `link`, version 1)`.
pub(super) fn note(what: &str, replaced: &[Replaced], items: u64, unit: &str) -> Option<String> {
    if replaced.is_empty() {
        return None;
    }
    let parts: Vec<String> = replaced
        .iter()
        .map(|one| {
            format!(
                "{} {} in {} (detector `{}`, version {})",
                grouped(one.matches),
                one.what,
                grouped(one.items),
                one.detector,
                one.version
            )
        })
        .collect();
    Some(format!(
        "{what} {} {unit}: {}.",
        grouped(items),
        parts.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_every_kind_are_redacted_in_depth() {
        let redactor = Redactor::new(&["number".to_owned(), "handle".to_owned()]).unwrap();
        let mut value = json!({"a": ["@ann", 123_456, 12, null, true], "b": {"c": "x 4711"}});
        redact(&redactor, &mut value, &mut Counts::default());
        assert_eq!(
            value,
            json!({"a": ["[handle]", "[number]", 12, null, true], "b": {"c": "x [number]"}})
        );
    }

    #[test]
    fn a_note_says_what_how_often_and_by_what() {
        let redactor = Redactor::new(&["link".to_owned()]).unwrap();
        let mut counts = Counts::default();
        counts.item(|counts| redactor.text("http://a http://b", counts).into_owned());
        let replaced = redactor.replaced(&counts);
        assert_eq!(
            note("Replaced in", &replaced, 1, "rows").unwrap(),
            "Replaced in 1 rows: 2 links in 1 (detector `link`, version 1)."
        );
        assert_eq!(note("Replaced in", &[], 1, "rows"), None);
    }
}
