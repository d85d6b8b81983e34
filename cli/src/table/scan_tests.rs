#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::table::{Template, testing};

struct Scanned {
    scan: Scan,
    checked: Result<(), TemplateError>,
}

fn scanned(rows: &[Value], filter: &str) -> Scanned {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    let file = testing::row_file(&path).unwrap();
    let input = Template::compile("{{ text }}").unwrap();
    let filter = Expression::compile(filter).unwrap();
    let with = Scanning {
        filter: Some(&filter),
        input: &|columns| input.render(columns).map(Into::into),
        near: &NearIndex::default(),
        strict: false,
    };
    let scan = Scan::of(&file, Draw::default(), &with).unwrap();
    let checked = scan.check(Some(&filter));
    Scanned { scan, checked }
}

fn rows_of(scan: Scan) -> Vec<u64> {
    let rows = scan.candidates.draw().unwrap();
    rows.iter().map(|row| row.number).collect()
}

#[test]
fn rows_are_filtered_and_those_that_fail_are_named() {
    let rows = [
        json!({"text": "a", "n": "1"}),
        json!({"text": "b", "n": "x"}),
        json!({"n": "1"}),
        json!({"text": " ", "n": "1"}),
        json!({"text": "c", "n": "0"}),
    ];
    let Scanned { scan, checked } = scanned(&rows, "n|int > 0");
    checked.unwrap();
    assert_eq!(scan.columns, ["text", "n"]);
    assert_eq!((scan.empty, scan.failed.count), (1, 2));
    let problems: Vec<u64> = scan
        .failed
        .first
        .iter()
        .map(|problem| problem.row)
        .collect();
    assert_eq!(problems, [2, 3]);
    assert_eq!(scan.failed.first[1].message, "it has no column `text`");
    assert_eq!(rows_of(scan), [1]);
}

#[test]
fn only_the_first_problems_are_kept() {
    let mut rows = vec![json!({"text": "a", "n": "1"})];
    rows.extend((0..100).map(|_| json!({"n": "1"})));
    let failed = scanned(&rows, "n|int > 0").scan.failed;
    assert_eq!((failed.count, failed.first.len()), (100, 5));
    assert_eq!(failed.first[4].row, 6);
}

#[test]
fn a_filter_that_cannot_work_is_an_error_and_one_that_matches_nothing_is_not() {
    let rows = [
        json!({"text": "a", "n": "x"}),
        json!({"text": "b", "n": "y"}),
    ];
    assert!(scanned(&rows, "n|int > 0").checked.is_err());
    let error = scanned(&rows, "m == 1").checked.unwrap_err();
    assert!(
        matches!(error, TemplateError::MissingColumn { .. }),
        "{error:?}"
    );
    // Only a row takes this branch, and not the check of the recipe.
    let error = scanned(&rows, "n == 'x' and text|shout == 'A'")
        .checked
        .unwrap_err();
    assert!(matches!(error, TemplateError::Syntax { .. }), "{error:?}");
    let nothing = scanned(&rows, "n == 'z'");
    nothing.checked.unwrap();
    assert_eq!(nothing.scan.candidates.len(), 0);
}
