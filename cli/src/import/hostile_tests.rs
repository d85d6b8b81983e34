//! No row and no file is too hostile.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::tests::importer;
use super::*;

/// Values made of the words that the formats know, so that the readers are taken down every path.
fn values() -> impl Strategy<Value = Value> {
    let words = [
        "messages",
        "conversations",
        "from",
        "value",
        "role",
        "content",
        "user",
        "assistant",
        "human",
        "gpt",
        "instruction",
        "input",
        "output",
        "history",
        "custom_id",
        "r-1",
        "r-2",
        "response",
        "status_code",
        "body",
        "choices",
        "message",
        "index",
        "logprobs",
        "usage",
        "prompt_tokens",
        "error",
        "code",
        "finish_reason",
        "type",
        "text",
        "system",
        "object",
        "status",
        "completed",
        "output_text",
        "refusal",
        "reasoning",
        "summary",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(200)),
        word.clone().prop_map(Value::from),
        "\\PC{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_row_is_too_hostile(fields in prop::collection::vec(("[a-z_]{1,14}", values()), 0..3), row in values()) {
        let mut row = match row {
            Value::Object(row) => row,
            other => Map::from_iter([("messages".to_owned(), other.clone()), ("conversations".to_owned(), other)]),
        };
        row.extend(fields);
        row.insert("custom_id".to_owned(), json!("r-1"));
        for format in Format::value_variants() {
            let requests = (*format == Format::OpenaiBatch).then_some("batch-input.jsonl");
            if let Ok(records) = importer(*format, requests).row(1, &row) {
                prop_assert!(records.len() <= 6);
            }
        }
    }

    #[test]
    fn no_file_is_too_hostile(bytes in prop::collection::vec(any::<u8>(), 0..300), list in any::<bool>()) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let start: &[u8] = if list { b"[{\"instruction\": \"a\", \"output\": \"b\"}, " } else { b"" };
        std::io::Write::write_all(&mut file, &[start, &bytes].concat()).unwrap();
        let mut importer = importer(Format::Alpaca, None);
        let mut each = |number, row: Result<_, String>| {
            // Whatever it comes to is well.
            drop(row.and_then(|row| importer.row(number, &row)));
            Ok(())
        };
        let read = if rows::is_list(file.path()).unwrap() { rows::read_list(file.path(), &mut each) } else { rows::read_lines(file.path(), &mut each) };
        prop_assert!(list || read.is_ok() || bytes.trim_ascii_start().first() == Some(&b'['));
    }
}
