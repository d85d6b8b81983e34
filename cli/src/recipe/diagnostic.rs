//! A mistake with its place, shown the way rustc shows one.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Characters of a line that are shown; of a longer one, those around the mistake.
const SHOWN: usize = 100;

/// A mistake in a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The recipe.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line's text.
    text: String,
    /// How many characters the mistake spans on its line.
    width: usize,
}

impl Diagnostic {
    /// A mistake at the bytes `span` of `source`.
    pub fn new(path: &Path, source: &str, span: Range<usize>, message: String) -> Self {
        let start = floor_boundary(source, span.start);
        let end = floor_boundary(source, span.end.max(start));
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let text = source[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + text.len();
        let marked = start.min(line_end)..end.clamp(start.min(line_end), line_end);
        Self {
            path: path.to_owned(),
            line: source[..line_start].matches('\n').count() + 1,
            column: source[line_start..marked.start].chars().count() + 1,
            message,
            help: None,
            text: text.to_owned(),
            width: source[marked].chars().count().max(1),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// The part of the line to show, and the caret's place in it, counted from 0.
    fn excerpt(&self) -> (String, usize) {
        // A tab would be shown wider than the one character that the caret counts.
        let characters: Vec<char> = self
            .text
            .chars()
            .map(|c| if c == '\t' { ' ' } else { c })
            .collect();
        let caret = self.column - 1;
        if characters.len() <= SHOWN {
            return (characters.into_iter().collect(), caret);
        }
        let start = caret
            .saturating_sub(SHOWN / 3)
            .min(characters.len() - SHOWN);
        let end = (start + SHOWN).min(characters.len());
        let mut shown: String = characters[start..end].iter().collect();
        if end < characters.len() {
            shown.push('…');
        }
        if start == 0 {
            return (shown, caret);
        }
        (format!("…{shown}"), caret - start + 1)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, caret) = self.excerpt();
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let room = text.chars().count().saturating_sub(caret).max(1);
        let carets = "^".repeat(self.width.min(room));
        let path = self.path.display();
        writeln!(f, "{}", self.message)?;
        writeln!(f, "{gutter}--> {path}:{}:{}", self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{gutter} | {}{carets}", " ".repeat(caret))?;
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

fn floor_boundary(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(source: &str, mark: &str, expected: &Expect) {
        let start = source.find(mark).unwrap_or(source.len());
        let span = start..start + mark.len();
        let path = Path::new("recipe.toml");
        let diagnostic = Diagnostic::new(path, source, span, "this is wrong".to_owned());
        expected.assert_eq(&diagnostic.to_string());
    }

    #[test]
    fn the_caret_counts_characters() {
        check(
            "a = 1\nname = \"Łódź\" # ü\n",
            "# ü",
            &expect![[r#"
                this is wrong
                 --> recipe.toml:2:15
                  |
                2 | name = "Łódź" # ü
                  |               ^^^"#]],
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_mistake() {
        let source = format!(
            "a = \"{}\", wrong = \"{}\"",
            "x".repeat(200),
            "y".repeat(200)
        );
        check(
            &source,
            "wrong",
            &expect![[r#"
                this is wrong
                 --> recipe.toml:1:209
                  |
                1 | …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", wrong = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
                  |                                   ^^^^^"#]],
        );
    }

    #[test]
    fn a_mistake_of_several_lines_or_at_the_end_is_shown_where_it_begins() {
        check(
            "a = [\n1,\n2]\n",
            "[\n1,\n2]",
            &expect![[r"
                this is wrong
                 --> recipe.toml:1:5
                  |
                1 | a = [
                  |     ^"]],
        );
        check(
            "a = 1\n",
            "not there",
            &expect![[r"
                this is wrong
                 --> recipe.toml:2:1
                  |
                2 | 
                  | ^"]],
        );
    }
}
