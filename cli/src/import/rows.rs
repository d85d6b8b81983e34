//! Rows of a file, one at a time: JSON lines, or one JSON list.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;
use serde::Deserializer;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::table::{BYTE_ORDER_MARK, json_object, object};

/// The longest row, so that a file of one endless line does not fill the memory.
const LONGEST_ROW: u64 = 64 * 1024 * 1024;

/// What is done with each row: its number, counted from 1, and the row or what is wrong with it.
pub type EachRow<'a> =
    dyn FnMut(u64, Result<Map<String, Value>, String>) -> anyhow::Result<()> + 'a;

/// Whether the file is one JSON list rather than JSON lines: its first character says so.
pub fn is_list(path: &Path) -> anyhow::Result<bool> {
    let first = || -> io::Result<Option<u8>> {
        let mut input = BufReader::new(File::open(path)?);
        skip_mark(&mut input)?;
        for byte in input.bytes() {
            let byte = byte?;
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
        }
        Ok(None)
    };
    let first = first().with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(first == Some(b'['))
}

/// Reads JSON lines; blank ones are no rows.
pub fn read_lines(path: &Path, each: &mut EachRow<'_>) -> anyhow::Result<()> {
    let cannot_read = || format!("cannot read `{}`", path.display());
    let mut input = BufReader::new(File::open(path).with_context(cannot_read)?);
    let mut line = Vec::new();
    let mut number = 0;
    skip_mark(&mut input).with_context(cannot_read)?;
    loop {
        line.clear();
        let fits = read_line(&mut input, &mut line).with_context(cannot_read)?;
        if line.is_empty() {
            return Ok(());
        }
        number += 1;
        if !fits {
            each(number, Err(format!("longer than {LONGEST_ROW} bytes")))?;
        } else if !line.trim_ascii().is_empty() {
            each(number, json_object(&line))?;
        }
    }
}

/// Reads the next line into `line`, which stays empty at the end of the file; whether it is of a length that is
/// read. The rest of one that is not is passed over.
pub fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let read = input.take(LONGEST_ROW).read_until(b'\n', line)?;
    if (read as u64) < LONGEST_ROW || line.ends_with(b"\n") {
        return Ok(true);
    }
    input.skip_until(b'\n')?;
    Ok(false)
}

/// Reads the objects of one JSON list. What follows a broken one cannot be found, so that is an error.
pub fn read_list(path: &Path, each: &mut EachRow<'_>) -> anyhow::Result<()> {
    let cannot_read = || format!("cannot read `{}`", path.display());
    let mut input = BufReader::new(File::open(path).with_context(cannot_read)?);
    skip_mark(&mut input).with_context(cannot_read)?;
    let mut list = serde_json::Deserializer::from_reader(input);
    let mut rows = Rows {
        each,
        number: 0,
        stopped: None,
    };
    let read = list.deserialize_seq(&mut rows).and_then(|()| list.end());
    if let Some(error) = rows.stopped {
        return Err(error);
    }
    let row = rows.number + 1;
    read.with_context(|| {
        let path = path.display();
        format!("`{path}` is not a JSON list that can be read, from row {row} on")
    })
}

/// Passes over a byte order mark at the start of the file.
fn skip_mark(input: &mut BufReader<File>) -> io::Result<()> {
    if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        input.seek_relative(BYTE_ORDER_MARK.len() as i64)?;
    }
    Ok(())
}

struct Rows<'a, 'b> {
    each: &'a mut EachRow<'b>,
    number: u64,
    /// What `each` stopped at; serde's own errors cannot carry it.
    stopped: Option<anyhow::Error>,
}

impl<'de> Visitor<'de> for &mut Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<Value>()? {
            self.number += 1;
            if let Err(error) = (self.each)(self.number, object(value)) {
                self.stopped = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
