//! The checks that a recipe may name, with their settings.

use serde::{Deserialize, Serialize};

/// One check of a recipe, as `[[curate.check]]` with its `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// How sure the teacher was: of an item's label, the probability of the likeliest choice after prior
    /// correction and merging; of a text, the geometric mean of its tokens' probabilities.
    Confidence {
        /// The least value kept, from 0 to 1.
        at_least: f64,
    },
    /// Whether samples and phrasings of one item say the same: the share of them that give the commonest
    /// answer. Where that share suffices, texts that differ from the commonest are dropped all the same.
    Agreement {
        /// The least share kept, from 0 to 1.
        at_least: f64,
    },
    /// A band of lengths for the answer, ends included.
    Length {
        /// The fewest characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_characters: Option<usize>,
        /// The most characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_characters: Option<usize>,
        /// The fewest tokens, as the teacher counted them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_tokens: Option<u32>,
        /// The most tokens, as the teacher counted them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_tokens: Option<u32>,
    },
    /// Rows that would teach the same thing twice; the first is kept. Texts are duplicates when input and
    /// answer are the same, labels when input, phrasing and sample number are.
    Duplicates {
        /// Compare [normalised](crate::normalise()) texts rather than exact ones.
        #[serde(default)]
        normalised: bool,
    },
    /// Inputs that occur in an evaluation suite: the same once [normalised](crate::normalise()), or sharing
    /// any eight words in a row with one.
    EvaluationOverlap {},
    /// Answers that were cut off at the most tokens allowed.
    Finished {
        /// Cut them back to their last full sentence, and drop only those that have none.
        #[serde(default)]
        repair: bool,
    },
    /// Texts that go on after the sentences that were asked for: they are cut back to the first of them. None
    /// is dropped.
    Sentences {
        /// The most sentences.
        at_most: usize,
    },
}

/// A check whose settings make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheck {
    /// A share or probability outside 0 to 1.
    #[error("`at_least` of the check `{check}` is {found}, expected a number from 0 to 1")]
    AtLeast {
        /// The check's kind.
        check: &'static str,
        /// What was given.
        found: String,
    },
    /// A length check without any bound.
    #[error(
        "the check `length` has no bound, expected at least one of `min_characters`, `max_characters`, `min_tokens`, `max_tokens`"
    )]
    NoBound,
    /// No sentence at all.
    #[error("`at_most` of the check `sentences` is 0, expected 1 or more")]
    NoSentence,
    /// A lower bound above the upper one.
    #[error("the check `length` has a least of {min} {unit} and a most of {max}")]
    EmptyBand {
        /// `characters` or `tokens`.
        unit: &'static str,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
}

impl Check {
    /// The check's `kind` in a recipe, and its name in verdicts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Confidence { .. } => "confidence",
            Self::Agreement { .. } => "agreement",
            Self::Length { .. } => "length",
            Self::Duplicates { .. } => "duplicates",
            Self::EvaluationOverlap {} => "evaluation-overlap",
            Self::Finished { .. } => "finished",
            Self::Sentences { .. } => "sentences",
        }
    }

    /// Whether it may shorten an answer. Such checks look at nothing but the answer itself.
    pub fn repairs(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Sentences { .. })
    }

    /// Finds settings under which the check would drop everything or nothing by mistake.
    pub fn validate(&self) -> Result<(), InvalidCheck> {
        match *self {
            Self::Confidence { at_least } | Self::Agreement { at_least } => {
                if (0.0..=1.0).contains(&at_least) {
                    return Ok(());
                }
                Err(InvalidCheck::AtLeast {
                    check: self.name(),
                    found: at_least.to_string(),
                })
            }
            Self::Length {
                min_characters,
                max_characters,
                min_tokens,
                max_tokens,
            } => {
                let tokens = (
                    min_tokens.map(|n| n as usize),
                    max_tokens.map(|n| n as usize),
                );
                let bands = [
                    ("characters", (min_characters, max_characters)),
                    ("tokens", tokens),
                ];
                if bands.iter().all(|(_, band)| *band == (None, None)) {
                    return Err(InvalidCheck::NoBound);
                }
                for (unit, band) in bands {
                    if let (Some(min), Some(max)) = band
                        && min > max
                    {
                        return Err(InvalidCheck::EmptyBand { unit, min, max });
                    }
                }
                Ok(())
            }
            Self::Sentences { at_most: 0 } => Err(InvalidCheck::NoSentence),
            Self::Duplicates { .. }
            | Self::EvaluationOverlap {}
            | Self::Finished { .. }
            | Self::Sentences { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Check, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_is_read_by_its_name() {
        let cases = [
            r#"{"kind":"confidence","at_least":0.6}"#,
            r#"{"kind":"agreement","at_least":0.5}"#,
            r#"{"kind":"length","min_characters":3,"max_tokens":160}"#,
            r#"{"kind":"duplicates","normalised":true}"#,
            r#"{"kind":"evaluation-overlap"}"#,
            r#"{"kind":"finished","repair":true}"#,
            r#"{"kind":"sentences","at_most":4}"#,
        ];
        for json in cases {
            let read = check(json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert!(json.contains(read.name()));
            assert_eq!(read.validate(), Ok(()));
        }
    }

    #[test]
    fn unknown_keys_are_errors_in_every_kind() {
        for json in [
            r#"{"kind":"confidence","at_least":0.6,"extra":1}"#,
            r#"{"kind":"evaluation-overlap","extra":1}"#,
            r#"{"kind":"finished","extra":1}"#,
        ] {
            assert!(check(json).unwrap_err().contains("extra"), "{json}");
        }
        assert!(check(r#"{"kind":"vibes"}"#).unwrap_err().contains("vibes"));
    }

    #[test]
    fn senseless_settings_are_named() {
        for (json, expected) in [
            (r#"{"kind":"confidence","at_least":60}"#, "is 60, expected"),
            (r#"{"kind":"agreement","at_least":-1}"#, "is -1, expected"),
            (r#"{"kind":"length"}"#, "no bound"),
            (r#"{"kind":"sentences","at_most":0}"#, "expected 1 or more"),
            (
                r#"{"kind":"length","min_tokens":9,"max_tokens":3}"#,
                "least of 9 tokens and a most of 3",
            ),
        ] {
            let message = check(json).unwrap().validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
