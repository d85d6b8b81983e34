//! Detectors by regular expressions, some of them with a check of what was met.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use regex::Regex;

use super::checksum::{entropy, iban, luhn};
use super::{Detector, Level};

/// Bits a byte that a random key of sixteen characters has and words do not.
const ENTROPY_OF_A_SECRET: f64 = 3.5;

/// All that an audit counts with.
///
/// Fails only if one of their regular expressions cannot be compiled, which a test excludes.
pub fn detectors() -> Result<Vec<Box<dyn Detector>>, regex::Error> {
    PATTERNS.into_iter().map(compiled).collect()
}

/// All that a recipe can have replaced: what an audit counts, and numbers, most of which are nobody's.
pub fn replaceable() -> Result<Vec<Box<dyn Detector>>, regex::Error> {
    PATTERNS.into_iter().chain([NUMBER]).map(compiled).collect()
}

fn compiled(
    (name, placeholder, what, level, regex, check): Kind,
) -> Result<Box<dyn Detector>, regex::Error> {
    Ok(Box::new(Pattern {
        name,
        placeholder,
        what,
        level,
        regex: Regex::new(regex)?,
        check,
    }))
}

/// Name, what stands in its place, what it is in words, how grave, what it looks like, and what else must hold.
type Kind = (
    &'static str,
    &'static str,
    &'static str,
    Level,
    &'static str,
    Check,
);

/// Of orders, bookings, customers, and dates as well.
const NUMBER: Kind = (
    "number",
    "[number]",
    "numbers of four digits and more",
    Level::Note,
    r"(?<it>\p{Nd}(?:[ .,:/-]?\p{Nd}){3,})",
    |_, _, _| true,
);

const PATTERNS: [Kind; 10] = [
    (
        "email",
        "[email]",
        "e-mail addresses",
        Level::Warning,
        r"(?<it>[\p{L}\d._%+-]+@[\p{L}\d-]+(?:\.[\p{L}\d-]+)*\.\p{L}{2,})",
        |_, _, _| true,
    ),
    (
        "handle",
        "[handle]",
        "names of accounts",
        Level::Warning,
        r"(?:^|[^\w.@/+%-])(?<it>@\w{1,30})",
        |_, _, after| {
            !after.starts_with(['@', '.'])
                || after.len() == 1
                || after[1..].starts_with(char::is_whitespace)
        },
    ),
    (
        "link",
        "[link]",
        "links",
        Level::Warning,
        r"(?i)(?<it>https?://[^\s<>]+|\bwww\.[^\s<>]+\.[^\s<>]+)",
        |_, _, _| true,
    ),
    (
        "phone",
        "[phone]",
        "phone numbers",
        Level::Warning,
        r"(?<it>(?:\+|\b00)[1-9](?:[ ./()-]{0,2}\d){7,14}|(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4}|\b0\d{2,5}[ /-]\d{3,}(?:[ -]?\d{2,})*)",
        alone,
    ),
    (
        "iban",
        "[iban]",
        "IBANs",
        Level::Warning,
        r"\b(?<it>[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,3})?)\b",
        |it, _, _| some_beginning(it, iban),
    ),
    (
        "card",
        "[card]",
        "numbers of payment cards",
        Level::Warning,
        r"\b(?<it>[2-6]\d{3}(?:[ -]?\d){9,15})\b",
        |it, before, after| alone(it, before, after) && luhn(it),
    ),
    (
        "ipv4",
        "[ip]",
        "IPv4 addresses",
        Level::Warning,
        r"\b(?<it>\d{1,3}(?:\.\d{1,3}){3})\b",
        |it, before, after| {
            // Versions and numbered sections go on.
            let goes_on = after
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            !before.ends_with('.') && !goes_on && it.parse::<Ipv4Addr>().is_ok()
        },
    ),
    (
        "ipv6",
        "[ip]",
        "IPv6 addresses",
        Level::Warning,
        r"(?<it>[\da-fA-F]{1,4}(?:::?[\da-fA-F]{1,4}){2,7})",
        |it, before, after| {
            alone(it, before, after) && !after.starts_with(':') && it.parse::<Ipv6Addr>().is_ok()
        },
    ),
    (
        "secret-by-prefix",
        "[secret]",
        "keys that a service gave out",
        Level::Deny,
        r"(?x)(?<it>
            sk-[\w-]{20,} | AKIA[A-Z\d]{16} | gh[pousr]_[A-Za-z\d]{36,} | github_pat_\w{22,}
            | xox[abprs]-[\w-]{10,} | AIza[\w-]{35} | hf_[A-Za-z\d]{30,} | glpat-[\w-]{20,}
            | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}
            | -----BEGIN\x20[A-Z\x20]*PRIVATE\x20KEY-----
              (?: (?:\s|\\[nr])+ [A-Za-z-]+:\x20[^\n\\]* )*
              (?: (?:\s|\\[nr])+ [A-Za-z\d+/=]{16,} )*
              (?: (?: (?:\s|\\[nr])+ [A-Za-z\d+/=]+ )? (?:\s|\\[nr])* -----END\x20[A-Z\x20]*PRIVATE\x20KEY----- )? )",
        |_, before, _| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_'),
    ),
    (
        "secret-by-entropy",
        "[secret]",
        "random values that are called a key, secret, token or password",
        Level::Deny,
        r#"(?i)(?:key|secret|token|passw(?:or)?d|pwd)["']?\s*[:=]\s*["']?(?<it>[\w/+=.-]{16,})"#,
        |it, _, _| entropy(it) >= ENTROPY_OF_A_SECRET && it.contains(|c: char| c.is_ascii_digit()),
    ),
];

/// Not a part of a longer word or number, nor of one that is written in groups.
fn alone(_: &str, before: &str, after: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let separates = [' ', '-', '.'];
    let digit = |c: char| c.is_ascii_digit();
    let goes_on =
        |rest: Option<&str>, at: fn(&str) -> Option<char>| rest.and_then(at).is_some_and(digit);
    !before.ends_with(joins)
        && !after.starts_with(joins)
        && !goes_on(before.strip_suffix(separates), |rest| {
            rest.chars().next_back()
        })
        && !goes_on(after.strip_prefix(separates), |rest| rest.chars().next())
}

/// Whether `check` holds for `text` or for what is left without some of its last words: what follows a number in
/// capitals may look like a part of it.
fn some_beginning(text: &str, check: fn(&str) -> bool) -> bool {
    let ends = text.match_indices(' ').map(|(end, _)| end);
    ends.chain([text.len()]).any(|end| check(&text[..end]))
}

struct Pattern {
    name: &'static str,
    placeholder: &'static str,
    what: &'static str,
    level: Level,
    regex: Regex,
    check: Check,
}

/// Looks at what the group `it` met, and at what stands before and after it.
type Check = fn(&str, &str, &str) -> bool;

impl Detector for Pattern {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn what(&self) -> &'static str {
        self.what
    }

    fn level(&self) -> Level {
        self.level
    }

    fn placeholder(&self) -> &'static str {
        self.placeholder
    }

    fn look(&self, text: &str) -> Vec<Range<usize>> {
        let found = self.regex.captures_iter(text);
        found
            .filter_map(|captures| Some(captures.name("it")?.range()))
            .collect()
    }

    fn is_one(&self, found: &str, before: &str, after: &str) -> bool {
        (self.check)(found, before, after)
    }
}
