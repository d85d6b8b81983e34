#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::sync::Arc;

use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use serde_json::json;
use tempfile::TempDir;

use super::testing::Table;
use super::*;

fn read(name: &str, content: &[u8], strict: bool) -> anyhow::Result<Table> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    testing::read(&path, strict)
}

fn rows(table: &Table) -> Vec<(u64, Value)> {
    let row = |row: &Row| (row.number, Value::Object(row.columns.clone()));
    table.rows.iter().map(row).collect()
}

fn problems(table: &Table) -> Vec<String> {
    let malformed = &table.scan.malformed;
    assert_eq!(malformed.count, malformed.first.len());
    malformed.first.iter().map(ToString::to_string).collect()
}

#[test]
fn malformed_lines_of_jsonl_are_named_and_the_rest_loads() {
    let content =
        b"\xef\xbb\xbf{\"text\": \"a\"}\n\n{\"text\": \n[1]\n{\"text\": \"b\", \"n\": 2}\n";
    let table = read("a.jsonl", content, false).unwrap();
    assert_eq!(
        rows(&table),
        [(1, json!({"text": "a"})), (5, json!({"text": "b", "n": 2}))]
    );
    assert_eq!(table.scan.columns, ["text", "n"]);
    assert_eq!(
        problems(&table),
        [
            "row 3: not valid JSON at column 8: EOF while parsing a value",
            "row 4: a list instead of an object"
        ]
    );
    let error = read("a.jsonl", content, true).err().unwrap().to_string();
    assert!(error.contains("a.jsonl`, row 3: not valid JSON"), "{error}");
}

#[test]
fn malformed_rows_of_csv_are_named_and_the_rest_loads() {
    let content =
        b"text,label\n\"a, \"\"quoted\"\"\nline\",positive\nshort\nb,negative,extra\nc,\n";
    let table = read("a.csv", content, false).unwrap();
    assert_eq!(
        rows(&table),
        [
            (
                1,
                json!({"text": "a, \"quoted\"\nline", "label": "positive"})
            ),
            (4, json!({"text": "c", "label": ""}))
        ]
    );
    assert_eq!(
        problems(&table),
        [
            "row 2: 1 fields instead of 2 (line 4)",
            "row 3: 3 fields instead of 2 (line 5)"
        ]
    );
    let error = read("a.csv", content, true).err().unwrap();
    let error = testing::table_error(&error);
    assert!(matches!(error, TableError::Malformed { .. }), "{error:?}");
}

#[test]
fn tabs_separate_and_numbers_stay_text() {
    let table = read("a.TSV", b"n\ttext\r\n0.50\ta, b\r\n", true).unwrap();
    assert_eq!(rows(&table), [(1, json!({"n": "0.50", "text": "a, b"}))]);
}

#[test]
fn broken_bytes_are_replaced() {
    let table = read("a.csv", b"text\ncaf\xe9\nfine\n", true).unwrap();
    assert_eq!(table.rows[0].columns["text"], json!("caf\u{fffd}"));
    let table = read("a.jsonl", b"{\"text\": \"caf\xe9\"}\n", true).unwrap();
    assert_eq!(table.rows[0].columns["text"], json!("caf\u{fffd}"));
}

#[test]
fn files_without_rows_and_unknown_formats_are_errors() {
    for (name, content, expected) in [
        ("a.jsonl", "", "it holds no rows"),
        ("a.csv", "text,label\n", "it holds no rows"),
        ("a.csv", "", "no header line"),
        ("a.csv", "a,b,a\n1,2,3\n", "the column `a` twice"),
        ("a.jsonl", "nonsense\n", "row 1: not valid JSON"),
        ("a.txt", "text\n", "the format of"),
        ("a.parquet", "PAR1 is not enough", "is not a table"),
    ] {
        let error = read(name, content.as_bytes(), false).err().unwrap();
        let error = error.to_string();
        assert!(error.contains(expected), "{name} {content:?}: {error}");
    }
}

fn write_parquet(path: &Path) {
    let schema = "message rows { REQUIRED BYTE_ARRAY text (UTF8); OPTIONAL DOUBLE confidence; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts = [ByteArray::from("a"), ByteArray::from("ü")];
    column
        .typed::<ByteArrayType>()
        .write_batch(&texts, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<DoubleType>()
        .write_batch(&[0.5], Some(&[1, 0]), None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_rows_have_typed_values() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path);
    let table = testing::read(&path, true).unwrap();
    assert_eq!(
        rows(&table),
        [
            (1, json!({"text": "a", "confidence": 0.5})),
            (2, json!({"text": "ü", "confidence": null}))
        ]
    );
}

#[test]
fn a_cut_off_parquet_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path);
    let whole = fs::read(&path).unwrap();
    for length in [0, 4, 12, whole.len() / 2, whole.len() - 1] {
        let error = read("a.parquet", &whole[..length], false).err().unwrap();
        let error = testing::table_error(&error);
        assert!(matches!(error, TableError::Broken { .. }), "{error:?}");
    }
}

/// The rows with these numbers, read as later readings do it.
fn read_again(file: &RowFile, numbers: &[u64]) -> Vec<anyhow::Result<(u64, Value)>> {
    let row = |(place, &number): (usize, &u64)| DrawnRow {
        number,
        place,
        drawn: place,
    };
    let rows = file.read(numbers.iter().enumerate().map(row)).unwrap();
    rows.map(|read| read.map(|(row, columns)| (row.number, Value::Object(columns))))
        .collect()
}

#[test]
fn chosen_rows_are_found_again_in_every_format() {
    let folder = TempDir::new().unwrap();
    let parquet = folder.path().join("a.parquet");
    write_parquet(&parquet);
    let file = testing::row_file(&parquet).unwrap();
    let found: Vec<_> = read_again(&file, &[2])
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(found, [(2, json!({"text": "ü", "confidence": null}))]);

    let lines = "{\"text\": \"a\"}\n\n{\"text\": \n{\"text\": \"b\"}\n{\"text\": \"c\"}\n";
    let separated = "text\na\nshort,of\nsome\nb\nc\n";
    for (name, content, numbers) in [
        ("a.jsonl", lines, [1, 4, 5]),
        ("a.csv", separated, [1, 4, 5]),
        ("a.tsv", "text\na\nx\tx\nx\nb\nc\n", [1, 4, 5]),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let found = read_again(&testing::row_file(&path).unwrap(), &numbers);
        let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
        let expected = numbers.into_iter().zip(["a", "b", "c"]);
        let expected: Vec<_> = expected
            .map(|(number, text)| (number, json!({ "text": text })))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_file_that_changed_since_it_was_fetched_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.csv");
    let before = "text\na\nb\n";
    for (after, rows_before_the_error) in [
        ("text\na\nB\n", 2),    // known only at the end
        ("text\na\nb\nc\n", 2), // longer
        ("text\na\n", 1),       // the second row is gone
        ("text\na\nb,b\n", 1),  // the second row cannot be read
        ("text\n\"a\nb\n", 1),  // the rows are others
    ] {
        fs::write(&path, before).unwrap();
        let file = testing::row_file(&path).unwrap();
        assert!(file.check_unchanged().is_ok());
        assert!(read_again(&file, &[1, 2]).iter().all(Result::is_ok));
        fs::write(&path, after).unwrap();
        let mut read = read_again(&file, &[1, 2]);
        let error = read.pop().unwrap().unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("a.csv` changed while it was in use"),
            "{error}"
        );
        assert!(read.iter().all(Result::is_ok));
        assert_eq!(read.len(), rows_before_the_error, "{after:?}");
    }
}
