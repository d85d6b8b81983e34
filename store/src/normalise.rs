//! One spelling for texts that a reader would call the same.

use unicode_normalization::UnicodeNormalization;

/// The key by which near duplicates meet: Unicode NFKC, lower case, apostrophes removed, and every other
/// run of punctuation, control characters and white space squeezed to one space.
///
/// Letters, digits, symbols and emoji stay. A text of nothing but punctuation keeps it, so that `?!` and
/// `...` do not become the same empty text.
pub fn normalise(text: &str) -> String {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let mut out = String::with_capacity(folded.len());
    let mut gap = false;
    for character in folded.chars() {
        if matches!(character, '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}') {
            continue;
        }
        if is_separator(character) {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push(' ');
        }
        gap = false;
        out.push(character);
    }
    if out.is_empty() {
        return folded.trim().to_owned();
    }
    // What stood around an apostrophe may compose, or change places, now that it is gone.
    out.nfkc().collect()
}

/// Word boundaries and marks that do not tell one message from another.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || character.is_ascii_punctuation()
        || matches!(character,
            '¡' | '§' | '«' | '¶' | '·' | '»' | '¿'
            | '\u{ad}'                    // soft hyphen
            | '\u{2000}'..='\u{206f}'     // general punctuation: dashes, quotes, ellipsis, joiners
            | '\u{2e00}'..='\u{2e7f}'     // supplemental punctuation
            | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}'
            | '\u{fe00}'..='\u{fe0f}'     // variation selectors: the same emoji, drawn otherwise
            | '\u{feff}' | '\u{fffd}'     // byte order mark, what is left of a broken byte
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn near_duplicates_meet() {
        let cases = [
            ("  Don't   WORRY, be happy!! ", "dont worry be happy"),
            ("don’t worry — be happy…", "dont worry be happy"),
            ("ﬁne ①", "fine 1"),
            ("Great 😀\u{fe0f}", "great 😀"),
            ("@united #fail", "united fail"),
            ("STRASSE straße", "strasse straße"),
            ("İstanbul", "i\u{307}stanbul"),
            ("日本語。テスト", "日本語 テスト"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text), expected, "{text}");
        }
    }

    #[test]
    fn bare_punctuation_is_kept_apart() {
        assert_eq!(normalise(" ?! "), "?!");
        assert_ne!(normalise("?!"), normalise("..."));
        assert_eq!(normalise(" \n"), "");
        assert_ne!(normalise("😀"), normalise("😡"));
    }

    #[test]
    fn what_an_apostrophe_parted_is_put_in_order() {
        let once = normalise("\u{11366}'\u{16af0}");
        assert_eq!(once, "\u{16af0}\u{11366}");
        assert_eq!(normalise(&once), once);
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
