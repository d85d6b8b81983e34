//! Clauses: digests of the sentences that matter, so that a page may change around them.
//!
//! A record holds no text, only the length and the SHA-256 of each clause in one spelling. A clause is found again in
//! a text by trying every word as its beginning, so neither its place nor what is around it matters.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::identity::sha256_hex;

/// One clause of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Where it stands, as the text counts, such as `3.3(e)`.
    pub at: String,
    /// What it is about, in a few words of ours.
    pub about: String,
    /// Its length in bytes of UTF-8, in the spelling of [`normalise_clause`].
    pub bytes: usize,
    /// The hex SHA-256 of these bytes.
    pub sha256: String,
}

impl Clause {
    /// Whether it can be a digest of text at all.
    pub(super) fn is_well_formed(&self) -> bool {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        self.bytes > 0 && self.sha256.len() == 64 && self.sha256.chars().all(hex)
    }
}

/// The spelling in which clauses are compared. It never changes, since digests rest on it.
///
/// Unicode NFKC; the targets of Markdown links, the marks of Markdown, bullets and characters without width are left
/// out; quotation marks and dashes become their ASCII forms; lower case; every run of white space is one space.
pub fn normalise_clause(text: &str) -> String {
    let folded: String = text.nfkc().collect();
    let plain: String = without_link_targets(&folded)
        .chars()
        .filter_map(ascii_form)
        .flat_map(char::to_lowercase)
        // Once more: accents that a mark had kept apart now stand beside each other.
        .nfkc()
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `clause` stands in `normalised`, a text in the spelling of [`normalise_clause`].
pub fn holds(normalised: &str, clause: &Clause) -> bool {
    let after_spaces = normalised.match_indices(' ').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after_spaces).any(|start| {
        normalised
            .get(start..start + clause.bytes)
            .is_some_and(|window| sha256_hex(window.as_bytes()) == clause.sha256)
    })
}

/// Leaves out `(…)` after `]`.
fn without_link_targets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let (before, link) = rest.split_at(at + 1);
        out.push_str(before);
        let Some(end) = link.find(')') else {
            rest = link;
            break;
        };
        rest = &link[end + 1..];
    }
    out.push_str(rest);
    out
}

fn ascii_form(character: char) -> Option<char> {
    match character {
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '«' | '»' => Some('"'),
        '\u{2018}' | '\u{2019}' | '\u{201a}' => Some('\''),
        '\u{2010}'..='\u{2014}' | '\u{2212}' => Some('-'),
        // Without width, then bullets, then the marks of Markdown.
        '\u{200b}'..='\u{200d}'
        | '\u{2060}'
        | '\u{feff}'
        | '\u{ad}'
        | '\u{2022}'
        | '*'
        | '_'
        | '#'
        | '`'
        | '['
        | ']'
        | '\\'
        | '>'
        | '|' => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clause(text: &str) -> Clause {
        let text = normalise_clause(text);
        Clause {
            at: "1".to_owned(),
            about: "a test".to_owned(),
            bytes: text.len(),
            sha256: sha256_hex(text.as_bytes()),
        }
    }

    #[test]
    fn marks_links_quotes_and_line_breaks_do_not_matter() {
        let plain = r#"(e) "use" outputs of the service - or not"#;
        let marked = "*   (e) **“Use”** [Outputs](https://example.org/a_b) of\n> the\u{200b} service — or\tnot";
        assert_eq!(normalise_clause(marked), plain);
        assert_eq!(normalise_clause("an ](open link"), "an (open link");
    }

    #[test]
    fn a_clause_is_found_wherever_it_stands_and_not_where_a_word_differs() {
        let clause = clause("No one may train models.");
        let text = normalise_clause("Terms, newly set.\n\n7. No one may\n   train *models*. More.");
        assert!(holds(&text, &clause));
        let text = normalise_clause("Everyone may train models.");
        assert!(!holds(&text, &clause));
        assert!(!holds("", &clause));
    }

    #[test]
    fn a_mark_between_accents_does_not_keep_them_in_another_order() {
        let once = normalise_clause("\u{135d}*\u{10a39}");
        assert_eq!(normalise_clause(&once), once);
    }

    proptest! {
        #[test]
        fn any_clause_is_found_between_any_texts(before in ".{0,40}", words in "[a-zé“]{1,8}( [a-z]{1,8}){0,5}", after in ".{0,40}") {
            // What opens a link before the clause would take part of it away.
            prop_assume!(!before.contains(']') && !after.contains(['(', ')']));
            let text = normalise_clause(&format!("{before}\n{words} {after}"));
            prop_assert!(holds(&text, &clause(&words)));
        }

        #[test]
        fn the_spelling_is_its_own_spelling(text in "\\PC{0,60}") {
            prop_assume!(!text.contains(['(', '[', ']']));
            let once = normalise_clause(&text);
            prop_assert_eq!(normalise_clause(&once), once);
        }
    }
}
