//! What is kept of a service's words: one short line, without what looks like a key.
//!
//! Services put keys into their messages ("Incorrect API key provided: sk-…"), some in part and some whole.

/// What stands in place of a key.
pub(super) const HIDDEN: &str = "[hidden]";

/// The most characters that are kept.
const LONGEST: usize = 400;

/// How the keys of services begin.
const KEY_STARTS: [&str; 13] = [
    "sk-", "sk_", "xai-", "gsk_", "AIza", "AQ.", "fw_", "tgp_", "hf_", "pk-", "eyJ", "ya29.",
    "key-",
];

/// The message in one line without control characters, and with what looks like a key hidden.
pub(in crate::wire) fn tidy(message: &str) -> String {
    let mut out = String::new();
    let mut after_bearer = false;
    // Ten times what is kept is enough to look at.
    let head = message
        .char_indices()
        .nth(10 * LONGEST)
        .map_or(message, |(end, _)| &message[..end]);
    for word in head.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        if after_bearer {
            out.push_str(HIDDEN);
        } else {
            push_word(word, &mut out);
        }
        after_bearer = word
            .trim_start_matches(|c: char| !c.is_alphabetic())
            .eq_ignore_ascii_case("bearer");
    }
    match out.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", out[..end].trim_end()),
        None => out,
    }
}

/// Adds a word part by part: a key may stand in quotes, brackets or an address.
fn push_word(word: &str, out: &mut String) {
    let of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !of_key(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        out.push_str(if looks_like_key(part) { HIDDEN } else { part });
        let separator = after.chars().next().map_or(0, char::len_utf8);
        out.push_str(&after[..separator]);
        rest = &after[separator..];
    }
}

fn looks_like_key(part: &str) -> bool {
    let begins_like_one =
        KEY_STARTS.iter().any(|start| part.starts_with(start)) && part.len() >= 12;
    // Long random text, as the keys that begin in no certain way are.
    let bare = part.trim_end_matches('.');
    let random = bare.len() >= 32
        && bare.chars().all(|c| c.is_ascii_alphanumeric())
        && bare.chars().any(|c| c.is_ascii_digit())
        && bare.chars().any(|c| c.is_ascii_alphabetic());
    part.contains("***") || begins_like_one || random
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_hidden_however_they_stand() {
        for (message, expected) in [
            (
                "Incorrect API key provided: sk-proj-abcdef1234567. You can find it",
                "Incorrect API key provided: [hidden] You can find it",
            ),
            (
                "key 'sk-ab***************yz' is wrong",
                "key '[hidden]' is wrong",
            ),
            (
                "Authorization: Bearer abc\nnext",
                "Authorization: Bearer [hidden] next",
            ),
            ("?key=AIzaSyA1234567890&x=1", "?key=[hidden]&x=1"),
            (
                "0123456789abcdef0123456789abcdef is no key",
                "[hidden] is no key",
            ),
            (
                "The model `meta-llama/Llama-3.3-70B-Instruct-Turbo-Free` is gone",
                "The model `meta-llama/Llama-3.3-70B-Instruct-Turbo-Free` is gone",
            ),
            (
                "request req_011CQFa8xyz failed",
                "request req_011CQFa8xyz failed",
            ),
            ("a\u{1b}[31m red\r\n", "a [31m red"),
        ] {
            assert_eq!(tidy(message), expected);
        }
    }

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(tidy(&"é".repeat(1_000_000)).chars().count(), LONGEST + 1);
        assert_eq!(tidy(&"a b ".repeat(LONGEST)).chars().count(), LONGEST);
    }

    proptest! {
        #[test]
        fn any_message_is_one_short_line(message in "\\PC{0,300}|.{0,300}") {
            let tidied = tidy(&message);
            prop_assert!(!tidied.chars().any(char::is_control));
            prop_assert!(tidied.chars().count() <= LONGEST + 1);
        }
    }
}
