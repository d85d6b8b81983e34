//! What is written reads back.
#![expect(clippy::unwrap_used, reason = "tests")]

use limbeck_store::Receipt;
use serde_json::{Value, json};

use super::*;
use crate::table::testing;

fn row(number: u32, verdicts: usize) -> Row {
    let verdict = |index: usize| Verdict {
        check: format!("check {index}"),
        keep: index.is_multiple_of(2),
        value: (index % 3 == 1).then_some(0.25 * index as f64),
        reason: "it says\nso".to_owned(),
    };
    Row {
        prompt_id: format!("prompt {number}"),
        sample: number,
        teacher: "somebody|model|import".to_owned(),
        messages: (0..=number % 3)
            .map(|turn| Message::new("user", format!("turn {turn} of {number} ü")))
            .collect(),
        reasoning: number.is_multiple_of(2).then(|| "hm".to_owned()),
        finish_reason: FinishReason::Length,
        usage: Usage {
            prompt_tokens: number,
            completion_tokens: u32::MAX,
        },
        kept: [None, Some(true), Some(false)][number as usize % 3],
        verdicts: (0..verdicts).map(verdict).collect(),
        receipt: Receipt {
            provider: "somebody".to_owned(),
            model: "model".to_owned(),
            model_sha256: None,
            route: "import".to_owned(),
            license: Some("mit".to_owned()),
            limits: Value::Null,
            limbeck_version: "0.1.0".to_owned(),
            request_sha256: "r".to_owned(),
            response_sha256: "s".to_owned(),
            service: None,
            import: None,
            terms: None,
            clarification: None,
        },
    }
}

fn written(name: &str, format: TraceFormat, rows: &[Row]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut sink = TraceSink::create(&path, format).unwrap();
    for row in rows {
        sink.write(row.clone()).unwrap();
    }
    assert!(!path.exists(), "it has no name before it is whole");
    sink.finish().unwrap();
    let table = testing::read(&path, true).unwrap();
    let rows = table.rows.into_iter();
    rows.map(|row| Value::Object(row.columns)).collect()
}

fn rows() -> Vec<Row> {
    (0..7)
        .map(|n| row(n, [0, 1, 4, 0, 0, 2, 0][n as usize]))
        .collect()
}

#[test]
fn json_lines_read_back() {
    let expected: Vec<Value> = rows().iter().map(|row| json!(row)).collect();
    assert_eq!(written("a.jsonl", TraceFormat::Jsonl, &rows()), expected);
}

#[test]
fn parquet_reads_back_as_the_same_with_the_receipt_as_text() {
    // More than one row group.
    let rows: Vec<Row> = rows().into_iter().cycle().take(5000).collect();
    let expected = rows.iter().map(|row| {
        let mut expected = json!(row);
        expected["receipt"] = json!(serde_json::to_string(&row.receipt).unwrap());
        expected
    });
    let expected: Vec<Value> = expected.collect();
    let found = written("a.parquet", TraceFormat::Parquet, &rows);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_file_that_is_not_finished_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let mut sink = TraceSink::create(&path, TraceFormat::Jsonl).unwrap();
    sink.write(row(1, 1)).unwrap();
    drop(sink);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let path = Path::new("/no/such/folder/a.parquet");
    let error = TraceSink::create(path, TraceFormat::Parquet).err().unwrap();
    assert!(error.to_string().contains("/no/such/folder/a.parquet"));
}
