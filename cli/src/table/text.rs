//! JSONL, CSV and TSV.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value};

use super::{Reading, TableError};

/// What some editors put at the start of a file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One JSON object a line; blank lines are no rows.
pub(super) fn read_jsonl(file: File, reading: &mut Reading<'_>) -> Result<(), TableError> {
    let mut input = BufReader::new(file);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        if read.map_err(|error| reading.io_error(error))? == 0 {
            return Ok(());
        }
        number += 1;
        let bytes = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if number == 1 => rest,
            _ => &line,
        };
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        match json_object(bytes) {
            Ok((columns, is_repaired)) => {
                reading.row(number, columns);
                reading.table.repaired += u64::from(is_repaired);
            }
            Err(message) => reading.problem(number, message)?,
        }
    }
}

/// The object that a line holds, and whether bytes in it were no UTF-8 and were replaced; or what is wrong with it.
pub fn json_object(line: &[u8]) -> Result<(Map<String, Value>, bool), String> {
    let text = String::from_utf8_lossy(line);
    let is_repaired = matches!(text, Cow::Owned(_));
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => object(value).map(|columns| (columns, is_repaired)),
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

/// A header line and rows of as many fields, separated by `delimiter`.
pub(super) fn read_separated(
    file: File,
    delimiter: u8,
    reading: &mut Reading<'_>,
) -> Result<(), TableError> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(BufReader::new(file));
    let header = reader
        .byte_headers()
        .map_err(|error| reading.broken(error))?;
    let names = header_names(header).map_err(|message| reading.broken(message))?;
    let mut record = ByteRecord::new();
    let mut number = 0;
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| reading.broken(error))?
    {
        number += 1;
        if record.len() != names.len() {
            let line = record.position().map_or(0, csv::Position::line);
            let message = format!(
                "{} fields instead of {} (line {line})",
                record.len(),
                names.len()
            );
            reading.problem(number, message)?;
            continue;
        }
        let mut is_repaired = false;
        let mut columns = Map::new();
        for (name, field) in names.iter().zip(&record) {
            let text = String::from_utf8_lossy(field);
            is_repaired |= matches!(text, Cow::Owned(_));
            columns.insert(name.clone(), Value::String(text.into_owned()));
        }
        reading.row(number, columns);
        reading.table.repaired += u64::from(is_repaired);
    }
    Ok(())
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
