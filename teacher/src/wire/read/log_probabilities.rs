//! Log-probabilities of tokens, in the shapes in which services tell them.
//!
//! `OpenAI`'s chats have a list of tokens each with its bytes and alternatives; its older completions, and the servers
//! that copied those, have a list for each property. A token is known by its bytes: where a service tells only its
//! text, and the text holds a replacement character, its bytes are lost, and so are all of the answer's.

use serde_json::Value;

use super::json::text;
use crate::wire::WireToken;

/// Below this, services mean "never": they write -9999 for what has no probability.
const IMPOSSIBLE: f64 = -9998.0;

/// Rounding puts a certain token a little above probability 1, but not by more than this.
const ROUNDING: f64 = 1e-3;

/// Reads the value of `logprobs`. An error says what is wrong.
pub(super) fn read(told: &Value) -> Result<Vec<WireToken>, &'static str> {
    if let Some(tokens) = told.get("content").and_then(Value::as_array) {
        return tokens.iter().map(read_token).collect();
    }
    if told.get("tokens").is_some_and(Value::is_array) {
        return read_lists(told);
    }
    Ok(Vec::new())
}

fn read_token(told: &Value) -> Result<WireToken, &'static str> {
    let alternatives = told.get("top_logprobs").and_then(Value::as_array);
    let top = alternatives
        .into_iter()
        .flatten()
        // An alternative whose bytes are not known says nothing; the token itself must be known.
        .filter_map(|told| {
            Some((
                bytes(told).ok()?,
                log_probability(told.get("logprob")).ok()?,
            ))
        })
        .collect();
    let token = token(bytes(told)?, log_probability(told.get("logprob"))?, top);
    check_part(told, &token)?;
    Ok(token)
}

/// llama.cpp holds tokens back until they make up whole characters, and then tells all their bytes with the id, the
/// log-probability and the alternatives of the last of them. That one is found among its alternatives by its id, or
/// shows by the likeliest of them being the inside of a character.
fn check_part(told: &Value, token: &WireToken) -> Result<(), &'static str> {
    let inside = |bytes: &[u8]| bytes.first().is_some_and(|byte| byte & 0xc0 == 0x80);
    let Some(id) = told.get("id").filter(|id| id.is_u64()) else {
        return Ok(());
    };
    let alternatives = told.get("top_logprobs").and_then(Value::as_array);
    let mut alternatives = alternatives.into_iter().flatten();
    let itself = alternatives.find(|told| told.get("id") == Some(id));
    let whole = match itself.map(bytes) {
        Some(Ok(bytes)) => bytes == token.bytes,
        _ => inside(&token.bytes) || token.top.first().is_none_or(|(first, _)| !inside(first)),
    };
    let lost = "those of the parts of a character are lost";
    whole.then_some(()).ok_or(lost)
}

fn read_lists(told: &Value) -> Result<Vec<WireToken>, &'static str> {
    let list = |key| told.get(key).and_then(Value::as_array);
    let tokens = list("tokens").map_or(&[][..], Vec::as_slice);
    let values = list("token_logprobs").map_or(&[][..], Vec::as_slice);
    let alternatives = list("top_logprobs").map_or(&[][..], Vec::as_slice);
    if tokens.len() != values.len() {
        return Err("there are not as many of them as tokens");
    }
    let read = |(index, (told, value)): (usize, (&Value, &Value))| {
        let bytes = bytes_of_text(told.as_str().ok_or("a token has no text")?)?;
        let top = match alternatives.get(index) {
            Some(Value::Object(alternatives)) => alternatives
                .iter()
                .filter_map(|(text, value)| {
                    Some((
                        bytes_of_text(text).ok()?,
                        log_probability(Some(value)).ok()?,
                    ))
                })
                .collect(),
            _ => Vec::new(),
        };
        Ok(token(bytes, log_probability(Some(value))?, top))
    };
    tokens.iter().zip(values).enumerate().map(read).collect()
}

/// A token with its alternatives in order, the likeliest first.
pub(super) fn token(
    bytes: Vec<u8>,
    log_probability: f32,
    mut top: Vec<(Vec<u8>, f32)>,
) -> WireToken {
    top.sort_by(|a, b| b.1.total_cmp(&a.1));
    WireToken {
        bytes,
        log_probability,
        top,
    }
}

/// A number that can be a log-probability.
pub(super) fn log_probability(value: Option<&Value>) -> Result<f32, &'static str> {
    let number = value
        .and_then(Value::as_f64)
        .ok_or("one is missing or no number")?;
    if number > ROUNDING {
        return Err("one is above 0");
    }
    if number < IMPOSSIBLE {
        return Ok(f32::NEG_INFINITY);
    }
    Ok(number.min(0.0) as f32)
}

/// The bytes of a token that is told as an object.
fn bytes(told: &Value) -> Result<Vec<u8>, &'static str> {
    if let Some(bytes) = told.get("bytes").and_then(Value::as_array) {
        let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
        let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
        return bytes.ok_or("a token's bytes are no bytes");
    }
    bytes_of_text(text(told, "token").ok_or("a token has no text")?)
}

/// The bytes of a token that is told as text alone; `OpenAI` writes `bytes:\xe2\x96` for those that are no text.
pub(super) fn bytes_of_text(text: &str) -> Result<Vec<u8>, &'static str> {
    if let Some(escaped) = text.strip_prefix("bytes:")
        && let Some(bytes) = unescape(escaped)
    {
        return Ok(bytes);
    }
    if text.contains('\u{fffd}') {
        return Err("the bytes of a token are lost");
    }
    Ok(text.as_bytes().to_vec())
}

/// Reads `\xe2a\x96`; `None` if it holds no such byte or a broken one.
fn unescape(escaped: &str) -> Option<Vec<u8>> {
    let mut parts = escaped.split("\\x");
    let mut bytes = parts.next()?.as_bytes().to_vec();
    let before = bytes.len();
    for part in parts {
        let code = part.get(..2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    (bytes.len() > before).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_come_by_their_bytes_and_alternatives_in_order() {
        let told = json!({"content": [{
            "token": "\\xe2\\x98", "logprob": -0.5, "bytes": [226, 152],
            "top_logprobs": [
                {"token": " no", "logprob": -2.0, "bytes": [32, 110, 111]},
                {"token": "yes", "logprob": -0.5, "bytes": null},
                {"token": "\u{fffd}", "logprob": -3.0, "bytes": null},
            ],
        }], "refusal": null});
        let tokens = read(&told).unwrap();
        assert_eq!(tokens[0].bytes, [226, 152]);
        let top = [(b"yes".to_vec(), -0.5), (b" no".to_vec(), -2.0)];
        assert_eq!(tokens[0].top, top);
    }

    #[test]
    fn lists_of_the_older_completions_are_the_same() {
        let told = json!({
            "tokens": [" a", "bytes:\\xe2\\x98b"], "token_logprobs": [-0.25, -9999.0],
            "top_logprobs": [{" b": -1.5, " a": -0.25}, null], "text_offset": [0, 2],
        });
        let tokens = read(&told).unwrap();
        assert_eq!(
            tokens[0].top,
            [(b" a".to_vec(), -0.25), (b" b".to_vec(), -1.5)]
        );
        assert_eq!(tokens[1].bytes, [0xe2, 0x98, b'b']);
        assert_eq!(tokens[1].log_probability, f32::NEG_INFINITY);
    }

    #[test]
    fn what_cannot_be_true_is_an_error() {
        let one = |logprob: Value, bytes: Value| {
            read(&json!({"content": [{"token": "a", "logprob": logprob, "bytes": bytes}]}))
        };
        assert!(one(json!(-0.5), json!([97])).is_ok());
        assert_eq!(
            one(json!(1e-6), Value::Null).unwrap()[0].log_probability,
            0.0
        );
        assert!(one(json!(0.5), Value::Null).is_err());
        assert!(one(Value::Null, Value::Null).is_err());
        assert!(one(json!(-0.5), json!([256])).is_err());
        assert!(one(json!(-0.5), json!(["a"])).is_err());
        assert!(read(&json!({"tokens": ["a", "b"], "token_logprobs": [-1.0]})).is_err());
        assert!(read(&json!({"tokens": ["\u{fffd}"], "token_logprobs": [-1.0]})).is_err());
        assert_eq!(read(&json!({"content": null})).unwrap(), []);
        // The last byte of a crab, with the bytes of the whole crab.
        let crab = |id: u32| {
            let top = json!([{"id": 218, "token": "\u{fffd}", "bytes": [128], "logprob": -0.1}]);
            read(&json!({"content": [{
                "id": id, "token": "🦀", "bytes": [240, 159, 166, 128], "logprob": -0.1, "top_logprobs": top,
            }]}))
        };
        assert!(crab(218).is_err() && crab(219).is_err());
        assert_eq!(bytes_of_text("bytes: of").unwrap(), b"bytes: of");
    }
}
