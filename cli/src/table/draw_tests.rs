#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::table::{Row, Template};

fn items(texts: impl IntoIterator<Item = String>) -> Vec<Item> {
    let item = |(index, input): (usize, String)| {
        let label = if index % 4 == 0 {
            "positive"
        } else {
            "negative"
        };
        let columns = match json!({"text": input, "label": label}) {
            Value::Object(columns) => columns,
            _ => Map::new(),
        };
        Item {
            row: index as u64 + 1,
            columns,
            key: normalise(&input),
            input,
            drawn_by: None,
        }
    };
    texts.into_iter().enumerate().map(item).collect()
}

fn numbered(range: std::ops::Range<usize>) -> Vec<Item> {
    items(range.map(|n| format!("message number{n} of many")))
}

fn inputs(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.input.as_str()).collect()
}

fn sample(sample: usize, seed: u64) -> Draw {
    Draw {
        sample: Some(sample),
        seed,
        ..Draw::default()
    }
}

#[test]
fn a_draw_repeats_and_another_seed_is_another_draw() {
    let draw = |seed| draw_suite(numbered(0..1000), &sample(100, seed)).unwrap();
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_eq!(first.len(), 100);
    let second = draw(2);
    let common = second.iter().filter(|item| first.contains(item)).count();
    assert!(common < 30, "{common} of 100 are common");
    // In the order of the file.
    assert!(first.is_sorted_by_key(|item| item.row));
}

#[test]
fn what_is_replaced_in_rows_does_not_change_which_are_drawn() {
    let before = draw_suite(numbered(0..1000), &sample(100, 1)).unwrap();
    let mut replaced = numbered(0..1000);
    for item in &mut replaced {
        let input = item.input.replace("message", "[note]");
        item.drawn_by = Some(std::mem::replace(&mut item.key, normalise(&input)));
        item.input = input;
    }
    let after = draw_suite(replaced, &sample(100, 1)).unwrap();
    let rows = |items: &[Item]| items.iter().map(|item| item.row).collect::<Vec<_>>();
    assert_eq!(rows(&before), rows(&after));
    assert!(after[0].input.starts_with("[note]"));
}

#[test]
fn rows_added_elsewhere_change_little() {
    let before = draw_suite(numbered(0..1000), &sample(100, 1)).unwrap();
    let after = draw_suite(numbered(0..1100), &sample(100, 1)).unwrap();
    let before = inputs(&before);
    let kept = inputs(&after)
        .iter()
        .filter(|input| before.contains(input))
        .count();
    assert!(kept > 75, "{kept} of 100 are kept");
}

#[test]
fn a_shuffled_draw_has_the_same_rows_in_another_order() {
    let plain = draw_suite(numbered(0..100), &sample(50, 1)).unwrap();
    let draw = Draw {
        shuffle: true,
        ..sample(50, 1)
    };
    let mut shuffled = draw_suite(numbered(0..100), &draw).unwrap();
    assert_ne!(plain, shuffled);
    shuffled.sort_by_key(|item| item.row);
    assert_eq!(plain, shuffled);
}

#[test]
fn values_get_equal_shares() {
    let balanced = |sample| {
        let draw = Draw {
            sample,
            balance: Some("label".to_owned()),
            ..Draw::default()
        };
        let items = draw_suite(numbered(0..100), &draw).unwrap();
        let positive = items
            .iter()
            .filter(|item| item.columns["label"] == "positive");
        (positive.count(), items.len())
    };
    assert_eq!(balanced(Some(40)), (20, 40));
    // There are 25 of the rarer one.
    assert_eq!(balanced(Some(80)), (25, 50));
    assert_eq!(balanced(None), (25, 50));
    let draw = Draw {
        balance: Some("lable".to_owned()),
        ..Draw::default()
    };
    let error = draw_suite(numbered(0..3), &draw).unwrap_err().to_string();
    assert!(error.contains("`lable`"), "{error}");
}

#[test]
fn prompts_keep_away_from_the_suites_and_from_each_other() {
    let suite = items(["The parcel never came".to_owned()]);
    let mut near = NearIndex::default();
    near.add(&suite[0].key);
    let texts = ["the parcel NEVER came!!", "All good", "all good.", "Thanks"];
    let pool = draw_prompts(items(texts.map(str::to_owned)), &near, &Draw::default()).unwrap();
    assert_eq!(inputs(&pool.items), ["All good", "Thanks"]);
    assert_eq!(pool.near_suite, 1);
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table {
        columns: vec!["text".to_owned(), "n".to_owned()],
        ..Table::default()
    };
    for (index, row) in rows.iter().enumerate() {
        table.rows.push(Row {
            number: index as u64 + 1,
            columns: row.as_object().unwrap().clone(),
        });
    }
    table
}

fn of(rows: &[Value], filter: &str) -> Result<Items, TemplateError> {
    let input = Template::compile("{{ text }}").unwrap();
    let filter = Expression::compile(filter).unwrap();
    Items::of(table(rows), Some(&filter), |columns| {
        input.render(columns).map(Into::into)
    })
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
    let items = of(&rows, "n|int > 0").unwrap();
    assert_eq!(inputs(&items.items), ["a"]);
    assert_eq!(items.empty, 1);
    let problems: Vec<u64> = items.problems.iter().map(|problem| problem.row).collect();
    assert_eq!(problems, [2, 3]);
    assert_eq!(items.problems[1].message, "it has no column `text`");
}

#[test]
fn a_filter_that_cannot_work_is_an_error_and_one_that_matches_nothing_is_not() {
    let rows = [
        json!({"text": "a", "n": "x"}),
        json!({"text": "b", "n": "y"}),
    ];
    assert!(of(&rows, "n|int > 0").is_err());
    let error = of(&rows, "m == 1").unwrap_err();
    assert!(
        matches!(error, TemplateError::MissingColumn { .. }),
        "{error:?}"
    );
    // Only a row takes this branch, and not the check of the recipe.
    let error = of(&rows, "n == 'x' and text|shout == 'A'").unwrap_err();
    assert!(matches!(error, TemplateError::Syntax { .. }), "{error:?}");
    assert!(of(&rows, "n == 'z'").unwrap().items.is_empty());
}
