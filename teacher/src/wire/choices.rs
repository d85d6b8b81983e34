//! Which of the given choices an answer over the network takes.
//!
//! A teacher in the process reads the probability of each choice whole. A service tells the likeliest tokens at the
//! place where the answer begins, at most twenty; where these tell the choices apart, the mass of those that begin a
//! choice stands for the choice, and where they do not, the answer is read as text and has no probabilities.

use super::{Failure, FailureKind, WireAnswer};

/// Tokens that begin several choices are ignored if all of them together are less likely than this, beside those
/// that begin one.
const NEGLIGIBLE: f64 = 0.01;

/// The choice that an answer takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its place among the choices.
    pub index: usize,
    /// With [`ChoiceMethod::FirstToken`], each choice's log-probability in nats, not normalised: the mass of the
    /// tokens told that begin it. Where none was told, the most that it can have been.
    pub log_probabilities: Option<Vec<f32>>,
    /// How it was found.
    pub method: ChoiceMethod,
}

/// How a choice was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChoiceMethod {
    /// By the likeliest tokens at the place where the answer begins.
    FirstToken,
    /// By the text of the answer, which is one of the choices but for case, quotes and what surrounds it.
    Text,
}

impl ChoiceMethod {
    /// A short stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstToken => "first-token",
            Self::Text => "text",
        }
    }
}

impl WireAnswer {
    /// Which of `choices` it takes.
    ///
    /// # Errors
    /// A [`Failure`] of kind [`Malformed`](FailureKind::Malformed) if it takes none; the same question would be
    /// answered in the same way, so asking again does not help.
    pub fn choose(&self, choices: &[String]) -> Result<Chosen, Failure> {
        let by_token = self.log_probabilities_of(choices).and_then(|found| {
            let best = (0..found.len())
                .rev()
                .max_by(|a, b| found[*a].total_cmp(&found[*b]))?;
            Some(Chosen {
                index: best,
                log_probabilities: Some(found),
                method: ChoiceMethod::FirstToken,
            })
        });
        let by_text = || {
            Some(Chosen {
                index: find_text(&self.text, choices)?,
                log_probabilities: None,
                method: ChoiceMethod::Text,
            })
        };
        by_token.or_else(by_text).ok_or_else(|| {
            let begin: String = self.text.trim().chars().take(60).collect();
            let message = format!("the answer {begin:?} is none of the choices");
            Failure {
                worth_retrying: false,
                usage: Some(Box::new(self.usage)),
                request_id: self.request_id.clone(),
                ..Failure::transport(FailureKind::Malformed, &message)
            }
        })
    }

    /// The log-probability of each choice by the tokens at the place where the answer begins; `None` if they do not
    /// tell the choices apart.
    fn log_probabilities_of(&self, choices: &[String]) -> Option<Vec<f32>> {
        let first = self
            .tokens
            .iter()
            .find(|token| !token.bytes.trim_ascii().is_empty())?;
        if first.top.is_empty() {
            return None;
        }
        let mut told: Vec<(&[u8], f64)> = first
            .top
            .iter()
            .map(|(bytes, value)| (bytes.as_slice(), f64::from(*value)))
            .collect();
        if !told.iter().any(|(bytes, _)| *bytes == first.bytes) {
            told.push((&first.bytes, f64::from(first.log_probability)));
        }
        let (mut masses, mut shared) = (vec![0.0; choices.len()], 0.0);
        for (bytes, value) in &told {
            let begun: Vec<usize> = (0..choices.len())
                .filter(|index| begins(bytes, &choices[*index]))
                .collect();
            match begun.as_slice() {
                [] => {}
                [index] => masses[*index] += value.exp(),
                _ => shared += value.exp(),
            }
        }
        let found: f64 = masses.iter().sum();
        if found <= 0.0 || shared > NEGLIGIBLE * found {
            return None;
        }
        // What was not told is at most as likely as the least that was, and as all that is left.
        let least = told.iter().map(|(_, value)| *value).fold(0.0, f64::min);
        let left = 1.0 - told.iter().map(|(_, value)| value.exp()).sum::<f64>();
        let untold = if left > 0.0 {
            least.min(left.ln())
        } else {
            least
        };
        let value = |mass: &f64| {
            if *mass > 0.0 {
                mass.ln().min(0.0)
            } else {
                untold
            }
        };
        Some(masses.iter().map(|mass| value(mass) as f32).collect())
    }
}

/// Whether a token can be the beginning of a choice, whatever the case of its letters.
fn begins(token: &[u8], choice: &str) -> bool {
    let token = token.trim_ascii();
    let start = choice.trim().as_bytes().get(..token.len());
    !token.is_empty() && start.is_some_and(|start| start.eq_ignore_ascii_case(token))
}

/// The choice that a text is: exactly, or else the only one but for case, with quotes, marks and a full stop around
/// it taken away.
fn find_text(text: &str, choices: &[String]) -> Option<usize> {
    let around = |c: char| c.is_whitespace() || "\"'`*.".contains(c);
    let bare = text.trim_matches(around);
    if let Some(index) = choices
        .iter()
        .position(|choice| choice.trim() == text.trim())
    {
        return Some(index);
    }
    let same = |choice: &String| choice.trim_matches(around).to_lowercase() == bare.to_lowercase();
    let mut found = (0..choices.len()).filter(|index| same(&choices[*index]));
    let index = found.next().filter(|_| !bare.is_empty())?;
    found.next().is_none().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireToken;

    fn choices(choices: &[&str]) -> Vec<String> {
        choices.iter().map(|choice| (*choice).to_owned()).collect()
    }

    fn answer(text: &str, top: &[(&str, f32)]) -> WireAnswer {
        let token = |bytes: &str, log_probability, top: &[(&str, f32)]| WireToken {
            bytes: bytes.as_bytes().to_vec(),
            log_probability,
            top: top
                .iter()
                .map(|(b, value)| (b.as_bytes().to_vec(), *value))
                .collect(),
        };
        let mut tokens = vec![token("\n", 0.0, &[])];
        if let Some((bytes, value)) = top.first() {
            tokens.push(token(bytes, *value, top));
        }
        WireAnswer {
            text: text.to_owned(),
            tokens,
            ..WireAnswer::default()
        }
    }

    #[test]
    fn tokens_that_begin_a_choice_make_up_its_mass() {
        let top = [
            (" pos", -0.5),
            ("Positive", -2.0),
            (" neg", -1.5),
            ("The", -4.0),
        ];
        let chosen = answer(" positive", &top).choose(&choices(&["negative", "positive", "mixed"]));
        let chosen = chosen.unwrap();
        assert_eq!((chosen.index, chosen.method), (1, ChoiceMethod::FirstToken));
        let found = chosen.log_probabilities.unwrap();
        let positive = ((-0.5_f64).exp() + (-2.0_f64).exp()).ln();
        assert!((f64::from(found[1]) - positive).abs() < 1e-6);
        assert!((found[0] + 1.5).abs() < 1e-6);
        // Not told: no likelier than the least that was, nor than what is left over.
        let left = 1.0
            - [-0.5, -2.0, -1.5, -4.0_f64]
                .map(f64::exp)
                .iter()
                .sum::<f64>();
        assert!((f64::from(found[2]) - left.ln().min(-4.0)).abs() < 1e-6);
    }

    #[test]
    fn what_was_drawn_counts_even_if_it_is_not_among_the_likeliest() {
        let mut answer = answer("no", &[("yes", -0.1)]);
        answer.tokens[1].bytes = b"no".to_vec();
        answer.tokens[1].log_probability = -3.0;
        let chosen = answer.choose(&choices(&["no", "yes"])).unwrap();
        assert_eq!(chosen.index, 1, "the likeliest, not the one drawn");
        assert_eq!(chosen.log_probabilities, Some(vec![-3.0, -0.1]));
    }

    #[test]
    fn choices_that_begin_alike_are_told_apart_by_text() {
        let top = [("very", -0.1), ("good", -3.0)];
        let of = choices(&["very good", "very bad", "good"]);
        let chosen = answer("Very bad.", &top).choose(&of).unwrap();
        assert_eq!((chosen.index, chosen.method), (1, ChoiceMethod::Text));
        assert_eq!(chosen.log_probabilities, None);
    }

    #[test]
    fn text_is_a_choice_but_for_case_and_what_surrounds_it() {
        let of = choices(&["A", "a", "Über"]);
        let find = |text: &str| {
            answer(text, &[])
                .choose(&of)
                .ok()
                .map(|chosen| chosen.index)
        };
        assert_eq!(find(" a\n"), Some(1));
        assert_eq!(find("\"über\"."), Some(2));
        assert_eq!(find("**a**"), None, "two are meant");
        assert_eq!(find("an a"), None);
        assert_eq!(find("."), None);
        let failure = answer("perhaps", &[("perhaps", -0.1)])
            .choose(&of)
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::Malformed);
        assert!(!failure.worth_retrying && failure.message.contains("perhaps"));
    }
}
