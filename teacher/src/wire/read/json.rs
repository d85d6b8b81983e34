//! JSON from strangers: read with what is broken in harmless ways mended and noted.

use std::borrow::Cow;

use serde_json::Value;

use crate::wire::{Oddity, Usage};

/// More tokens than any context holds; a count above it is a mistake of the service.
const MOST_TOKENS: u64 = 100_000_000;

/// Reads `bytes`. What was mended is added to `oddities`.
///
/// Keep-alive whitespace around the value is no matter. Bytes that are not UTF-8 become replacement characters; `NaN`
/// and `Infinity`, which servers in Python write, become `null` and the greatest number, as do numbers beyond it.
/// Values nested deeper than 128 are refused by the parser rather than read by recursion.
pub(in crate::wire) fn parse(
    bytes: &[u8],
    oddities: &mut Vec<Oddity>,
) -> Result<Value, serde_json::Error> {
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, Cow::Owned(_)) {
        note(oddities, Oddity::InvalidUtf8);
    }
    let text = text.trim_start_matches('\u{feff}');
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let Some(mended) = mend_numbers(text) else {
        return Err(error);
    };
    let value = serde_json::from_str(&mended).map_err(|_| error)?;
    note(oddities, Oddity::InvalidNumbers);
    Ok(value)
}

/// What `body`, which is not the JSON that it should be, is instead.
pub(in crate::wire) fn describe(body: &[u8], error: &serde_json::Error) -> String {
    let body = body.trim_ascii();
    let start = body[..body.len().min(100)].to_ascii_lowercase();
    if body.is_empty() {
        "the response is empty".to_owned()
    } else if start.starts_with(b"<!doctype html") || start.starts_with(b"<html") {
        match html_title(body) {
            Some(title) => format!("the response is an HTML page: {title}"),
            None => "the response is an HTML page".to_owned(),
        }
    } else if error.is_eof() {
        format!("the response is JSON cut short after {} bytes", body.len())
    } else {
        // The parser's words hold places in the response but nothing of its text.
        format!("the response is not JSON ({error})")
    }
}

fn html_title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    // Only ASCII changes, so places in one are places in the other.
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let length = lower[start..].find("</title>")?;
    let title = text[start..start + length].trim();
    (!title.is_empty()).then(|| title.chars().take(100).collect())
}

/// Adds an oddity that is not there yet.
pub(super) fn note(oddities: &mut Vec<Oddity>, oddity: Oddity) {
    if !oddities.contains(&oddity) {
        oddities.push(oddity);
    }
}

/// The text with numbers that JSON or `f64` does not know replaced; `None` if there are none.
fn mend_numbers(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut mended = false;
    let mut rest = text;
    while !rest.is_empty() {
        let end = match rest.as_bytes()[0] {
            b'"' => string_end(rest),
            byte if is_of_number(byte) => {
                let end = rest.find(|c: char| !c.is_ascii() || !is_of_number(c as u8));
                end.unwrap_or(rest.len())
            }
            // Everything up to the next string, number or word.
            _ => {
                let next = rest.find(|c: char| c == '"' || (c.is_ascii() && is_of_number(c as u8)));
                next.unwrap_or(rest.len())
            }
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        let replacement = match word {
            "NaN" => Some("null"),
            "Infinity" => Some("1e308"),
            "-Infinity" => Some("-1e308"),
            _ => match word.parse::<f64>() {
                Ok(number) if number == f64::INFINITY => Some("1e308"),
                Ok(number) if number == f64::NEG_INFINITY => Some("-1e308"),
                _ => None,
            },
        };
        mended |= replacement.is_some();
        out.push_str(replacement.unwrap_or(word));
    }
    mended.then_some(out)
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

/// Where the string that `text` begins with ends, its quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// The text in `value[key]`, if there is any.
pub(in crate::wire) fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// The text in `value[key]` if it is not empty.
pub(super) fn owned_text(value: &Value, key: &str) -> Option<String> {
    text(value, key)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The count of tokens in `value[key]`. One that cannot be true is noted and not believed.
pub(super) fn count(value: &Value, key: &str, oddities: &mut Vec<Oddity>) -> Option<u64> {
    let found = value.get(key).filter(|found| !found.is_null())?;
    let whole = found.as_u64().or_else(|| {
        let number = found.as_f64()?;
        (number.fract() == 0.0 && number >= 0.0).then_some(number as u64)
    });
    let believed = whole.filter(|count| *count <= MOST_TOKENS);
    if believed.is_none() {
        let value: String = found.to_string().chars().take(40).collect();
        let field = key.to_owned();
        note(oddities, Oddity::Usage { field, value });
    }
    believed
}

impl Usage {
    /// Takes over every count that `newer` has.
    pub(super) fn update(&mut self, newer: Self) {
        self.input = newer.input.or(self.input);
        self.cached = newer.cached.or(self.cached);
        self.cache_written = newer.cache_written.or(self.cache_written);
        self.output = newer.output.or(self.output);
        self.reasoning = newer.reasoning.or(self.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Value, Vec<Oddity>) {
        let mut oddities = Vec::new();
        let value = parse(text.as_bytes(), &mut oddities).unwrap();
        (value, oddities)
    }

    #[test]
    fn numbers_that_json_does_not_know_are_mended_outside_of_text() {
        let (value, oddities) =
            read(r#"{"a":NaN,"b":[-Infinity,1],"c":"NaN \" Infinity","d":1e999,"é":-1E+400}"#);
        assert_eq!(
            value,
            json!({"a": null, "b": [-1e308, 1], "c": "NaN \" Infinity", "d": 1e308, "é": -1e308})
        );
        assert_eq!(oddities, [Oddity::InvalidNumbers]);
        assert_eq!(read("\n\n \u{feff} {}".trim_start()).1, []);
    }

    #[test]
    fn broken_text_is_noted_and_deep_nesting_is_refused() {
        let mut oddities = Vec::new();
        let value = parse(b"\"a\xff\xfeb\"", &mut oddities).unwrap();
        assert_eq!(value, json!("a\u{fffd}\u{fffd}b"));
        assert_eq!(oddities, [Oddity::InvalidUtf8]);
        assert!(parse("[".repeat(100_000).as_bytes(), &mut oddities).is_err());
        assert!(parse(b"{\"a\": 1", &mut oddities).unwrap_err().is_eof());
    }

    #[test]
    fn counts_that_cannot_be_true_are_noted() {
        let value = json!({"a": 7, "b": 7.0, "c": -1, "d": 7.5, "e": "7", "f": 1e30, "g": null});
        let mut oddities = Vec::new();
        let counts: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
            .map(|key| count(&value, key, &mut oddities))
            .to_vec();
        assert_eq!(counts[..2], [Some(7), Some(7)]);
        assert!(counts[2..].iter().all(Option::is_none));
        assert_eq!(oddities.len(), 4);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes, &mut Vec::new()));
        }

        #[test]
        fn almost_json_is_a_value_or_an_error(text in r#"[\[\]{}",:NaInfity0-9eE.\\ é-]{0,60}"#) {
            drop(parse(text.as_bytes(), &mut Vec::new()));
        }
    }
}
