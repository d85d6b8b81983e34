//! Suites and prompts out of rows: seeded, and the same for the same rows in any order and company.
//!
//! A row is drawn by a hash of its text and the seed, not by its place, so that rows added or removed elsewhere in a
//! file leave most of the sample as it was, and what was harvested stays useful. The texts themselves are not kept:
//! there may be a million of them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::template::TemplateError;

/// How many rows are taken, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// At most so many; all if `None`.
    pub sample: Option<usize>,
    /// Another seed draws other rows.
    pub seed: u64,
    /// A column of whose values each gets an equal share: what the rarest can give, or the sample divided by the
    /// number of values, whichever is less.
    pub balance: Option<String>,
    /// In the order of the draw instead of that of the file.
    pub shuffle: bool,
}

/// Stands for a value in rows that lack the column to balance.
const NO_VALUE: u32 = u32::MAX;

/// A row that may be drawn, without what it holds.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// The hash by which it is drawn: the same for the same text, and for no other.
    rank: [u8; 32],
    row: u64,
    /// Which value it has in the column to balance.
    value: u32,
    is_near: bool,
}

/// The rows of which some are drawn.
#[derive(Clone, Debug)]
pub struct Candidates {
    draw: Draw,
    rows: Vec<Candidate>,
    /// The values of the column to balance, as JSON text: 1 and "1" are different values.
    values: HashMap<String, u32>,
    /// The hashes of rows that are not drawn by the text that duplicates have in common.
    drawn_by: HashMap<u64, [u8; 32]>,
}

/// The rows that were drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnRows {
    /// In the order of the file: the row's number, and how many were drawn before it.
    rows: Vec<(u64, u32)>,
    shuffle: bool,
    /// Rows left out because they are, or nearly are, in a suite.
    pub near_suite: usize,
    /// Rows left out because another has the same text.
    pub repeated: usize,
}

/// One of the rows that were drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawnRow {
    /// Its number in the file.
    pub number: u64,
    /// How many are used before it.
    pub place: usize,
    /// How many were drawn before it: a smaller sample of the same rows holds those with the smaller numbers.
    pub drawn: usize,
}

impl Candidates {
    /// None yet.
    pub fn new(draw: Draw) -> Self {
        Self {
            draw,
            rows: Vec::new(),
            values: HashMap::new(),
            drawn_by: HashMap::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row. `key` is its text [normalised](limbeck_store::normalise()): what duplicates have in common, and what
    /// it is drawn by unless [`draw_by`](Self::draw_by) says otherwise.
    pub fn add(&mut self, row: u64, key: &str, columns: &Map<String, Value>, is_near: bool) {
        let column = self.draw.balance.as_ref();
        let value = column.and_then(|column| columns.get(column));
        let value = value.map_or(NO_VALUE, |value| {
            let next = self.values.len() as u32;
            *self.values.entry(value.to_string()).or_insert(next)
        });
        self.rows.push(Candidate {
            rank: rank(key, self.draw.seed),
            row,
            value,
            is_near,
        });
    }

    /// Has a row drawn by another normalised text than what duplicates have in common.
    pub fn draw_by(&mut self, row: u64, text: &str) {
        self.drawn_by.insert(row, rank(text, self.draw.seed));
    }

    /// Draws. A text that occurs twice counts once, and what is near a suite is left out. Fails if a row lacks the
    /// column to balance.
    pub fn draw(self) -> Result<DrawnRows, TemplateError> {
        let Self {
            draw,
            rows: mut ranked,
            drawn_by,
            ..
        } = self;
        ranked.sort_unstable_by_key(|candidate| (candidate.rank, candidate.row));
        let all = ranked.len();
        ranked.dedup_by_key(|candidate| candidate.rank);
        let unique = ranked.len();
        ranked.retain(|candidate| !candidate.is_near);
        let near_suite = unique - ranked.len();
        if !drawn_by.is_empty() {
            for candidate in &mut ranked {
                if let Some(rank) = drawn_by.get(&candidate.row) {
                    candidate.rank = *rank;
                }
            }
            ranked.sort_unstable_by_key(|candidate| (candidate.rank, candidate.row));
        }
        if let Some(column) = &draw.balance {
            balance(&mut ranked, column, draw.sample)?;
        } else if let Some(sample) = draw.sample {
            ranked.truncate(sample);
        }
        let numbered = ranked.iter().enumerate();
        let mut rows = Vec::with_capacity(ranked.len());
        rows.extend(numbered.map(|(drawn, candidate)| (candidate.row, drawn as u32)));
        rows.sort_unstable();
        Ok(DrawnRows {
            rows,
            shuffle: draw.shuffle,
            near_suite,
            repeated: all - unique,
        })
    }
}

impl DrawnRows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = DrawnRow> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(index, &(number, drawn))| DrawnRow {
            number,
            place: if self.shuffle { drawn as usize } else { index },
            drawn: drawn as usize,
        })
    }
}

fn rank(key: &str, seed: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(key);
    hasher.finalize().into()
}

/// Keeps an equal share of each value.
fn balance(
    ranked: &mut Vec<Candidate>,
    column: &str,
    sample: Option<usize>,
) -> Result<(), TemplateError> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for Candidate { row, value, .. } in &*ranked {
        if *value == NO_VALUE {
            let message = format!("row {row} has no column `{column}` to balance");
            return Err(TemplateError::Row(message));
        }
        *counts.entry(*value).or_default() += 1;
    }
    let rarest = counts.values().copied().min().unwrap_or(0);
    let share = match sample {
        Some(sample) => rarest.min(sample / counts.len().max(1)),
        None => rarest,
    };
    let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
    ranked.retain(|candidate| {
        let taken = taken.entry(candidate.value).or_default();
        *taken += 1;
        *taken <= share
    });
    Ok(())
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
