//! Suites and prompts out of rows: seeded, and the same for the same rows in any order and company.
//!
//! A row is drawn by a hash of its text and the seed, not by its place, so that rows added or removed elsewhere in a
//! file leave most of the sample as it was, and what was harvested stays useful.

use std::collections::{BTreeMap, HashSet};

use limbeck_store::normalise;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::near::NearIndex;
use super::template::{Expression, TemplateError};
use super::{RowProblem, Table};

/// A row with the text that the student sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The row's number in its file.
    pub row: u64,
    /// The row's values.
    pub columns: Map<String, Value>,
    /// The bare text.
    pub input: String,
    /// The text [normalised](limbeck_store::normalise()): what duplicates have in common.
    pub key: String,
    /// The normalised text as the file has it, where that differs: rows are drawn by it, so that the same rows are
    /// drawn whatever is replaced in them.
    pub drawn_by: Option<String>,
}

/// What is made of a row that passes the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The bare text that the student sees.
    pub text: String,
    /// What it would be if nothing were replaced in the row, where that differs.
    pub as_it_came: Option<String>,
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self {
            text,
            as_it_came: None,
        }
    }
}

/// The rows of a table that pass its filter.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_field_names,
    reason = "the items beside what did not become one"
)]
pub struct Items {
    /// In the order of the file.
    pub items: Vec<Item>,
    /// Rows on which the filter or the input's template failed.
    pub problems: Vec<RowProblem>,
    /// Rows whose input is empty, for example a message that was nothing but a link.
    pub empty: usize,
}

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

/// What prompts are made of.
#[derive(Clone, Debug, Default)]
pub struct PromptPool {
    /// The rows drawn.
    pub items: Vec<Item>,
    /// Rows left out because they are, or nearly are, in a suite.
    pub near_suite: usize,
}

impl Items {
    /// Filters a table and gives each row its input. Fails where no row can pass: a column that the filter needs is
    /// missing, or the filter or the input fails on every row.
    pub fn of(
        table: Table,
        filter: Option<&Expression>,
        input: impl Fn(&Map<String, Value>) -> Result<Input, TemplateError>,
    ) -> Result<Self, TemplateError> {
        let mut found = Self::default();
        let mut first_error = None;
        let mut worked = false;
        let passes = passes(&table, filter)?;
        for (row, passes) in table.rows.into_iter().zip(passes) {
            let text = match passes {
                Ok(false) => {
                    worked = true;
                    continue;
                }
                Ok(true) => input(&row.columns),
                Err(error) => Err(error),
            };
            match text {
                Ok(input) => {
                    worked = true;
                    found.push(row.number, row.columns, input);
                }
                // A branch that the recipe's check did not reach; it will not work on any other row either.
                Err(error @ TemplateError::Syntax { .. }) => return Err(error),
                Err(error) => {
                    let message = error.to_string();
                    first_error.get_or_insert(error);
                    found.problems.push(RowProblem {
                        row: row.number,
                        message,
                    });
                }
            }
        }
        match first_error {
            Some(error) if !worked => Err(error),
            _ => Ok(found),
        }
    }

    fn push(&mut self, row: u64, columns: Map<String, Value>, input: Input) {
        let key = normalise(&input.text);
        if key.is_empty() {
            self.empty += 1;
            return;
        }
        self.items.push(Item {
            row,
            columns,
            input: input.text,
            key,
            drawn_by: input.as_it_came.map(|text| normalise(&text)),
        });
    }
}

fn passes(
    table: &Table,
    filter: Option<&Expression>,
) -> Result<Vec<Result<bool, TemplateError>>, TemplateError> {
    match filter {
        Some(filter) => {
            filter.require(&table.columns)?;
            filter.holds(table.rows.iter().map(|row| &row.columns))
        }
        None => Ok(vec![Ok(true); table.rows.len()]),
    }
}

/// Draws an evaluation suite; a text that occurs twice counts once. Fails if an item lacks the column to balance.
pub fn draw_suite(items: Vec<Item>, draw: &Draw) -> Result<Vec<Item>, TemplateError> {
    take(first_of_each(items), draw)
}

/// Draws prompts from what is left once the suites, and what is near them, are taken out. Fails if an item lacks the
/// column to balance.
pub fn draw_prompts(
    items: Vec<Item>,
    suites: &NearIndex,
    draw: &Draw,
) -> Result<PromptPool, TemplateError> {
    let unique = first_of_each(items);
    let far: Vec<Item> = unique
        .iter()
        .filter(|item| !suites.is_near(&item.key))
        .cloned()
        .collect();
    Ok(PromptPool {
        near_suite: unique.len() - far.len(),
        items: take(far, draw)?,
    })
}

fn first_of_each(items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashSet::new();
    items
        .into_iter()
        .filter(|item| seen.insert(item.key.clone()))
        .collect()
}

/// An item with its rank in the draw and its place in the file.
type Ranked = ([u8; 32], usize, Item);

fn take(items: Vec<Item>, draw: &Draw) -> Result<Vec<Item>, TemplateError> {
    let mut ranked: Vec<Ranked> = items
        .into_iter()
        .enumerate()
        .map(|(place, item)| {
            (
                rank(item.drawn_by.as_ref().unwrap_or(&item.key), draw.seed),
                place,
                item,
            )
        })
        .collect();
    ranked.sort_by_key(|(rank, place, _)| (*rank, *place));
    if let Some(column) = &draw.balance {
        ranked = balanced(ranked, column, draw.sample)?;
    } else if let Some(sample) = draw.sample {
        ranked.truncate(sample);
    }
    if !draw.shuffle {
        ranked.sort_by_key(|(_, place, _)| *place);
    }
    Ok(ranked.into_iter().map(|(_, _, item)| item).collect())
}

fn rank(key: &str, seed: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(key);
    hasher.finalize().into()
}

fn balanced(
    ranked: Vec<Ranked>,
    column: &str,
    sample: Option<usize>,
) -> Result<Vec<Ranked>, TemplateError> {
    // A value's JSON text: 1 and "1" are different values.
    let mut values = Vec::with_capacity(ranked.len());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, _, item) in &ranked {
        let value = item.columns.get(column).ok_or_else(|| {
            let row = item.row;
            TemplateError::Row(format!("row {row} has no column `{column}` to balance"))
        })?;
        let value = value.to_string();
        *counts.entry(value.clone()).or_default() += 1;
        values.push(value);
    }
    let rarest = counts.values().copied().min().unwrap_or(0);
    let share = match sample {
        Some(sample) => rarest.min(sample / counts.len().max(1)),
        None => rarest,
    };
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let chosen = ranked.into_iter().zip(values).filter(|(_, value)| {
        let taken = taken.entry(value.clone()).or_default();
        *taken += 1;
        *taken <= share
    });
    Ok(chosen.map(|(ranked, _)| ranked).collect())
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
