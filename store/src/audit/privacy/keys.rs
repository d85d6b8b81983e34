//! Keys that services give out, by what they begin with.
//!
//! One regular expression for all of them would repeat classes of all letters of Unicode over a hundred times: it takes
//! 26 MB to compile and 12 MB to keep, and every run that replaces something would hold that.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What stands at the beginning of each, by which the rest is told.
const BEGINNING: &str =
    "sk-|AKIA|gh[pousr]_|github_pat_|xox[abprs]-|AIza|hf_|glpat-|eyJ|-----BEGIN ";

/// A private key between its marks, or as much of it as is there.
const PRIVATE_KEY: &str = r"(?x)\A
    -----BEGIN\x20[A-Z\x20]*PRIVATE\x20KEY-----
    (?: (?:\s|\\[nr])+ [A-Za-z-]+:\x20[^\n\\]* )*
    (?: (?:\s|\\[nr])+ [A-Za-z\d+/=]{16,} )*
    (?: (?: (?:\s|\\[nr])+ [A-Za-z\d+/=]+ )? (?:\s|\\[nr])* -----END\x20[A-Z\x20]*PRIVATE\x20KEY----- )?";

/// Runs of characters of one class, at the beginning of a text.
#[derive(Clone, Copy)]
enum Run {
    /// Letters, digits and `_`.
    Word,
    /// The same and `-`.
    WordOrDash,
    /// Latin letters without accents, and digits.
    Latin,
    /// The capitals among them, and digits.
    Capitals,
}

/// Finds them.
pub(super) struct Keys {
    beginning: Regex,
    runs: [Regex; 4],
    private_key: LazyLock<Result<Regex, regex::Error>>,
}

impl Keys {
    pub(super) fn new() -> Result<Self, regex::Error> {
        let run = |class| Regex::new(&format!(r"\A{class}*"));
        Ok(Self {
            beginning: Regex::new(BEGINNING)?,
            runs: [
                run(r"\w")?,
                run(r"[\w-]")?,
                run(r"[A-Za-z\d]")?,
                run(r"[A-Z\d]")?,
            ],
            // Few texts hold one.
            private_key: LazyLock::new(|| Regex::new(PRIVATE_KEY)),
        })
    }

    /// Where they stand, from left to right and without overlap.
    pub(super) fn look(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(beginning) = self.beginning.find_at(text, from) {
            let rest = &text[beginning.start()..];
            from = match self.end(rest, beginning.as_str()) {
                Some(length) => {
                    found.push(beginning.start()..beginning.start() + length);
                    beginning.start() + length
                }
                // The first of its bytes is a character of its own.
                None => beginning.start() + 1,
            };
        }
        found
    }

    /// How long the key is that `text` begins with, if it is one.
    fn end(&self, text: &str, beginning: &str) -> Option<usize> {
        let rest = &text[beginning.len()..];
        let length = match beginning.as_bytes() {
            b"sk-" => self.at_least(20, Run::WordOrDash, rest)?,
            b"AKIA" => self.first(16, Run::Capitals, rest)?,
            b"github_pat_" => self.at_least(22, Run::Word, rest)?,
            b"AIza" => self.first(35, Run::WordOrDash, rest)?,
            b"hf_" => self.at_least(30, Run::Latin, rest)?,
            b"glpat-" => self.at_least(20, Run::WordOrDash, rest)?,
            b"eyJ" => self.token(rest)?,
            b"-----BEGIN " => {
                let regex = self.private_key.as_ref().ok()?;
                return Some(regex.find(text)?.end());
            }
            [b'g', ..] => self.at_least(36, Run::Latin, rest)?,
            // `xoxb-` and its like.
            _ => self.at_least(10, Run::WordOrDash, rest)?,
        };
        Some(beginning.len() + length)
    }

    /// The length of the run of a class that `text` begins with, if it has so many characters.
    fn at_least(&self, least: usize, class: Run, text: &str) -> Option<usize> {
        let run = self.runs[class as usize].find(text)?.as_str();
        run.chars().nth(least.checked_sub(1)?)?;
        Some(run.len())
    }

    /// The length of so many characters of a class at the beginning of `text`.
    fn first(&self, count: usize, class: Run, text: &str) -> Option<usize> {
        let run = &text[..self.at_least(count, class, text)?];
        Some(
            run.char_indices()
                .nth(count)
                .map_or(run.len(), |(at, _)| at),
        )
    }

    /// What follows `eyJ` in a JSON Web Token: the rest of its head, its claims, its signature.
    fn token(&self, text: &str) -> Option<usize> {
        let part = |from: usize| {
            let length = self.at_least(10, Run::WordOrDash, &text[from..])?;
            Some(from + length)
        };
        let head = part(0)?;
        text[head..].strip_prefix(".eyJ")?;
        let claims = part(head + ".eyJ".len())?;
        text[claims..].strip_prefix('.')?;
        part(claims + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All of it as one regular expression, which is what the parts must come to.
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
        let whole = r"(?x)(?<it>
            sk-[\w-]{20,} | AKIA[A-Z\d]{16} | gh[pousr]_[A-Za-z\d]{36,} | github_pat_\w{22,}
            | xox[abprs]-[\w-]{10,} | AIza[\w-]{35} | hf_[A-Za-z\d]{30,} | glpat-[\w-]{20,}
            | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}
            | -----BEGIN\x20[A-Z\x20]*PRIVATE\x20KEY-----
              (?: (?:\s|\\[nr])+ [A-Za-z-]+:\x20[^\n\\]* )*
              (?: (?:\s|\\[nr])+ [A-Za-z\d+/=]{16,} )*
              (?: (?: (?:\s|\\[nr])+ [A-Za-z\d+/=]+ )? (?:\s|\\[nr])* -----END\x20[A-Z\x20]*PRIVATE\x20KEY----- )? )";
        Regex::new(whole).unwrap()
    });
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new().unwrap());

    fn piece() -> impl Strategy<Value = String> {
        let beginning = prop::sample::select(vec![
            "sk-",
            "AKIA",
            "ghp_",
            "ghx_",
            "github_pat_",
            "xoxb-",
            "xoxz-",
            "AIza",
            "hf_",
            "glpat-",
            "eyJ",
            ".eyJ",
            ".",
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----BEGIN ",
            "\n",
            "\\n",
            "-----END RSA PRIVATE KEY-----",
            "Proc-Type: 4,ENCRYPTED",
            " ",
        ]);
        prop_oneof![
            2 => beginning.prop_map(str::to_owned),
            2 => "[A-Z0-9]{8,20}",
            2 => "[A-Za-z0-9_-]{8,40}",
            1 => "[A-Za-z0-9+/=]{14,64}",
            1 => "[aé٣_-]{1,24}",
            1 => ".{0,3}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn they_are_found_where_one_expression_for_all_finds_them(
            pieces in prop::collection::vec(piece(), 0..10),
        ) {
            let text = pieces.concat();
            let whole: Vec<Range<usize>> = WHOLE.find_iter(&text).map(|found| found.range()).collect();
            prop_assert_eq!(KEYS.look(&text), whole, "{}", text);
        }
    }

    #[test]
    fn the_expression_of_private_keys_can_be_compiled() {
        assert!(KEYS.private_key.is_ok());
    }
}
