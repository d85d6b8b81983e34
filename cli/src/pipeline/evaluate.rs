//! The fourth stage: teacher, student and floors on the same held-out rows.
//!
//! The student and the floors are measured first, while nothing of the teacher is in memory.

mod labels;
mod stories;
mod student;

use limbeck_store::{Curation, Dataset, TraceRecord};
use limbeck_student::evaluate::{Metric, Scored, judge};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::suite::SuiteAnswers;
use super::{Drawn, Finished, Pipeline, curate, drawing::DrawnSuite, train};
use crate::progress::StageBar;
use crate::recipe::EvaluateSection;
use crate::report;

/// How many answers the report shows.
const SAMPLES: usize = 20;

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// In the recipe's order.
    pub suites: Vec<report::Suite>,
    /// Answers of teacher and student to the first rows of the first suite.
    pub samples: Vec<report::SampleAnswer>,
}

/// What the measures of one suite need.
struct Measuring<'a> {
    section: &'a EvaluateSection,
    suite: &'a DrawnSuite,
    inputs: Vec<String>,
    dataset: &'a Dataset,
    students: &'a student::Students,
    choices: Option<&'a [String]>,
    max_tokens: usize,
}

/// The teacher's side of one suite.
struct TeacherSide {
    /// Whether anybody was asked; where all answers are imported, nobody is.
    was_asked: bool,
    records: Vec<Option<TraceRecord>>,
    answers: SuiteAnswers,
    prior: limbeck_store::PriorCorrectionFit,
    /// The recipe's checks that may shorten an answer: what the student is measured on is cut as what it learns from.
    repairs: Curation,
}

/// What came of one suite before the gate is judged.
struct Measured {
    teacher: Option<Scored>,
    student: Scored,
    floors: Vec<Scored>,
    agreement: Option<Scored>,
    /// The student's answers, row by row, as text.
    answers: Vec<String>,
    /// The teacher's, where there is one.
    teacher_answers: Vec<Option<String>>,
    notes: Vec<String>,
}

impl Pipeline {
    /// Measures on every suite of the recipe.
    pub(super) async fn evaluate(
        &self,
        curated: &Finished<curate::Outcome>,
        trained: &Finished<train::Outcome>,
    ) -> anyhow::Result<Finished<Outcome>> {
        let inputs = json!({
            "material": self.material().await?.inputs(self)?,
            "train": trained.dir.hash(),
            "evaluate": self.recipe.evaluate()?,
        });
        let (dir, done) = self.stage::<Outcome>("evaluate", &inputs)?;
        if let Some(outcome) = done {
            return Ok(Finished { dir, outcome });
        }
        let work = self.measure(curated, trained);
        let outcome = Box::pin(self.recorded("evaluate", &dir, work)).await?;
        Ok(Finished { dir, outcome })
    }

    async fn measure(
        &self,
        curated: &Finished<curate::Outcome>,
        trained: &Finished<train::Outcome>,
    ) -> anyhow::Result<Outcome> {
        let drawn = self.drawn().await?;
        let sections = self.recipe.evaluate()?;
        let bar = self
            .progress
            .stage("evaluate", Some(sections.len() as u64), "suites");
        let students = student::Students::load(&trained.dir)?;
        let dataset: Dataset =
            serde_json::from_slice(&std::fs::read(curated.dir.join(curate::DATASET))?)?;
        let answers = self.suite_answers().await?.outcome;
        let mut outcome = Outcome {
            suites: Vec::new(),
            samples: Vec::new(),
        };
        for (index, section) in sections.iter().enumerate() {
            bar.message(section.name.clone());
            let teacher = self.teacher_side(&answers.suites, index, curated).await?;
            let measuring = self.measuring(section, drawn, index, &dataset, &students)?;
            let measured = tokio::task::block_in_place(|| measuring.run(&teacher, &self.cancel))?;
            if index == 0 {
                outcome.samples = measuring.samples(&measured);
            }
            let mut suite = self.judged(section, measured).await?;
            suite.notes.extend(drawn.suites[index].redaction.clone());
            outcome.suites.push(suite);
            bar.inc(1);
        }
        finish(&bar, &outcome);
        Ok(outcome)
    }

    async fn teacher_side(
        &self,
        suites: &[SuiteAnswers],
        index: usize,
        curated: &Finished<curate::Outcome>,
    ) -> anyhow::Result<TeacherSide> {
        let mut answers = suites[index].clone();
        // Two suites over the same rows are asked once: the speed of the one that was asked stands for both.
        if answers.asking.answers == 0
            && let Some(asked) = suites.iter().find(|other| other.asking.answers > 0)
        {
            answers.asking = asked.asking;
        }
        let mut records = self.suite_records(&suites[index]).await?;
        self.redact_answers(&mut records);
        let checks = &self.recipe.curate()?.check;
        Ok(TeacherSide {
            was_asked: self.recipe.suites_teacher()?.is_some(),
            records,
            answers,
            prior: curated.outcome.prior.clone(),
            repairs: Curation {
                checks: checks
                    .iter()
                    .filter(|check| check.repairs())
                    .cloned()
                    .collect(),
                ..Curation::default()
            },
        })
    }

    fn measuring<'a>(
        &'a self,
        section: &'a EvaluateSection,
        drawn: &'a Drawn,
        index: usize,
        dataset: &'a Dataset,
        students: &'a student::Students,
    ) -> anyhow::Result<Measuring<'a>> {
        let harvest = self.recipe.harvest()?;
        let suite = &drawn.suites[index];
        if suite.prompts.is_empty() {
            anyhow::bail!("the suite `{}` has no rows", section.name);
        }
        Ok(Measuring {
            section,
            suite,
            inputs: suite
                .prompts
                .iter()
                .map(|prompt| prompt.input.clone())
                .collect(),
            dataset,
            students,
            choices: harvest.choices.as_deref(),
            max_tokens: harvest.sampling.max_tokens as usize,
        })
    }

    async fn judged(
        &self,
        section: &EvaluateSection,
        measured: Measured,
    ) -> anyhow::Result<report::Suite> {
        let Measured {
            teacher,
            student,
            floors,
            agreement,
            notes,
            ..
        } = measured;
        let gate = judge(
            &section.gate,
            section.metric,
            &student,
            teacher.as_ref(),
            &floors,
        );
        let material = self.material().await?;
        let file = self.recipe.evaluations().iter().zip(&material.suites);
        let file = file
            .into_iter()
            .find(|(other, _)| other.name == section.name);
        Ok(report::Suite {
            name: section.name.clone(),
            metric: section.metric.into(),
            n: student.n as u64,
            source: Some(report::SourceIdentity {
                source: section.suite.source.clone(),
                sha256: file.map(|(_, file)| file.sha256.clone()),
                license: section.suite.license.clone(),
            }),
            teacher: teacher.map(Into::into),
            student: Some(student.into()),
            floors: floors.into_iter().map(Into::into).collect(),
            agreement: agreement.map(|share| report::Agreement {
                share: share.score,
                low: share.low,
                high: share.high,
                n: share.n as u64,
            }),
            passed: gate.passed,
            gate: (!gate.conditions.is_empty()).then(|| gate.into()),
            notes,
        })
    }
}

impl Measuring<'_> {
    fn run(
        &self,
        teacher: &TeacherSide,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> anyhow::Result<Measured> {
        match self.section.metric {
            Metric::Accuracy => self.accuracy(teacher, cancel),
            Metric::NatsPerByte => self.nats_per_byte(teacher, cancel),
            Metric::Ends => self.ends(teacher, cancel),
        }
    }

    fn samples(&self, measured: &Measured) -> Vec<report::SampleAnswer> {
        let rows = self
            .inputs
            .iter()
            .zip(&measured.answers)
            .zip(&measured.teacher_answers);
        // Free text that differs from another is not wrong, so only labels are held against what people gave.
        let labels = match self.section.metric {
            Metric::Accuracy => self.suite.expected.as_ref(),
            Metric::NatsPerByte | Metric::Ends => None,
        };
        let expected = |row: usize| labels.map(|labels| labels[row].clone());
        // Suites that are balanced may stand in the order of their labels: samples come from all over.
        let step = (self.inputs.len() / SAMPLES).max(1);
        rows.enumerate()
            .step_by(step)
            .take(SAMPLES)
            .map(|(row, ((input, student), teacher))| report::SampleAnswer {
                input: input.clone(),
                teacher: teacher.clone(),
                student: Some(student.clone()),
                expected: expected(row),
            })
            .collect()
    }
}

impl TeacherSide {
    /// The teacher's score with the speed and memory of its asking.
    fn timed(&self, mut scored: Scored) -> Scored {
        let asking = &self.answers.asking;
        if asking.answers > 0 && asking.seconds > 0.0 {
            scored.requests_per_second = Some(asking.answers as f64 / asking.seconds);
            let tokens = asking.prompt_tokens + asking.completion_tokens;
            scored.tokens_per_second = Some(tokens as f64 / asking.seconds);
        }
        scored.with_peak(asking.peak_rss_bytes)
    }
}

fn finish(bar: &StageBar, outcome: &Outcome) {
    let words: Vec<String> = outcome
        .suites
        .iter()
        .filter_map(|suite| {
            let student = suite.student.as_ref()?;
            let teacher = suite
                .teacher
                .as_ref()
                .map(|teacher| format!(", teacher {:.3}", teacher.score));
            Some(format!(
                "{}: student {:.3}{}",
                suite.name,
                student.score,
                teacher.unwrap_or_default()
            ))
        })
        .collect();
    bar.finish(words.join("; "));
}
