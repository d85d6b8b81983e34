//! The first reading of a file: which rows can be used, and what a draw needs to know of them.

use limbeck_store::normalise;
use serde_json::{Map, Value};

use super::draw::{Candidates, Draw};
use super::near::NearIndex;
use super::template::{Condition, Expression, TemplateError};
use super::{Row, RowFile, RowProblem, TableError};

/// Rows that could not be used: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// All of them.
    pub count: usize,
    /// As many as a person wants to read.
    pub first: Vec<RowProblem>,
}

/// What is made of a row that passes the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The bare text that the student sees.
    pub text: String,
    /// What it would be if nothing were replaced in the row, where that differs: rows are drawn by it, so that the same
    /// rows are drawn whatever is replaced in them.
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

/// Makes the input of a row.
pub type InputOf<'a> = dyn Fn(&Map<String, Value>) -> Result<Input, TemplateError> + 'a;

/// What the rows of a file are looked at with.
pub struct Scanning<'a> {
    /// The condition on their columns.
    pub filter: Option<&'a Expression>,
    /// The bare text of a row.
    pub input: &'a InputOf<'a>,
    /// Texts that are kept apart.
    pub near: &'a NearIndex,
    /// A malformed row is an error.
    pub strict: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The names of all columns, in the order of their first use.
    pub columns: Vec<String>,
    /// The rows that pass the filter and have a text.
    pub candidates: Candidates,
    /// Rows that could not be read.
    pub malformed: Problems,
    /// Rows on which the filter or the input's template failed.
    pub failed: Problems,
    /// Rows whose input is empty, for example a message that was nothing but a link.
    pub empty: usize,
    /// The first row's mistake of the kind that no row is without.
    invalid: Option<TemplateError>,
    first_error: Option<TemplateError>,
    worked: bool,
}

impl Problems {
    const NAMED: usize = 5;

    /// Adds one.
    pub fn add(&mut self, problem: RowProblem) {
        self.count += 1;
        if self.first.len() < Self::NAMED {
            self.first.push(problem);
        }
    }
}

impl Scan {
    /// Reads the file to its end.
    pub fn of(file: &RowFile, draw: Draw, with: &Scanning<'_>) -> Result<Self, TableError> {
        let mut scan = Self {
            columns: Vec::new(),
            candidates: Candidates::new(draw),
            malformed: Problems::default(),
            failed: Problems::default(),
            empty: 0,
            invalid: None,
            first_error: None,
            worked: false,
        };
        let condition = match with.filter.map(Expression::condition).transpose() {
            Ok(condition) => condition,
            Err(error) => {
                scan.invalid = Some(error);
                None
            }
        };
        let mut rows = file.rows()?;
        let mut has_rows = false;
        while let Some(read) = rows.read()? {
            match read {
                Ok(row) => {
                    has_rows = true;
                    scan.row(&row, condition.as_ref(), with);
                }
                Err(problem) if with.strict => {
                    let path = file.path().to_owned();
                    return Err(TableError::Malformed { path, problem });
                }
                Err(problem) => scan.malformed.add(problem),
            }
        }
        if has_rows {
            return Ok(scan);
        }
        let first = scan.malformed.first.first().map(RowProblem::to_string);
        Err(TableError::Empty {
            path: file.path().to_owned(),
            message: first.unwrap_or_else(|| "it holds no rows".to_owned()),
        })
    }

    /// Fails where no row can pass: a column that the filter needs is missing, or the filter or the input fails on
    /// every row.
    pub fn check(&self, filter: Option<&Expression>) -> Result<(), TemplateError> {
        if let Some(filter) = filter {
            filter.require(&self.columns)?;
        }
        match (&self.invalid, &self.first_error) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(error)) if !self.worked => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn row(&mut self, row: &Row, condition: Option<&Condition<'_>>, with: &Scanning<'_>) {
        for name in row.columns.keys() {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
            }
        }
        if self.invalid.is_some() {
            return;
        }
        let passes = condition.map_or(Ok(true), |condition| condition.holds(&row.columns));
        let input = match passes {
            Ok(false) => {
                self.worked = true;
                return;
            }
            Ok(true) => (with.input)(&row.columns),
            Err(error) => Err(error),
        };
        match input {
            Ok(input) => {
                self.worked = true;
                let key = normalise(&input.text);
                if key.is_empty() {
                    self.empty += 1;
                } else {
                    let is_near = with.near.is_near(&key);
                    self.candidates.add(row.number, &key, &row.columns, is_near);
                    if let Some(text) = &input.as_it_came {
                        self.candidates.draw_by(row.number, &normalise(text));
                    }
                }
            }
            // A branch that the recipe's check did not reach; it will not work on any other row either.
            Err(error @ TemplateError::Syntax { .. }) => self.invalid = Some(error),
            Err(error) => {
                self.failed.add(RowProblem {
                    row: row.number,
                    message: error.to_string(),
                });
                self.first_error.get_or_insert(error);
            }
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
