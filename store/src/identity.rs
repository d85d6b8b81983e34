//! Content addresses: the SHA-256 of a JSON value written in one canonical way.
//!
//! An id must be the same for ever, on every machine and for every version of the libraries below us,
//! because it decides whether an answer that was paid for is found again. So object keys are sorted by
//! their bytes, no whitespace is written, and fractions are hashed as decimal text (see [`decimal`])
//! rather than left to a number formatter.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The lower-case hex SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The content address of a value: the lower-case hex SHA-256 of its canonical JSON.
pub fn content_id(value: &Value) -> String {
    sha256_hex(canonical_json(value).as_bytes())
}

/// Writes `value` with the keys of every object sorted by their bytes and without whitespace.
///
/// Callers that need an id for ever should turn fractions into text with [`decimal`] first; a fraction
/// that is left as a number is written as `serde_json` writes it.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

/// The shortest decimal text that reads back as the same `f32`, never in exponent form; `-0` is `0`.
pub fn decimal(number: f32) -> String {
    if number == 0.0 {
        "0".to_owned()
    } else {
        number.to_string()
    }
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(value, out);
            }
            out.push(']');
        }
        Value::String(text) => write_string(text, out),
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{number}");
        }
    }
}

/// Only what JSON requires is escaped, as in RFC 8785, so that the bytes do not depend on a library's taste.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // All that is escaped is one byte long and no part of a longer character.
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    while let Some(place) = rest.bytes().position(is_escaped) {
        out.push_str(&rest[..place]);
        match rest.as_bytes()[place] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            0x0c => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            control => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[place + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_order_in_lists_is_kept() {
        let value = json!({"b": [2, 1, {"z": null, "a": true}], "a": "x"});
        assert_eq!(
            canonical_json(&value),
            r#"{"a":"x","b":[2,1,{"a":true,"z":null}]}"#
        );
    }

    #[test]
    fn canonical_json_reads_back_as_the_same_value() {
        let value = json!({"text": "quote \" slash \\ \u{1} \u{8} \n \t 😀 é", "n": [-3, 18_446_744_073_709_551_615_u64]});
        let read: Value = serde_json::from_str(&canonical_json(&value)).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn decimals_are_short_and_read_back() {
        let cases = [
            (0.7, "0.7"),
            (1.0, "1"),
            (-0.0, "0"),
            (0.95, "0.95"),
            (1e-7, "0.0000001"),
            (1e10, "10000000000"),
        ];
        for (number, text) in cases {
            assert_eq!(decimal(number), text);
            assert_eq!(text.parse::<f32>().unwrap(), number);
        }
    }

    #[test]
    fn the_hash_is_sha256() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
