//! JSONL, CSV and TSV.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::rows::Read;
use super::{Row, RowProblem, TableError};

/// What some editors put at the start of a file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One JSON object a line; blank lines are no rows.
pub(super) struct JsonLines {
    input: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl JsonLines {
    pub(super) fn new(file: File) -> Self {
        Self {
            input: BufReader::new(file),
            line: Vec::new(),
            number: 0,
        }
    }

    pub(super) fn read_from(&mut self, from: u64, path: &Path) -> Result<Option<Read>, TableError> {
        loop {
            self.line.clear();
            let read = self.input.read_until(b'\n', &mut self.line);
            let read = read.map_err(|source| TableError::Read {
                path: path.to_owned(),
                source,
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            let bytes = match self.line.strip_prefix(BYTE_ORDER_MARK) {
                Some(rest) if number == 1 => rest,
                _ => &self.line,
            };
            if number < from || bytes.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(match json_object(bytes) {
                Ok(columns) => Ok(Row { number, columns }),
                Err(message) => Err(RowProblem {
                    row: number,
                    message,
                }),
            }));
        }
    }
}

/// The object that a line holds, or what is wrong with it. Bytes that are no UTF-8 become U+FFFD.
pub fn json_object(line: &[u8]) -> Result<Map<String, Value>, String> {
    // The end of the line is not of the text: a row that breaks off would be said to do so at column 0.
    let text = String::from_utf8_lossy(line.trim_ascii_end());
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => object(value),
        Err(error) => {
            // serde_json counts lines within the text it is given, which is one line.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message);
            let column = error.column();
            Err(format!("not valid JSON at column {column}: {message}"))
        }
    }
}

/// The object that a value is, or what it is instead.
pub fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(columns) => Ok(columns),
        other => Err(format!("{} instead of an object", kind_of(&other))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A header line and rows of as many fields.
pub(super) struct Separated {
    input: Reader<BufReader<File>>,
    names: Vec<String>,
    record: ByteRecord,
    number: u64,
}

impl Separated {
    pub(super) fn open(file: File, delimiter: u8, path: &Path) -> Result<Self, TableError> {
        let mut input = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(BufReader::new(file));
        let header = input
            .byte_headers()
            .map_err(|error| TableError::broken(path, error))?;
        let names = header_names(header).map_err(|message| TableError::broken(path, message))?;
        Ok(Self {
            input,
            names,
            record: ByteRecord::new(),
            number: 0,
        })
    }

    pub(super) fn read_from(&mut self, from: u64, path: &Path) -> Result<Option<Read>, TableError> {
        while self
            .input
            .read_byte_record(&mut self.record)
            .map_err(|error| TableError::broken(path, error))?
        {
            self.number += 1;
            if self.number >= from {
                return Ok(Some(self.row()));
            }
        }
        Ok(None)
    }

    fn row(&self) -> Read {
        let (number, record) = (self.number, &self.record);
        if record.len() != self.names.len() {
            let line = record.position().map_or(0, csv::Position::line);
            let message = format!(
                "{} fields instead of {} (line {line})",
                record.len(),
                self.names.len()
            );
            return Err(RowProblem {
                row: number,
                message,
            });
        }
        let text = |field| Value::String(String::from_utf8_lossy(field).into_owned());
        let fields = self.names.iter().cloned().zip(record.iter().map(text));
        Ok(Row {
            number,
            columns: fields.collect(),
        })
    }
}

fn header_names(header: &ByteRecord) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (index, field) in header.iter().enumerate() {
        let field = match field.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if index == 0 => rest,
            _ => field,
        };
        let name = String::from_utf8_lossy(field).trim().to_owned();
        if names.contains(&name) {
            return Err(format!("its header names the column `{name}` twice"));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err("it has no header line".to_owned());
    }
    Ok(names)
}
