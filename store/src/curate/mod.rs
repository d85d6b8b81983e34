//! Curation: which answers are fit to learn from, and what a student learns from each.
//!
//! Pure functions over candidates; nothing is deleted. The checks run in the order of the recipe, each over
//! the traces that every earlier one kept, and each leaves a [`Verdict`] with its reason on every trace it
//! judged. So a trace is kept if all its verdicts keep it, and the drops of the checks add up.
//!
//! Of what is left, a free text becomes a row of its own, and the label distributions of one item (its
//! samples and phrasings) become one row: the mean of their probabilities, weighted by phrasing, each
//! corrected for its phrasing's prior first.

mod agreement;
mod candidate;
mod check;
mod confidence;
mod duplicates;
mod evaluation_overlap;
mod finished;
mod length;
mod pool;
mod prior;
mod rows;
mod sentence;
mod sentences;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_support;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use candidate::{Candidate, ChoiceDistribution};
pub use check::{Check, InvalidCheck};
pub use prior::{PhrasingPrior, PriorCorrection, PriorCorrectionFit};
pub use rows::{DatasetRow, RowAnswer};

use pool::{Judgement, Pool};

/// The `[curate]` section of a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curation {
    /// The checks, in the order in which they judge.
    #[serde(default, rename = "check")]
    pub checks: Vec<Check>,
    /// Whether the teacher's leaning is taken out of label probabilities.
    #[serde(default)]
    pub prior_correction: PriorCorrection,
    /// How much each phrasing counts where several judge one item; 1 for those not named. A recipe says it
    /// with the phrasing, in `[[harvest.phrasing]]`.
    #[serde(skip)]
    pub phrasing_weights: BTreeMap<String, f64>,
}

/// One check's decision on one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The trace judged.
    pub trace_id: String,
    /// The check's kind.
    pub check: String,
    /// Whether the check keeps it.
    pub keep: bool,
    /// What the check measured, where it measures.
    pub value: Option<f64>,
    /// Why, in words.
    pub reason: String,
}

/// What one check did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// The check's kind.
    pub check: String,
    /// How many traces it judged: those that every earlier check kept.
    pub judged: usize,
    /// How many of them it dropped.
    pub dropped: usize,
    /// How many of those it kept it had to repair.
    pub repaired: usize,
}

/// What curation made of a harvest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curated {
    /// Check by check, each in the order of the candidates.
    pub verdicts: Vec<Verdict>,
    /// What a student learns from, in the order of the candidates.
    pub rows: Vec<DatasetRow>,
    /// What each check did, in order.
    pub checks: Vec<CheckSummary>,
    /// Traces kept.
    pub kept: usize,
    /// Traces dropped.
    pub dropped: usize,
    /// The prior that was taken out, for use on other answers; changes nothing without prior correction.
    pub prior: PriorCorrectionFit,
}

/// Judges every candidate and makes rows of those that are kept.
///
/// `evaluation_inputs` are the inputs of all suites, for [`Check::EvaluationOverlap`]. The prior is fitted on
/// all candidates with choices, before any is dropped. The result depends on the arguments alone, order
/// included.
pub fn curate(
    candidates: Vec<Candidate>,
    curation: &Curation,
    evaluation_inputs: &[String],
) -> Curated {
    let prior = match curation.prior_correction {
        PriorCorrection::None => PriorCorrectionFit::none(),
        PriorCorrection::Batch => PriorCorrectionFit::fit(&candidates),
    };
    let mut pool = Pool::new(candidates, &prior, &curation.phrasing_weights);
    let mut verdicts = Vec::new();
    let mut checks = Vec::new();
    for check in &curation.checks {
        let judgements = judge(check, &pool, evaluation_inputs);
        checks.push(summarise(check, &judgements));
        verdicts.extend(judgements.iter().map(|judgement| Verdict {
            trace_id: pool.candidate(judgement.member).trace_id.clone(),
            check: check.name().to_owned(),
            keep: judgement.keep,
            value: judgement.value,
            reason: judgement.reason.clone(),
        }));
        pool.apply(judgements);
    }
    let kept = pool.kept().count();
    Curated {
        verdicts,
        rows: rows::rows(&pool),
        checks,
        kept,
        dropped: pool.len() - kept,
        prior,
    }
}

/// One judgement for every member still kept, in their order.
fn judge(check: &Check, pool: &Pool, evaluation_inputs: &[String]) -> Vec<Judgement> {
    let mut judgements = match check {
        Check::Confidence { at_least } => confidence::judge(pool, *at_least),
        Check::Agreement { at_least } => agreement::judge(pool, *at_least),
        Check::Length {
            min_characters,
            max_characters,
            min_tokens,
            max_tokens,
        } => length::judge(
            pool,
            (*min_characters, *max_characters),
            (*min_tokens, *max_tokens),
        ),
        Check::Duplicates { normalised } => duplicates::judge(pool, *normalised),
        Check::EvaluationOverlap {} => evaluation_overlap::judge(pool, evaluation_inputs),
        Check::Finished { repair } => finished::judge(pool, *repair),
        Check::Sentences { at_most } => sentences::judge(pool, *at_most),
    };
    // Checks that look at an item as a whole judge item by item.
    judgements.sort_by_key(|judgement| judgement.member);
    judgements
}

fn summarise(check: &Check, judgements: &[Judgement]) -> CheckSummary {
    CheckSummary {
        check: check.name().to_owned(),
        judged: judgements.len(),
        dropped: judgements.iter().filter(|j| !j.keep).count(),
        repaired: judgements.iter().filter(|j| j.repaired.is_some()).count(),
    }
}
