//! What a student learns from.

use serde::{Deserialize, Serialize};

use super::candidate::is_false;
use super::pool::Pool;

/// What a student should say to an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RowAnswer {
    /// A text.
    Text {
        /// The answer.
        text: String,
        /// Whether it was cut back to its last full sentence.
        repaired: bool,
        /// Whether something in it was replaced by a placeholder.
        #[serde(default, skip_serializing_if = "is_false")]
        redacted: bool,
    },
    /// A distribution over choices.
    Labels {
        /// The choices.
        choices: Vec<String>,
        /// The probability of each; they sum to 1.
        probabilities: Vec<f64>,
    },
}

/// One row of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetRow {
    /// What the row is about: [`Candidate::item_of`](super::Candidate::item_of) the input.
    pub item: String,
    /// The bare text that the student sees.
    pub input: String,
    /// What it should say.
    pub answer: RowAnswer,
    /// The traces that the row was made from.
    pub trace_ids: Vec<String>,
}

/// One row for each text kept and one for each item with labels, where its first kept answer stood.
pub(super) fn rows(pool: &Pool) -> Vec<DatasetRow> {
    let mut placed = Vec::new();
    for members in pool.items() {
        if let Some(probabilities) = pool.merged(&members) {
            placed.push((members[0], labels(pool, &members, probabilities)));
        } else {
            placed.extend(members.iter().map(|&member| (member, text(pool, member))));
        }
    }
    placed.sort_by_key(|(member, _)| *member);
    placed.into_iter().map(|(_, row)| row).collect()
}

fn labels(pool: &Pool, members: &[usize], probabilities: Vec<f64>) -> DatasetRow {
    let first = pool.candidate(members[0]);
    let choices = first.choices.as_ref().map(|c| c.choices.clone());
    let trace_ids = members.iter().map(|&m| pool.candidate(m).trace_id.clone());
    DatasetRow {
        item: first.item.clone(),
        input: first.input.clone(),
        answer: RowAnswer::Labels {
            choices: choices.unwrap_or_default(),
            probabilities,
        },
        trace_ids: trace_ids.collect(),
    }
}

fn text(pool: &Pool, member: usize) -> DatasetRow {
    let candidate = pool.candidate(member);
    DatasetRow {
        item: candidate.item.clone(),
        input: candidate.input.clone(),
        answer: RowAnswer::Text {
            text: candidate.answer.clone(),
            repaired: pool.is_repaired(member),
            redacted: candidate.redacted,
        },
        trace_ids: vec![candidate.trace_id.clone()],
    }
}
