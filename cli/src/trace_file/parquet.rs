//! Traces as Apache Parquet, written column by column without Arrow.
//!
//! Lists have the three levels of the format's specification (`LogicalTypes.md`, "Lists"), which every reader knows.

use std::io::Write;
use std::sync::Arc;

use limbeck_store::Message;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::{Row, Verdict};

/// The receipt is JSON text: its parts differ from one way of asking to the next.
const SCHEMA: &str = "
message traces {
  required binary prompt_id (STRING);
  required int32 sample;
  required binary teacher (STRING);
  required group messages (LIST) {
    repeated group list {
      required group element {
        required binary role (STRING);
        required binary content (STRING);
      }
    }
  }
  optional binary reasoning (STRING);
  required binary finish_reason (STRING);
  required group usage {
    required int64 prompt_tokens;
    required int64 completion_tokens;
  }
  optional boolean kept;
  required group verdicts (LIST) {
    repeated group list {
      required group element {
        required binary check (STRING);
        required boolean keep;
        optional double value;
        required binary reason (STRING);
      }
    }
  }
  required binary receipt (STRING);
}";

/// Rows of one group, which are in memory together...
const ROWS_IN_A_GROUP: usize = 4096;
/// ...unless their texts have more bytes than this.
const BYTES_IN_A_GROUP: usize = 32 * 1024 * 1024;

/// A Parquet file of traces that is being written.
pub struct ParquetFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    group: Vec<Row>,
    bytes: usize,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins the file.
    pub fn create(file: W) -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        Ok(Self {
            writer: SerializedFileWriter::new(file, schema, Arc::new(properties))?,
            group: Vec::new(),
            bytes: 0,
        })
    }

    /// Adds a row; a full group is written.
    pub fn write(&mut self, row: Row) -> Result<()> {
        let texts = row.messages.iter().map(|message| message.content.len());
        self.bytes += texts.sum::<usize>() + row.reasoning.as_ref().map_or(0, String::len);
        self.group.push(row);
        if self.group.len() >= ROWS_IN_A_GROUP || self.bytes >= BYTES_IN_A_GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    pub fn finish(mut self) -> Result<W> {
        if !self.group.is_empty() {
            self.write_group()?;
        }
        self.writer.into_inner()
    }

    /// The columns, in the order of the schema.
    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.group);
        self.bytes = 0;
        let mut group = self.writer.next_row_group()?;
        texts(&mut group, &rows, |row| &row.prompt_id)?;
        let samples: Vec<i32> = rows.iter().map(|row| row.sample as i32).collect();
        column::<Int32Type, _>(&mut group, &samples, None, None)?;
        texts(&mut group, &rows, |row| &row.teacher)?;
        let messages = Lists::of(&rows, |row| &row.messages);
        messages.required::<ByteArrayType, _>(&mut group, |m: &&Message| text(&m.role))?;
        messages.required::<ByteArrayType, _>(&mut group, |m: &&Message| text(&m.content))?;
        optional::<ByteArrayType, _>(&mut group, &rows, |row| row.reasoning.as_deref().map(text))?;
        texts(&mut group, &rows, |row| row.finish_reason.name())?;
        let usage: Vec<i64> = rows
            .iter()
            .map(|row| row.usage.prompt_tokens.into())
            .collect();
        column::<Int64Type, _>(&mut group, &usage, None, None)?;
        let usage: Vec<i64> = rows
            .iter()
            .map(|row| row.usage.completion_tokens.into())
            .collect();
        column::<Int64Type, _>(&mut group, &usage, None, None)?;
        optional::<BoolType, _>(&mut group, &rows, |row| row.kept)?;
        write_verdicts(&mut group, &rows)?;
        let receipts = rows.iter().map(|row| serde_json::to_string(&row.receipt));
        let receipts = receipts.map(|receipt| Ok(text(&receipt.map_err(external)?)));
        let receipts = receipts.collect::<Result<Vec<_>>>()?;
        column::<ByteArrayType, _>(&mut group, &receipts, None, None)?;
        group.close()?;
        Ok(())
    }
}

fn write_verdicts<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
) -> Result<()> {
    let verdicts = Lists::of(rows, |row| &row.verdicts);
    verdicts.required::<ByteArrayType, _>(group, |v: &&Verdict| text(&v.check))?;
    verdicts.required::<BoolType, _>(group, |v: &&Verdict| v.keep)?;
    // A value in a list that holds one is defined once more than the list.
    let mut items = verdicts.items.iter();
    let defined = verdicts.defined.iter().map(|&level| match level {
        0 => 0,
        _ => 1 + i16::from(items.next().is_some_and(|verdict| verdict.value.is_some())),
    });
    let defined: Vec<i16> = defined.collect();
    let values: Vec<f64> = verdicts.items.iter().filter_map(|v| v.value).collect();
    column::<DoubleType, _>(group, &values, Some(&defined), Some(&verdicts.repeated))?;
    verdicts.required::<ByteArrayType, _>(group, |v: &&Verdict| text(&v.reason))
}

/// The items of one list column, and Dremel's levels of them: where a list begins, and which are empty.
struct Lists<'a, T> {
    items: Vec<&'a T>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

impl<'a, T> Lists<'a, T> {
    fn of(rows: &'a [Row], list: impl Fn(&'a Row) -> &'a Vec<T>) -> Self {
        let (mut items, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let list = list(row);
            if list.is_empty() {
                defined.push(0);
                repeated.push(0);
            }
            for (index, item) in list.iter().enumerate() {
                items.push(item);
                defined.push(1);
                repeated.push(i16::from(index > 0));
            }
        }
        Self {
            items,
            defined,
            repeated,
        }
    }

    /// A column of a field that every item has.
    fn required<D: DataType, W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        field: impl Fn(&&'a T) -> D::T,
    ) -> Result<()> {
        let values: Vec<D::T> = self.items.iter().map(field).collect();
        column::<D, W>(group, &values, Some(&self.defined), Some(&self.repeated))
    }
}

fn texts<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
    field: impl Fn(&Row) -> &str,
) -> Result<()> {
    let values: Vec<ByteArray> = rows.iter().map(|row| text(field(row))).collect();
    column::<ByteArrayType, W>(group, &values, None, None)
}

fn optional<D: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
    field: impl Fn(&Row) -> Option<D::T>,
) -> Result<()> {
    let values: Vec<Option<D::T>> = rows.iter().map(field).collect();
    let defined: Vec<i16> = values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect();
    let values: Vec<D::T> = values.into_iter().flatten().collect();
    column::<D, W>(group, &values, Some(&defined), None)
}

fn column<D: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[D::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> Result<()> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| external("more columns than the schema has"))?;
    column.typed::<D>().write_batch(values, defined, repeated)?;
    column.close()
}

fn text(text: &str) -> ByteArray {
    text.into()
}

fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ParquetError {
    ParquetError::External(error.into())
}
