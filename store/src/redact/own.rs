//! Placeholders of a recipe's own.

use std::collections::BTreeMap;

use super::{RedactError, Redactor};

/// The most characters of a placeholder. Everything that a detector meets without one of the characters that no
/// placeholder holds is longer, so that replacing it makes a text shorter and comes to an end.
const MOST_CHARACTERS: usize = 16;

/// A detector's own placeholder that stands in a text.
pub(super) struct Placed {
    /// Where it begins.
    pub at: usize,
    /// The place of the detector.
    pub detector: usize,
}

impl Placed {
    /// The same where the text from byte `from` on is written from byte `to` on.
    pub fn moved(&self, from: usize, to: usize) -> Self {
        Self {
            at: self.at - from + to,
            detector: self.detector,
        }
    }
}

impl Redactor {
    /// With other words in place of what detectors of these names meet; none for an empty text.
    ///
    /// They consist of letters, spaces, brackets, `*` and `#`, so that no detector meets anything for a placeholder's
    /// sake alone.
    pub fn with_placeholders(
        mut self,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<Self, RedactError> {
        if placeholders.is_empty() {
            return Ok(self);
        }
        let names: Vec<_> = self.detectors.iter().map(|one| one.name()).collect();
        let mut own = vec![None; names.len()];
        for (name, placeholder) in placeholders {
            let Some(place) = names.iter().position(|known| known == name) else {
                return Err(RedactError::NotReplaced {
                    name: name.clone(),
                    replaced: names,
                });
            };
            if let Some(reason) = mistake(placeholder) {
                return Err(RedactError::Placeholder {
                    name: name.clone(),
                    placeholder: placeholder.clone(),
                    reason,
                });
            }
            // The same words are the same redaction.
            if placeholder != self.detectors[place].placeholder() {
                own[place] = Some(placeholder.clone());
            }
        }
        if own.iter().any(Option::is_some) {
            self.own = own.into();
        }
        Ok(self)
    }

    /// What the recipe says instead of the placeholder of the detector at `place`.
    pub(super) fn own_placeholder(&self, place: usize) -> Option<&str> {
        self.own.get(place)?.as_deref()
    }

    /// `text` with the recipe's words for the placeholders that stand in it.
    pub(super) fn own_words(&self, text: &str, placed: &[Placed]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for Placed { at, detector } in placed {
            if let Some(own) = self.own_placeholder(*detector) {
                out.push_str(&text[done..*at]);
                out.push_str(own);
                done = at + self.detectors[*detector].placeholder().len();
            }
        }
        out.push_str(&text[done..]);
        out
    }
}

/// Why `placeholder` cannot be one.
fn mistake(placeholder: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_alphabetic() || " []()<>{}*#".contains(c);
    if !placeholder.chars().all(allowed) {
        return Some("it may hold letters, spaces, brackets, `*` and `#`, and nothing else");
    }
    (placeholder.chars().count() > MOST_CHARACTERS).then_some("it is longer than 16 characters")
}
