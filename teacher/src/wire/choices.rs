//! Which of the given choices an answer over the network takes.
//!
//! A teacher in the process reads the probability of each choice whole. A service tells the likeliest tokens at each
//! place of the answer, at most twenty. The mass of those that begin one choice alone stands for the choice. Where the
//! answer begins as several choices do, it is followed to the place where they part, and the alternatives there count
//! by the probability of getting there (the chain rule). Where that does not tell the choices apart, the answer is read
//! as text and has no probabilities.

use super::{Failure, FailureKind, WireAnswer, WireToken};

/// Tokens that begin several choices and were not drawn are ignored if all of them together are less likely than this,
/// beside those that begin one.
const NEGLIGIBLE: f64 = 0.01;

/// The choice that an answer takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its place among the choices.
    pub index: usize,
    /// With [`ChoiceMethod::Tokens`], each choice's log-probability in nats, not normalised: the mass of the tokens told
    /// that begin it and no other. Where none was told, the most that it can have been.
    pub log_probabilities: Option<Vec<f32>>,
    /// How it was found.
    pub method: ChoiceMethod,
}

/// How a choice was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChoiceMethod {
    /// By the likeliest tokens at the places where the answer parts from other choices.
    Tokens,
    /// By the text of the answer, which is one of the choices but for case, quotes and what surrounds it.
    Text,
}

impl ChoiceMethod {
    /// A short stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
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
                method: ChoiceMethod::Tokens,
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

    /// The log-probability of each choice by the tokens along the answer; `None` if they do not tell the choices apart.
    fn log_probabilities_of(&self, choices: &[String]) -> Option<Vec<f32>> {
        let mut walk = Walk::new(choices);
        let blank = |token: &&WireToken| token.bytes.trim_ascii().is_empty();
        for token in self.tokens.iter().skip_while(blank) {
            if !walk.step(token) {
                break;
            }
        }
        walk.finish()
    }
}

/// A walk along the tokens of an answer, up to the place where it has taken one of the choices.
struct Walk<'c> {
    choices: &'c [String],
    /// What was said up to this place; every choice in `open` begins with it.
    said: Vec<u8>,
    /// The log-probability of saying that.
    log_probability: f64,
    /// The choices that can still be meant.
    open: Vec<usize>,
    /// The probability told of each choice.
    masses: Vec<f64>,
    /// The most, as a log-probability, that a choice can have of which nothing was told.
    untold: Vec<f64>,
    /// The probability told of what begins several choices and was not followed.
    unresolved: f64,
}

impl<'c> Walk<'c> {
    fn new(choices: &'c [String]) -> Self {
        Self {
            choices,
            said: Vec::new(),
            log_probability: 0.0,
            open: (0..choices.len()).collect(),
            masses: vec![0.0; choices.len()],
            untold: vec![0.0; choices.len()],
            unresolved: 0.0,
        }
    }

    /// Reads what could have stood at the next place. Whether several choices are still open after it.
    fn step(&mut self, drawn: &WireToken) -> bool {
        // Where a choice is said to its end and another goes on from it, what may follow the first is not known.
        let is_whole = |choice: &&usize| self.choices[**choice].trim().len() == self.said.len();
        if drawn.top.is_empty() || self.open.iter().any(|choice| is_whole(&choice)) {
            return false;
        }
        let mut told: Vec<(&[u8], f64)> = drawn
            .top
            .iter()
            .map(|(bytes, value)| (bytes.as_slice(), f64::from(*value)))
            .collect();
        if !told.iter().any(|(bytes, _)| *bytes == drawn.bytes) {
            told.push((&drawn.bytes, f64::from(drawn.log_probability)));
        }
        // What was not told is at most as likely as the least that was, and as all that is left.
        let least = told.iter().map(|(_, value)| *value).fold(0.0, f64::min);
        let left = 1.0 - told.iter().map(|(_, value)| value.exp()).sum::<f64>();
        let most = if left > 0.0 {
            least.min(left.ln())
        } else {
            least
        };
        for &choice in &self.open {
            self.untold[choice] = self.log_probability + most;
        }
        let mut followed = None;
        for (bytes, value) in told {
            let begun = self.begun_by(bytes);
            let value = self.log_probability + value;
            match begun.as_slice() {
                [] => {}
                [choice] => self.masses[*choice] += value.exp(),
                _ if bytes == drawn.bytes => followed = Some((begun, value)),
                _ => self.unresolved += value.exp(),
            }
        }
        let Some((begun, value)) = followed else {
            self.open.clear();
            return false;
        };
        let said = [&self.said, &drawn.bytes[..]].concat();
        self.said = said.trim_ascii_start().to_vec();
        (self.open, self.log_probability) = (begun, value);
        true
    }

    /// The open choices that begin with what was said and this token.
    fn begun_by(&self, token: &[u8]) -> Vec<usize> {
        let text = [&self.said[..], token].concat();
        let open = self.open.iter().copied();
        open.filter(|choice| begins(&text, &self.choices[*choice]))
            .collect()
    }

    fn finish(mut self) -> Option<Vec<f32>> {
        // It ended, or its tokens did, before it was clear which was meant.
        if self.open.len() > 1 && !self.said.is_empty() {
            self.unresolved += self.log_probability.exp();
        }
        let found: f64 = self.masses.iter().sum();
        if found <= 0.0 || self.unresolved > NEGLIGIBLE * found {
            return None;
        }
        let value = |(mass, untold): (&f64, &f64)| {
            if *mass > 0.0 {
                mass.ln().min(0.0)
            } else {
                *untold
            }
        };
        let values = self.masses.iter().zip(&self.untold).map(value);
        Some(values.map(|value| value as f32).collect())
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
        assert_eq!((chosen.index, chosen.method), (1, ChoiceMethod::Tokens));
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

    /// An answer of these tokens, each with its alternatives, of which the first was drawn.
    fn spelled(places: &[&[(&str, f32)]]) -> WireAnswer {
        let mut spelled = WireAnswer::default();
        for top in places {
            let mut one = answer("", top);
            spelled.tokens.push(one.tokens.remove(1));
            spelled.text.push_str(top[0].0);
        }
        spelled
    }

    #[test]
    fn choices_that_begin_alike_are_told_apart_where_they_part() {
        let of = choices(&["very good", "very bad", "poor", "mixed"]);
        let answer = spelled(&[
            &[("Very", -0.2), ("poor", -2.0), ("The", -5.0)],
            &[(" bad", -0.1), (" good", -2.5), ("!", -6.0)],
        ]);
        let chosen = answer.choose(&of).unwrap();
        assert_eq!((chosen.index, chosen.method), (1, ChoiceMethod::Tokens));
        let found = chosen.log_probabilities.unwrap();
        let expected = [-0.2 - 2.5, -0.2 - 0.1, -2.0, -5.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn a_walk_that_leaves_likely_ways_untrodden_tells_nothing() {
        let of = choices(&["very good", "very bad", "vain"]);
        // `ve` begins two choices as well, and nobody knows how it would have gone on.
        let likely = spelled(&[
            &[("very", -0.7), ("ve", -1.0), ("vain", -2.0)],
            &[(" bad", -0.1), (" good", -2.5)],
        ]);
        assert_eq!(likely.choose(&of).unwrap().method, ChoiceMethod::Text);
        let unlikely = spelled(&[
            &[("very", -0.1), ("vain", -2.5), ("ve", -9.0)],
            &[(" bad", -0.1), (" good", -2.5)],
        ]);
        let chosen = unlikely.choose(&of).unwrap();
        assert_eq!((chosen.index, chosen.method), (1, ChoiceMethod::Tokens));
    }

    #[test]
    fn a_choice_that_another_goes_on_from_is_read_as_text() {
        let of = choices(&["good", "good enough"]);
        let answer = spelled(&[&[("good", -0.1), ("bad", -3.0)]]);
        let chosen = answer.choose(&of).unwrap();
        assert_eq!((chosen.index, chosen.method), (0, ChoiceMethod::Text));
        // Nothing told of what ended it, so what was told of the other is not all.
        let answer = spelled(&[
            &[("good", -0.1), ("bad", -3.0)],
            &[(".", -0.1), (" enough", -3.0)],
        ]);
        assert_eq!(answer.choose(&of).unwrap().method, ChoiceMethod::Text);
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
