//! Where the sentences of a text end.

/// The text up to the end of its last full sentence, or `None` where no sentence ends.
pub(super) fn full_sentences(text: &str) -> Option<&str> {
    sentence_ends(text).last().map(|end| &text[..end])
}

/// The first `count` sentences of a text, and how many follow them; what follows the last end counts as one.
/// `None` where nothing follows them.
pub(super) fn first_sentences(text: &str, count: usize) -> Option<(&str, usize)> {
    let ends: Vec<usize> = sentence_ends(text).collect();
    let end = *ends.get(count.checked_sub(1)?)?;
    let rest = text[*ends.last()?..].trim();
    let more = ends.len() - count + usize::from(!rest.is_empty());
    (more > 0).then(|| (&text[..end], more))
}

/// The byte offsets just after each full sentence.
///
/// A sentence ends with `.`, `!`, `?` or `…` (or their full-width forms), any closing quotes and brackets
/// included, before white space or the end of the text. A full stop after a title or an initial ends
/// none, and neither does one after which the sentence goes on with a small letter (`"Stop!" said the fox`).
fn sentence_ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.char_indices()
        .filter(|&(at, mark)| is_end_mark(mark) && !(mark == '.' && is_abbreviation(&text[..at])))
        .filter_map(|(at, mark)| {
            let after = &text[at + mark.len_utf8()..];
            let rest = after.trim_start_matches(is_closing);
            ends_there(rest, mark).then(|| text.len() - rest.len())
        })
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

    #[test]
    fn the_first_sentences_are_cut_off_from_the_rest() {
        for (text, count, expected) in [
            ("One. Two. Three.", 2, Some(("One. Two.", 1))),
            ("One. Two. Thr", 2, Some(("One. Two.", 1))),
            ("One. Two. Three. Fo", 1, Some(("One.", 3))),
            ("One. Two.", 2, None),
            ("One. Two. ", 2, None),
            ("One.", 2, None),
            ("no end", 1, None),
            ("One. Two.", 0, None),
            (
                "\"Go!\" said the fox. Off it went.",
                1,
                Some(("\"Go!\" said the fox.", 1)),
            ),
        ] {
            assert_eq!(first_sentences(text, count), expected, "{text:?}, {count}");
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
