//! Accuracy: the share of rows answered as people did.

use std::collections::HashMap;
use std::time::Instant;

use limbeck_store::{RowAnswer, normalise};
use limbeck_student::evaluate::{LinearFloor, Scored, majority_class};
use tokio_util::sync::CancellationToken;

use super::student::Measurable;
use super::{Measured, Measuring, TeacherSide};

/// Free answers with more different texts than this are no labels that a classifier could choose from.
const MOST_LABELS: usize = 100;

/// Answers as numbers: the same text, normalised, is the same number.
#[derive(Default)]
struct Labels {
    numbers: HashMap<String, usize>,
    names: Vec<String>,
}

impl Labels {
    fn number(&mut self, answer: &str) -> usize {
        let names = &mut self.names;
        *self.numbers.entry(normalise(answer)).or_insert_with(|| {
            names.push(answer.to_owned());
            names.len() - 1
        })
    }

    fn numbers<'a>(&mut self, answers: impl IntoIterator<Item = &'a String>) -> Vec<usize> {
        answers
            .into_iter()
            .map(|answer| self.number(answer))
            .collect()
    }
}

impl Measuring<'_> {
    pub(super) fn accuracy(
        &self,
        teacher: &TeacherSide,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Measured> {
        let mut labels = Labels::default();
        if let Some(choices) = self.choices {
            labels.numbers(choices);
        }
        let learnt = labels.numbers(&self.learnt_answers());
        let expected = labels.numbers(self.suite.expected.iter().flatten());
        let (answers, student) = self.answers(
            "student",
            &self.students.trained,
            &expected,
            &mut labels,
            cancel,
        )?;
        let (_, untrained) = self.answers(
            "untrained student",
            &self.students.untrained,
            &expected,
            &mut labels,
            cancel,
        )?;
        let mut floors = vec![untrained];
        floors.extend(self.classifiers(&learnt, &expected)?);
        let said = teacher.answers(self.choices);
        // A row without an answer is a wrong one.
        let said_numbers: Vec<usize> = said
            .iter()
            .map(|answer| {
                answer
                    .as_ref()
                    .map_or(usize::MAX, |answer| labels.number(answer))
            })
            .collect();
        let student_numbers = labels.numbers(&answers);
        let asked = |name, given: &[usize], right: &[usize]| {
            let scored = || Scored::accuracy(name, given, right);
            teacher.was_asked.then(scored)
        };
        let of_teacher = asked("teacher", &said_numbers, &expected);
        Ok(Measured {
            teacher: of_teacher.map(|scored| teacher.timed(scored)),
            student,
            floors,
            agreement: asked("agreement", &student_numbers, &said_numbers),
            answers,
            notes: teacher.uncorrected(&expected, self.choices),
            teacher_answers: said,
        })
    }

    fn answers(
        &self,
        name: &str,
        measured: &Measurable,
        expected: &[usize],
        labels: &mut Labels,
        cancel: &CancellationToken,
    ) -> anyhow::Result<(Vec<String>, Scored)> {
        let student = &measured.student;
        let (texts, tokens, seconds): (Vec<String>, usize, f64) =
            if let Some(choices) = self.choices {
                let labelled = student.label(&self.inputs, choices, cancel)?;
                let text = |&label: &usize| choices[label].clone();
                let texts = labelled.labels.iter().map(text).collect();
                (texts, labelled.tokens, labelled.seconds)
            } else {
                let answers = student.answer(&self.inputs, self.max_tokens, cancel)?;
                (answers.texts, answers.tokens, answers.seconds)
            };
        let memory = measured.memory_alone(&self.inputs, self.choices, self.max_tokens)?;
        let scored = Scored::accuracy(name, &labels.numbers(&texts), expected)
            .timed(seconds, Some(tokens))
            .with_peak(memory);
        Ok((texts, scored))
    }

    /// What the teacher answered to what the student learns from.
    fn learnt_answers(&self) -> Vec<String> {
        let answer = |row: &limbeck_store::DatasetRow| match &row.answer {
            RowAnswer::Text { text, .. } => text.clone(),
            RowAnswer::Labels {
                choices,
                probabilities,
            } => {
                let likeliest = (0..choices.len())
                    .max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
                likeliest
                    .map(|label| choices[label].clone())
                    .unwrap_or_default()
            }
        };
        self.dataset.rows.iter().map(answer).collect()
    }

    /// Floors that learn from the teacher's labels as the student does.
    fn classifiers(&self, learnt: &[usize], expected: &[usize]) -> anyhow::Result<Vec<Scored>> {
        let distinct = learnt.iter().max().map_or(0, |most| most + 1);
        let Some(majority) = majority_class(learnt) else {
            return Ok(Vec::new());
        };
        let mut floors = vec![Scored::accuracy(
            "majority class",
            &vec![majority; expected.len()],
            expected,
        )];
        if distinct <= MOST_LABELS {
            let texts: Vec<String> = self
                .dataset
                .rows
                .iter()
                .map(|row| row.input.clone())
                .collect();
            let floor = LinearFloor::train(&texts, learnt, 1)?;
            let begun = Instant::now();
            let labels: Vec<usize> = self.inputs.iter().map(|text| floor.predict(text)).collect();
            let seconds = begun.elapsed().as_secs_f64();
            floors.push(
                Scored::accuracy("TF-IDF and logistic regression", &labels, expected)
                    .timed(seconds, None),
            );
        }
        Ok(floors)
    }
}

impl TeacherSide {
    /// What the teacher says to each row, with the recipe's prior correction.
    fn answers(&self, choices: Option<&[String]>) -> Vec<Option<String>> {
        let answer =
            |record: &limbeck_store::TraceRecord| match (choices, &record.choice_log_probabilities)
            {
                (Some(choices), Some(scores)) => {
                    let corrected = self.prior.apply(&record.prompt.phrasing, scores);
                    choices[likeliest(&corrected)].clone()
                }
                _ => record.text.clone(),
            };
        self.records
            .iter()
            .map(|record| record.as_ref().map(answer))
            .collect()
    }

    /// What the teacher scores without the correction, for the record.
    fn uncorrected(&self, expected: &[usize], choices: Option<&[String]>) -> Vec<String> {
        if !self.was_asked || choices.is_none() || self.prior.phrasings.is_empty() {
            return Vec::new();
        }
        let label = |record: &Option<limbeck_store::TraceRecord>| {
            let scores = record.as_ref()?.choice_log_probabilities.as_ref()?;
            let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
            Some(likeliest(&scores))
        };
        let labels: Vec<usize> = self
            .records
            .iter()
            .map(|record| label(record).unwrap_or(usize::MAX))
            .collect();
        let raw = Scored::accuracy("teacher", &labels, expected);
        vec![format!(
            "The teacher is scored with the prior correction that its labels got before training; without it, it scores {:.3} ({:.3} to {:.3}).",
            raw.score, raw.low, raw.high
        )]
    }
}

fn likeliest(scores: &[f64]) -> usize {
    let better = |a: usize, b: usize| if scores[b] > scores[a] { b } else { a };
    (0..scores.len()).reduce(better).unwrap_or(0)
}
