//! Makes text from teachers, data files and servers safe to show, and numbers pleasant to read.
//!
//! Foreign text is hostile: an escape sequence in an answer could retitle a terminal or overwrite a line, and a
//! bidirectional override could make a sentence read as its opposite. A terminal gets the text without such
//! characters ([`sanitize_terminal`]); the report shows them as what they are ([`reveal`]).

use std::borrow::Cow;
use std::time::Duration;

/// `text` without control codes and invisible formatting, except line breaks and tabs.
///
/// It looks at one character at a time, so a stream may be passed through it in any pieces. An escape sequence
/// loses its escape and leaves its letters behind, which is ugly on purpose: somebody put it there.
pub fn sanitize_terminal(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe) {
        Cow::Owned(text.chars().filter(|&c| !is_unsafe(c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Like [`sanitize_terminal`], with every run of white space turned into one space: for tables and status lines.
pub fn sanitize_line(text: &str) -> String {
    sanitize_terminal(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// `text` with control codes and invisible formatting made visible: `␛` for an escape, `⟨U+202E⟩` for an override.
pub fn reveal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            // A carriage return before a line feed is how another system ends lines, no trick.
            '\r' => {}
            '\u{7f}' => shown.push('\u{2421}'),
            '\0'..='\u{1f}' if is_unsafe(character) => {
                let picture = char::from_u32(0x2400 + u32::from(character));
                shown.push(picture.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ if is_unsafe(character) => {
                shown.extend(["⟨U+", &format!("{:04X}", u32::from(character)), "⟩"]);
            }
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// `json` with those characters as `\u` escapes, which mean the same: they can only be inside its strings.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_unsafe(character) {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character acts on what shows it instead of being shown.
///
/// Joiners (U+200C, U+200D) and variation selectors stay: emoji and several scripts are spelled with them.
fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{061c}' // Arabic letter mark
        | '\u{180e}' // Mongolian vowel separator
        | '\u{200b}' // zero width space
        | '\u{200e}'..='\u{200f}' // left-to-right and right-to-left marks
        | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
        | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates, deprecated formatting
        | '\u{feff}' // byte order mark
        | '\u{fff9}'..='\u{fffb}' // interlinear annotation
        | '\u{e0000}'..='\u{e007f}' => true, // tags
        _ => character.is_control(),
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size with a decimal prefix, two digits or so: `812 B`, `3.2 MB`, `98 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 would round to "1000 kB".
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        return format!("{bytes} B");
    }
    let decimals = usize::from(value < 9.95);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A rate or a count that is not whole: `3,412`, `58.3`, `0.42`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "not a number".to_owned();
    }
    let magnitude = value.abs();
    if magnitude >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(magnitude.round() as u64))
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A span of time with its two largest units: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_terminal_never_sees_a_control_code() {
        let hostile = "\x1b]0;owned\x07a\x1b[2Jb\r\u{9b}31mc\u{202e}d\u{200b}e\u{e0041}\tf\ng";
        assert_eq!(
            sanitize_terminal(hostile),
            "]0;owneda[2Jb31mcde\tf\ng",
            "only the acting characters go"
        );
        let plain = "naïve 👩‍👩‍👧 ok";
        assert!(matches!(sanitize_terminal(plain), Cow::Borrowed(text) if text == plain));
    }

    #[test]
    fn sanitizing_in_pieces_is_sanitizing_the_whole() {
        let hostile = "a\x1b[31mb\u{202e}c\x1b";
        let pieces: String = hostile
            .chars()
            .map(|c| sanitize_terminal(&c.to_string()).into_owned())
            .collect();
        assert_eq!(pieces, sanitize_terminal(hostile));
    }

    #[test]
    fn a_line_has_no_line_breaks() {
        assert_eq!(sanitize_line("  two\r\n\tlines\x07 "), "two lines");
    }

    #[test]
    fn the_report_shows_what_a_terminal_drops() {
        assert_eq!(
            reveal("a\x1b[1m\0b\u{202e}c\u{7f}\r\nd\u{85}"),
            "a␛[1m␀b⟨U+202E⟩c␡\nd⟨U+0085⟩"
        );
        assert!(matches!(reveal("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaped_json_means_the_same_and_acts_on_nothing() {
        let hostile = "a\u{7f}b\u{9b}31m \u{202e}\u{e0041} \x1b[1m\r\n \"naïve\" 👩‍👩‍👧";
        let value = serde_json::json!({ hostile: [hostile] });
        for json in [
            value.to_string(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            let escaped = escape_json(&json);
            assert!(!escaped.chars().any(is_unsafe), "{escaped}");
            let read: serde_json::Value = serde_json::from_str(&escaped).unwrap();
            assert_eq!(read, value);
        }
        assert!(matches!(
            escape_json("{\n  \"naïve\": 1\n}"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 999, 1000, 3_249_000, 91_728_000, 999_600, 12_000_000_000].map(size),
            [
                "0 B", "999 B", "1.0 kB", "3.2 MB", "92 MB", "1.0 MB", "12 GB"
            ]
        );
        assert_eq!(
            [0.4249, 58.26, 3411.6, -0.5, -1234.0, f64::NAN].map(number),
            ["0.42", "58.3", "3,412", "-0.50", "-1,234", "not a number"]
        );
        assert_eq!(
            [0.42, 12.3, 59.7, 200.0, 7500.0].map(|s| duration(Duration::from_secs_f64(s))),
            ["0.4 s", "12 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]
        );
    }
}
