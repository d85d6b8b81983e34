//! The teacher's answers to the evaluation suites, asked once and kept, so that a new student is measured against
//! them without asking again.

use limbeck_store::{FinishReason, TraceRecord};
use serde::{Deserialize, Serialize};

use super::drawing::DrawnSuite;
use super::harvest::Asked;
use super::{Finished, Pipeline};
use crate::recipe::{EvaluateSection, HarvestSection};

/// The answers to all suites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// In the recipe's order.
    pub suites: Vec<SuiteAnswers>,
}

/// The answers to one suite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SuiteAnswers {
    /// Ids in the order of the rows; `None` where no answer came.
    pub traces: Vec<Option<String>>,
    /// How the asking went.
    pub asking: Asked,
}

impl Pipeline {
    /// Asks what the store does not know yet, with the instructions of the harvest.
    pub(super) async fn suite_answers(&self) -> anyhow::Result<Finished<Outcome>> {
        let inputs = self.material().await?.inputs(self)?;
        let (dir, done) = self.stage::<Outcome>("suites", &inputs)?;
        if let Some(outcome) = done {
            return Ok(Finished { dir, outcome });
        }
        let outcome = self.recorded("suites", &dir, self.ask_suites()).await?;
        Ok(Finished { dir, outcome })
    }

    async fn ask_suites(&self) -> anyhow::Result<Outcome> {
        let drawn = self.drawn().await?;
        let Some(teacher) = self.load_suites_teacher().await? else {
            let nobody = |suite: &DrawnSuite| SuiteAnswers {
                traces: vec![None; suite.prompts.len()],
                asking: Asked::default(),
            };
            let suites = drawn.suites.iter().map(nobody).collect();
            return Ok(Outcome { suites });
        };
        let mut suites: Vec<SuiteAnswers> = Vec::new();
        for suite in &drawn.suites {
            let asked = std::slice::from_ref(&teacher);
            let ids = self.keep_suite(&suite.prompts, asked).await?;
            let (asking, _) = self.ask("ask suite", asked, &ids, 1).await?;
            let mut traces = Vec::with_capacity(ids.len());
            self.answers(&teacher, &ids, 1, |id| {
                traces.push(id);
                Ok(())
            })
            .await?;
            suites.push(SuiteAnswers { traces, asking });
        }
        Ok(Outcome { suites })
    }

    /// The kept answers to a suite, row by row.
    pub(super) async fn suite_records(
        &self,
        answers: &SuiteAnswers,
    ) -> anyhow::Result<Vec<Option<TraceRecord>>> {
        let ids: Vec<String> = answers.traces.iter().flatten().cloned().collect();
        let mut records = self.store.traces(&ids).await?.into_iter().peekable();
        let rows = answers.traces.iter().map(|id| {
            let id = id.as_ref()?;
            records.next_if(|record| record.id == *id)
        });
        Ok(rows.collect())
    }
}

/// What the report says of rows that are too near a suite.
pub(super) fn near_note(count: usize, what: &str) -> String {
    format!(
        "{count} {what} were kept away from training because they are, or nearly are, in an evaluation suite."
    )
}

/// Labels of people that are none of the choices would count as wrong for everybody.
pub(super) fn check_expected(
    harvest: &HarvestSection,
    section: &EvaluateSection,
    expected: Option<&[String]>,
) -> anyhow::Result<()> {
    let (Some(choices), Some(expected)) = (&harvest.choices, expected) else {
        return Ok(());
    };
    match expected.iter().find(|answer| !choices.contains(answer)) {
        Some(answer) => anyhow::bail!(
            "the suite `{}` expects `{answer}`, which is none of the choices {choices:?}",
            section.name
        ),
        None => Ok(()),
    }
}

/// Whether an answer ended by itself.
pub(super) fn ended(record: &TraceRecord) -> bool {
    matches!(
        record.finish_reason,
        FinishReason::Stop | FinishReason::Choice
    )
}
