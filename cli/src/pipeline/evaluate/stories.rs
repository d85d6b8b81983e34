//! Free text: how well the student predicts what the teacher answers, and whether its own answers end.

use std::collections::HashMap;

use anyhow::Context;
use limbeck_store::{Candidate, Check, RowAnswer, TraceRecord, curate};
use limbeck_student::evaluate::{AnswerNats, KneserNey, Scored};
use tokio_util::sync::CancellationToken;

use super::student::Measurable;
use super::{Measured, Measuring, TeacherSide};
use crate::pipeline::curate::candidate;
use crate::pipeline::suite::ended;

/// Seed of the bootstrap.
const SEED: u64 = 1;

impl Measuring<'_> {
    /// Nats a byte of the teacher's answers to the suite, cut back as curation cuts what the student learns from.
    pub(super) fn nats_per_byte(
        &self,
        teacher: &TeacherSide,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Measured> {
        let whole = match &self.suite.expected {
            Some(expected) if !teacher.was_asked => expected.iter().cloned().map(Some).collect(),
            _ => teacher.whole_answers(),
        };
        let (rows, pairs): (Vec<usize>, Vec<(String, String)>) = (0..self.inputs.len())
            .filter_map(|row| {
                let answer = whole[row].clone()?;
                Some((row, (self.inputs[row].clone(), answer)))
            })
            .unzip();
        if rows.is_empty() {
            anyhow::bail!(
                "the teacher has no whole answer to the suite `{}`",
                self.section.name
            );
        }
        let trained = &self.students.trained;
        let student = self.scored("student", trained, &pairs, cancel)?;
        let before = &self.students.untrained;
        let untrained = self.scored("untrained student", before, &pairs, cancel)?;
        let trigram = self.trigram(&pairs)?;
        let answers = trained
            .student
            .answer(&self.inputs, self.max_tokens, cancel)?;
        let left_out = self.inputs.len() - rows.len();
        let mut notes = vec![format!(
            "Everybody is scored on {}, the end included.",
            teacher.scored_on()
        )];
        let is_untouched = |row: &usize| {
            let record = teacher.records[*row].as_ref();
            record.is_some_and(|one| ended(one) && whole[*row].as_ref() == Some(&one.text))
        };
        let untouched: Vec<usize> = rows.iter().copied().filter(is_untouched).collect();
        let shortened = rows.len() - untouched.len();
        if teacher.was_asked && shortened > 0 {
            notes.push(format!(
                "{shortened} of the answers are cut back as curation cuts what the student learns from; the teacher's own score is over those that are not."
            ));
        }
        if left_out > 0 {
            notes.push(format!(
                "{left_out} rows are left out because the teacher's answer was cut off."
            ));
        }
        Ok(Measured {
            teacher: teacher.nats(&untouched).map(|scored| teacher.timed(scored)),
            student,
            floors: vec![untrained, trigram],
            agreement: None,
            answers: answers.texts,
            teacher_answers: teacher.said(),
            notes,
        })
    }

    /// The share of greedy answers that end by themselves.
    pub(super) fn ends(
        &self,
        teacher: &TeacherSide,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Measured> {
        let share = |name: &str, ended: &[bool]| {
            Scored::share(
                name,
                ended.iter().filter(|&&ended| ended).count(),
                ended.len(),
            )
        };
        let measure = |name: &str, of: &Measurable| -> anyhow::Result<(Vec<String>, Scored)> {
            let answers = of.student.answer(&self.inputs, self.max_tokens, cancel)?;
            let memory = of.memory_alone(&self.inputs, None, self.max_tokens)?;
            let scored = share(name, &answers.ended)
                .timed(answers.seconds, Some(answers.tokens))
                .with_peak(memory);
            Ok((answers.texts, scored))
        };
        let (answers, student) = measure("student", &self.students.trained)?;
        let (_, untrained) = measure("untrained student", &self.students.untrained)?;
        let of_teacher = teacher.was_asked.then(|| {
            let of_teacher: Vec<bool> = teacher.records.iter().flatten().map(ended).collect();
            teacher.timed(share("teacher", &of_teacher))
        });
        Ok(Measured {
            teacher: of_teacher,
            student,
            floors: vec![untrained],
            agreement: None,
            answers,
            teacher_answers: teacher.said(),
            notes: vec![format!(
                "An answer that is still going on after {} tokens has not ended by itself.",
                self.max_tokens
            )],
        })
    }

    /// An interpolated Kneser-Ney trigram over the student's tokens, trained on what the student learns from.
    fn trigram(&self, pairs: &[(String, String)]) -> anyhow::Result<Scored> {
        let student = &self.students.trained.student;
        let learnt: Vec<(String, String)> = self
            .dataset
            .rows
            .iter()
            .filter_map(|row| match &row.answer {
                RowAnswer::Text { text, .. } => Some((row.input.clone(), text.clone())),
                RowAnswer::Labels { .. } => None,
            })
            .collect();
        let documents = student.sequences(&learnt)?;
        let model = KneserNey::train(
            documents.iter().map(|document| document.tokens.as_slice()),
            student.vocabulary_size(),
        );
        let begun = std::time::Instant::now();
        let answers: Vec<AnswerNats> = student
            .sequences(pairs)?
            .iter()
            .map(|one| model.answer_nats(&one.tokens, one.answer_start, one.bytes))
            .collect();
        let seconds = begun.elapsed().as_secs_f64();
        let scored = Scored::nats_per_byte("Kneser-Ney trigram", &answers, SEED)
            .context("the suite's answers hold no text")?;
        Ok(scored.timed(seconds, None))
    }

    fn scored(
        &self,
        name: &str,
        of: &Measurable,
        pairs: &[(String, String)],
        cancel: &CancellationToken,
    ) -> anyhow::Result<Scored> {
        let scores = of.student.score(pairs, cancel)?;
        let result = Scored::nats_per_byte(name, &scores.answers, SEED)
            .context("the suite's answers hold no text")?;
        let memory = of.memory_alone(&self.inputs, None, self.max_tokens)?;
        Ok(result
            .timed(scores.seconds, Some(scores.tokens))
            .with_peak(memory))
    }
}

impl TeacherSide {
    /// Whose answers nats are counted over.
    fn scored_on(&self) -> &'static str {
        if self.was_asked {
            "the teacher's answers"
        } else {
            "the answers that the suite expects, since no teacher was asked"
        }
    }

    /// What the teacher said, row by row.
    fn said(&self) -> Vec<Option<String>> {
        let text = |record: &TraceRecord| record.text.clone();
        let records = self.records.iter();
        records.map(|record| record.as_ref().map(text)).collect()
    }

    /// Its answers as a student would learn them: cut back by the recipe's checks that do so; `None` for what they
    /// drop, and for what was cut off and not repaired.
    fn whole_answers(&self) -> Vec<Option<String>> {
        let candidates: Vec<Candidate> = self
            .records
            .iter()
            .flatten()
            .cloned()
            .map(candidate)
            .collect();
        let curated = curate(candidates, &self.repairs, &[]);
        let repaired: HashMap<String, String> = curated
            .rows
            .into_iter()
            .filter_map(|row| match row.answer {
                RowAnswer::Text { text, .. } => Some((row.trace_ids.into_iter().next()?, text)),
                RowAnswer::Labels { .. } => None,
            })
            .collect();
        let judges_ends = |check: &Check| matches!(check, Check::Finished { .. });
        let ends_are_judged = self.repairs.checks.iter().any(judges_ends);
        let whole = |record: &TraceRecord| {
            let answer = repaired.get(&record.id)?;
            let is_whole = ends_are_judged || ended(record) || *answer != record.text;
            (is_whole && !answer.is_empty()).then(|| answer.clone())
        };
        let records = self.records.iter();
        records
            .map(|record| record.as_ref().and_then(whole))
            .collect()
    }

    /// The teacher's own nats a byte, by the log-probabilities that were kept with its answers.
    fn nats(&self, rows: &[usize]) -> Option<Scored> {
        let answers: Option<Vec<AnswerNats>> = rows
            .iter()
            .map(|&row| {
                let record = self.records[row].as_ref()?;
                let mean = record.mean_log_probability?;
                // The end token was drawn as well, and is among the answer's tokens.
                Some(AnswerNats {
                    nats: -f64::from(mean) * f64::from(record.completion_tokens),
                    bytes: record.text.len(),
                    tokens: record.completion_tokens as usize,
                })
            })
            .collect();
        Scored::nats_per_byte("teacher", &answers?, SEED)
    }
}

#[cfg(test)]
mod tests {
    use limbeck_store::{
        Curation, FinishReason, PriorCorrectionFit, Prompt, PromptBody, SamplingParameters,
        TraceKey,
    };

    use super::*;
    use crate::pipeline::harvest::Asked;
    use crate::pipeline::suite::SuiteAnswers;

    fn record(id: &str, text: &str, finish_reason: FinishReason) -> TraceRecord {
        let body = PromptBody::Completion {
            text: id.to_owned(),
        };
        let prompt = Prompt::new(body, id, "main", "test", 1);
        TraceRecord {
            id: id.to_owned(),
            key: TraceKey {
                prompt_id: prompt.id.clone(),
                sample: 0,
                teacher: "t".to_owned(),
                parameters: SamplingParameters::choose(Vec::new()),
            },
            prompt,
            text: text.to_owned(),
            reasoning: None,
            retracted: None,
            choice_log_probabilities: None,
            finish_reason,
            prompt_tokens: 1,
            completion_tokens: 9,
            mean_log_probability: Some(-1.0),
            recorded_at: String::new(),
        }
    }

    fn whole(checks: Vec<Check>) -> Vec<Option<String>> {
        let teacher = TeacherSide {
            was_asked: true,
            records: vec![
                Some(record("ended", "One. Two. Three.", FinishReason::Stop)),
                Some(record("cut", "One. Two. Thr", FinishReason::Length)),
                Some(record("hopeless", "One and tw", FinishReason::Length)),
                None,
            ],
            answers: SuiteAnswers {
                traces: Vec::new(),
                asking: Asked::default(),
            },
            prior: PriorCorrectionFit::none(),
            repairs: Curation {
                checks,
                ..Curation::default()
            },
        };
        teacher.whole_answers()
    }

    #[test]
    fn a_suite_is_cut_back_as_what_the_student_learns_from() {
        let told = |checks| {
            let answers = whole(checks);
            answers
                .into_iter()
                .map(|answer| answer.unwrap_or_else(|| "-".to_owned()))
                .collect::<Vec<_>>()
        };
        let repair = Check::Finished { repair: true };
        let sentences = |at_most| Check::Sentences { at_most };
        assert_eq!(told(vec![]), ["One. Two. Three.", "-", "-", "-"]);
        assert_eq!(
            told(vec![repair.clone()]),
            ["One. Two. Three.", "One. Two.", "-", "-"]
        );
        assert_eq!(told(vec![repair, sentences(1)]), ["One.", "One.", "-", "-"]);
        // Without a check of ends, an answer that was cut off counts only where a sentence check cut it further.
        assert_eq!(
            told(vec![sentences(2)]),
            ["One. Two.", "One. Two.", "-", "-"]
        );
    }
}
