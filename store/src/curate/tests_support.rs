//! Candidates for tests.

use super::{Candidate, ChoiceDistribution};
use crate::record::FinishReason;

/// A `yes`/`no` answer about `input`; its trace id is `input/phrasing`.
pub(super) fn label(input: &str, phrasing: &str, probabilities: &[f32]) -> Candidate {
    let choices = ["yes", "no", "maybe"][..probabilities.len()]
        .iter()
        .map(ToString::to_string)
        .collect();
    Candidate {
        choices: Some(ChoiceDistribution {
            choices,
            log_probabilities: probabilities.iter().map(|p| p.ln()).collect(),
        }),
        finish: FinishReason::Choice,
        completion_tokens: 1,
        mean_log_probability: None,
        ..text(input, phrasing, "")
    }
}

/// A text that ended by itself.
pub(super) fn text(input: &str, phrasing: &str, answer: &str) -> Candidate {
    Candidate {
        trace_id: format!("{input}/{phrasing}"),
        item: Candidate::item_of(input),
        input: input.to_owned(),
        phrasing: phrasing.to_owned(),
        sample: 0,
        answer: answer.to_owned(),
        choices: None,
        redacted: false,
        finish: FinishReason::Stop,
        completion_tokens: answer.split_whitespace().count() as u32,
        mean_log_probability: Some(-0.5),
    }
}
