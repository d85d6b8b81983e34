//! Texts as labels: a recipe with `choices` learns distributions, and a file of answers, or a service that tells no
//! probabilities, holds words.

use limbeck_store::{Candidate, CheckSummary, ChoiceDistribution, Curated, Verdict, normalise};

/// What reports call the reading of labels.
const CHECK: &str = "choice";

/// Reads labels from texts.
pub(super) struct Labelling<'a> {
    choices: Option<&'a [String]>,
    verdicts: Vec<Verdict>,
    dropped: usize,
}

impl<'a> Labelling<'a> {
    /// Reads the `choices`; without them every text stays what it is.
    pub(super) fn new(choices: Option<&'a [String]>) -> Self {
        Self {
            choices,
            verdicts: Vec::new(),
            dropped: 0,
        }
    }

    /// An answer that was not chosen and says one of the choices is that choice for certain, since nobody kept how sure
    /// the teacher was. `None` for any other text: it is no answer to the question.
    pub(super) fn read(&mut self, mut candidate: Candidate) -> Option<Candidate> {
        let (Some(choices), None) = (self.choices, &candidate.choices) else {
            return Some(candidate);
        };
        let said = normalise(&candidate.answer);
        let found = choices.iter().position(|choice| normalise(choice) == said);
        self.verdicts.push(Verdict {
            trace_id: candidate.trace_id.clone(),
            check: CHECK.to_owned(),
            keep: found.is_some(),
            value: None,
            reason: match found {
                Some(label) => format!("says `{}`", choices[label]),
                None => "says none of the choices".to_owned(),
            },
        });
        let Some(label) = found else {
            self.dropped += 1;
            return None;
        };
        let log_probability = |index| {
            if index == label {
                0.0
            } else {
                f32::NEG_INFINITY
            }
        };
        candidate.choices = Some(ChoiceDistribution {
            log_probabilities: (0..choices.len()).map(log_probability).collect(),
            choices: choices.to_vec(),
        });
        Some(candidate)
    }

    /// Puts what was read in front of what the checks found.
    pub(super) fn account(self, curated: &mut Curated) {
        if self.verdicts.is_empty() {
            return;
        }
        let summary = CheckSummary {
            check: CHECK.to_owned(),
            judged: self.verdicts.len(),
            dropped: self.dropped,
            repaired: 0,
        };
        curated.checks.insert(0, summary);
        curated.verdicts.splice(0..0, self.verdicts);
        curated.dropped += self.dropped;
    }
}

#[cfg(test)]
mod tests {
    use limbeck_store::{Curation, FinishReason, RowAnswer, curate};

    use super::*;

    fn candidate(id: &str, answer: &str) -> Candidate {
        Candidate {
            trace_id: id.to_owned(),
            item: id.to_owned(),
            input: format!("message {id}"),
            phrasing: "main".to_owned(),
            sample: 0,
            answer: answer.to_owned(),
            choices: None,
            redacted: false,
            finish: FinishReason::Stop,
            completion_tokens: 1,
            mean_log_probability: None,
        }
    }

    #[test]
    fn a_text_is_the_choice_that_it_says_and_nothing_else_is_one() {
        let choices = ["positive".to_owned(), "negative".to_owned()];
        let mut labelling = Labelling::new(Some(&choices));
        let answers = [candidate("a", " Negative"), candidate("b", "I cannot tell")];
        let read: Vec<Candidate> = answers
            .into_iter()
            .filter_map(|candidate| labelling.read(candidate))
            .collect();
        let mut curated = curate(read, &Curation::default(), &[]);
        labelling.account(&mut curated);
        let RowAnswer::Labels { probabilities, .. } = &curated.rows[0].answer else {
            panic!("a label: {:?}", curated.rows[0]);
        };
        assert_eq!(probabilities, &[0.0, 1.0]);
        assert_eq!((curated.kept, curated.dropped), (1, 1));
        let verdicts: Vec<_> = curated
            .verdicts
            .iter()
            .map(|verdict| verdict.keep)
            .collect();
        assert_eq!(verdicts, [true, false]);
        assert_eq!(curated.checks[0].dropped, 1);
    }

    #[test]
    fn without_choices_a_text_stays_a_text() {
        let mut labelling = Labelling::new(None);
        let text = candidate("a", "positive");
        assert_eq!(labelling.read(text.clone()), Some(text));
    }
}
