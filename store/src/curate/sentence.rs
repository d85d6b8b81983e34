//! Where a text that was cut off has its last full sentence.

/// The text up to the end of its last full sentence, or `None` where no sentence ends.
///
/// A sentence ends with `.`, `!`, `?` or `…` (or their full-width forms), any closing quotes and brackets
/// included, before white space or the end of the text. A full stop after a title or an initial ends
/// none, and neither does one after which the sentence goes on with a small letter (`"Stop!" said the fox`).
pub(super) fn full_sentences(text: &str) -> Option<&str> {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    for index in (0..characters.len()).rev() {
        let (at, mark) = characters[index];
        if !is_end_mark(mark) || (mark == '.' && is_abbreviation(&text[..at])) {
            continue;
        }
        let mut end = index + 1;
        while end < characters.len() && is_closing(characters[end].1) {
            end += 1;
        }
        let byte_end = characters.get(end).map_or(text.len(), |(at, _)| *at);
        if ends_there(&text[byte_end..], mark) {
            return Some(&text[..byte_end]);
        }
    }
    None
}

fn is_end_mark(character: char) -> bool {
    matches!(character, '.' | '!' | '?' | '…' | '。' | '！' | '？')
}

fn is_closing(character: char) -> bool {
    matches!(
        character,
        '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '*' | '_' | '」' | '』' | '）'
    )
}

/// Whether the sentence is over, given what follows its mark and closing quotes.
fn ends_there(rest: &str, mark: char) -> bool {
    // Scripts that use the full-width marks put no space after them.
    if matches!(mark, '。' | '！' | '？') {
        return true;
    }
    let next = rest.trim_start();
    rest.is_empty()
        || (next.len() < rest.len() && !next.starts_with(|first: char| first.is_lowercase()))
}

/// Whether a full stop after `before` belongs to a title, an initial or a usual abbreviation.
fn is_abbreviation(before: &str) -> bool {
    let word = before
        .rsplit(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
    initial
        || matches!(
            word.to_lowercase().as_str(),
            "mr" | "mrs" | "ms" | "dr" | "prof" | "st" | "vs"
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_full_sentence_is_found() {
        let cases = [
            ("One. Two. Thr", Some("One. Two.")),
            ("One. Two.", Some("One. Two.")),
            ("One! Two? ", Some("One! Two?")),
            ("She said \"Go.\" Then", Some("She said \"Go.\"")),
            ("\"Go!\" said the fox and", None),
            ("It was late. \"Go!\" said the fox", Some("It was late.")),
            ("He met Mr. Fo", None),
            ("He left. Then Mr. Fox and J. P. Wol", Some("He left.")),
            ("So am I. And th", Some("So am I.")),
            ("It cost 3.50 dollars", None),
            ("Then… nothing. And", Some("Then… nothing.")),
            ("終わり。まだ", Some("終わり。")),
            ("(All was well.) The", Some("(All was well.)")),
            ("no end", None),
            ("", None),
            ("...", Some("...")),
        ];
        for (text, expected) in cases {
            assert_eq!(full_sentences(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_result_is_a_prefix_and_final(text in "[a-zA-Z .!?\"…\\n]{0,60}") {
            if let Some(whole) = full_sentences(&text) {
                prop_assert!(text.starts_with(whole));
                prop_assert_eq!(full_sentences(whole), Some(whole));
            }
        }
    }
}
