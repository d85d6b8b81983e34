//! Clarifications: what licence something really has, by a text that a person read.

use serde::{Deserialize, Serialize};

use super::{Area, Finding, Level};
use crate::record::Clarified;
use crate::review::{Signable, Signature};

/// What a recipe says of the licence of a model or of data, valid while the text that it rests on is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clarification {
    /// What it is about: the name of a teacher, or the source of prompts or of an import.
    pub of: String,
    /// The licence that it really has: a name or an SPDX expression.
    pub license: String,
    /// Where the text is that says so.
    pub text: String,
    /// The SHA-256 of the text that was read, in hex.
    pub sha256: String,
    /// The signature of the person who read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl Signable for Clarification {
    const KIND: &'static str = "clarification";

    fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }
}

impl Clarification {
    /// Whether it holds for a text of this digest, where there is one.
    pub fn holds(&self, found: Option<&str>) -> bool {
        found.is_some_and(|found| found.eq_ignore_ascii_case(&self.sha256))
    }

    /// What receipts and documents say of it.
    pub fn clarified(&self) -> Clarified {
        Clarified {
            license: self.license.clone(),
            reviewer: self
                .signature
                .as_ref()
                .map_or_else(String::new, Signature::signer),
            text: self.text.clone(),
            sha256: self.sha256.to_ascii_lowercase(),
        }
    }

    /// What there is to tell of it, if it does not hold for the text that was `found`.
    pub fn finding(&self, found: Option<&str>) -> Option<Finding> {
        if self.holds(found) {
            return None;
        }
        let (of, license, text) = (&self.of, &self.license, &self.text);
        let message = match found {
            Some(_) => format!(
                "the text `{text}` is another than the one by which the licence of `{of}` was clarified as `{license}`"
            ),
            None => format!(
                "the text `{text}` cannot be read, by which the licence of `{of}` was clarified as `{license}`"
            ),
        };
        let finding = Finding::new(Area::Licences, "clarification-stale", Level::Deny, message);
        let finding = finding.via(format!("`{of}`")).via(format!("text `{text}`"));
        Some(match found {
            Some(found) => finding.help(format!(
                "read the text again, and put its digest into the `[[clarification]]`: sha256 = \"{found}\""
            )),
            None => finding.help("put the text where the recipe looks for it; nothing is downloaded here"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clarification_holds_for_the_text_that_was_read() {
        let clarification = Clarification {
            of: "tiny".to_owned(),
            license: "mit".to_owned(),
            text: "LICENSE".to_owned(),
            sha256: "ab".repeat(32),
            signature: None,
        };
        assert_eq!(clarification.finding(Some(&"AB".repeat(32))), None);
        for found in [Some("cd".repeat(32)), None] {
            assert!(!clarification.holds(found.as_deref()));
            let finding = clarification.finding(found.as_deref()).unwrap();
            assert_eq!(
                (finding.code.as_str(), finding.level),
                ("licences::clarification-stale", Level::Deny)
            );
        }
    }
}
