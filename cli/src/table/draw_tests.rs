#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;

use limbeck_store::normalise;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::table::NearIndex;

/// A row as a whole table holds it.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    row: u64,
    columns: Map<String, Value>,
    key: String,
    drawn_by: Option<String>,
}

fn items(texts: impl IntoIterator<Item = String>) -> Vec<Item> {
    let item = |(index, input): (usize, String)| {
        let label = if index % 4 == 0 {
            "positive"
        } else {
            "negative"
        };
        Item {
            row: index as u64 + 1,
            columns: columns(&json!({"text": input, "label": label})),
            key: normalise(&input),
            drawn_by: None,
        }
    };
    texts.into_iter().enumerate().map(item).collect()
}

fn columns(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn numbered(range: std::ops::Range<usize>) -> Vec<Item> {
    items(range.map(|n| format!("message number{n} of many")))
}

fn drawn_from(items: &[Item], near: &NearIndex, draw: &Draw) -> Result<DrawnRows, TemplateError> {
    let mut candidates = Candidates::new(draw.clone());
    for item in items {
        let is_near = near.is_near(&item.key);
        candidates.add(item.row, &item.key, &item.columns, is_near);
        if let Some(text) = &item.drawn_by {
            candidates.draw_by(item.row, text);
        }
    }
    candidates.draw()
}

fn drawn(items: &[Item], draw: &Draw) -> DrawnRows {
    drawn_from(items, &NearIndex::default(), draw).unwrap()
}

/// The numbers of the rows, in the order in which they are used.
fn in_order(rows: &DrawnRows) -> Vec<u64> {
    let mut rows: Vec<DrawnRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.place);
    assert!(rows.iter().map(|row| row.place).eq(0..rows.len()));
    rows.iter().map(|row| row.number).collect()
}

fn keys(items: &[Item], rows: &DrawnRows) -> Vec<String> {
    let key = |row: u64| items[row as usize - 1].key.clone();
    in_order(rows).into_iter().map(key).collect()
}

fn sample(sample: usize, seed: u64) -> Draw {
    Draw {
        sample: Some(sample),
        seed,
        ..Draw::default()
    }
}

#[test]
fn a_row_takes_few_bytes() {
    assert!(size_of::<Candidate>() <= 48);
    assert!(size_of::<(u64, u32)>() <= 16);
}

#[test]
fn a_draw_repeats_and_another_seed_is_another_draw() {
    let draw = |seed| in_order(&drawn(&numbered(0..1000), &sample(100, seed)));
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_eq!(first.len(), 100);
    let second = draw(2);
    let common = second.iter().filter(|row| first.contains(row)).count();
    assert!(common < 30, "{common} of 100 are common");
    // In the order of the file.
    assert!(first.is_sorted());
}

#[test]
fn what_is_replaced_in_rows_does_not_change_which_are_drawn() {
    let before = drawn(&numbered(0..1000), &sample(100, 1));
    let mut replaced = numbered(0..1000);
    for item in &mut replaced {
        let key = item.key.replace("message", "note");
        item.drawn_by = Some(std::mem::replace(&mut item.key, key));
    }
    assert_eq!(drawn(&replaced, &sample(100, 1)), before);
}

#[test]
fn rows_that_become_alike_count_once() {
    let mut replaced = numbered(0..10);
    for item in &mut replaced[2..] {
        item.drawn_by = Some(std::mem::replace(&mut item.key, "note".to_owned()));
    }
    assert_eq!(in_order(&drawn(&replaced, &Draw::default())), [1, 2, 3]);
    replaced[8].drawn_by = None;
    assert_eq!(in_order(&drawn(&replaced, &Draw::default())), [1, 2, 3]);
}

#[test]
fn rows_added_elsewhere_change_little() {
    let (few, more) = (numbered(0..1000), numbered(0..1100));
    let before = keys(&few, &drawn(&few, &sample(100, 1)));
    let after = keys(&more, &drawn(&more, &sample(100, 1)));
    let kept = after.iter().filter(|key| before.contains(key)).count();
    assert!(kept > 75, "{kept} of 100 are kept");
}

#[test]
fn a_shuffled_draw_has_the_same_rows_in_another_order() {
    let plain = in_order(&drawn(&numbered(0..100), &sample(50, 1)));
    let draw = Draw {
        shuffle: true,
        ..sample(50, 1)
    };
    let mut shuffled = in_order(&drawn(&numbered(0..100), &draw));
    assert_ne!(plain, shuffled);
    shuffled.sort_unstable();
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
        let items = numbered(0..100);
        let rows = in_order(&drawn(&items, &draw));
        let is_positive = |row: &&u64| items[**row as usize - 1].columns["label"] == "positive";
        (rows.iter().filter(is_positive).count(), rows.len())
    };
    assert_eq!(balanced(Some(40)), (20, 40));
    // There are 25 of the rarer one.
    assert_eq!(balanced(Some(80)), (25, 50));
    assert_eq!(balanced(None), (25, 50));
    let draw = Draw {
        balance: Some("lable".to_owned()),
        ..Draw::default()
    };
    let error = drawn_from(&numbered(0..3), &NearIndex::default(), &draw).unwrap_err();
    assert!(error.to_string().contains("`lable`"), "{error}");
}

#[test]
fn prompts_keep_away_from_the_suites_and_from_each_other() {
    let mut near = NearIndex::default();
    near.add(&normalise("The parcel never came"));
    let texts = ["the parcel NEVER came!!", "All good", "all good.", "Thanks"];
    let items = items(texts.map(str::to_owned));
    let rows = drawn_from(&items, &near, &Draw::default()).unwrap();
    assert_eq!(in_order(&rows), [2, 4]);
    assert_eq!((rows.near_suite, rows.repeated), (1, 1));
}

/// The same draw over a table that is held whole, step by step.
mod whole {
    use super::*;

    pub fn draw(items: &[Item], near: &NearIndex, draw: &Draw) -> Option<(Vec<Item>, usize)> {
        let mut seen = HashSet::new();
        let unique = items.iter().filter(|item| seen.insert(item.key.clone()));
        let unique: Vec<Item> = unique.cloned().collect();
        let far = unique.iter().filter(|item| !near.is_near(&item.key));
        let far: Vec<Item> = far.cloned().collect();
        let near_suite = unique.len() - far.len();
        let mut ranked: Vec<_> = far.into_iter().enumerate().collect();
        let drawn_by = |item: &Item| item.drawn_by.clone().unwrap_or_else(|| item.key.clone());
        ranked.sort_by_key(|(place, item)| (rank(&drawn_by(item), draw.seed), *place));
        if let Some(column) = &draw.balance {
            let lacks = |(_, item): &(usize, Item)| !item.columns.contains_key(column);
            if ranked.iter().any(lacks) {
                return None;
            }
            ranked = balanced(ranked, column, draw.sample);
        } else if let Some(sample) = draw.sample {
            ranked.truncate(sample);
        }
        if !draw.shuffle {
            ranked.sort_by_key(|(place, _)| *place);
        }
        Some((
            ranked.into_iter().map(|(_, item)| item).collect(),
            near_suite,
        ))
    }

    fn balanced(
        ranked: Vec<(usize, Item)>,
        column: &str,
        sample: Option<usize>,
    ) -> Vec<(usize, Item)> {
        let value = |item: &Item| item.columns[column].to_string();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, item) in &ranked {
            *counts.entry(value(item)).or_default() += 1;
        }
        let rarest = counts.values().copied().min().unwrap_or(0);
        let share = sample.map_or(rarest, |sample| rarest.min(sample / counts.len().max(1)));
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let mut chosen = ranked;
        chosen.retain(|(_, item)| {
            let taken = taken.entry(value(item)).or_default();
            *taken += 1;
            *taken <= share
        });
        chosen
    }
}

fn some_items() -> impl Strategy<Value = Vec<Item>> {
    let value = prop_oneof![
        4 => Just(json!("a")), 2 => Just(json!("b")), 1 => Just(json!(1)), 1 => Just(json!("1")),
    ];
    let drawn_by = prop::option::weighted(0.3, 0_u8..40);
    let item = (0_u8..40, drawn_by, prop::option::weighted(0.98, value));
    prop::collection::vec(item, 0..60).prop_map(|rows| {
        let item =
            |(index, (text, drawn_by, label)): (usize, (u8, Option<u8>, Option<Value>))| Item {
                row: 3 * index as u64 + 1,
                columns: label
                    .map(|label| ("label".to_owned(), label))
                    .into_iter()
                    .collect(),
                key: format!("text {text}"),
                drawn_by: drawn_by.map(|text| format!("as it came {text}")),
            };
        rows.into_iter().enumerate().map(item).collect()
    })
}

fn some_draw() -> impl Strategy<Value = Draw> {
    let sample = prop::option::of(0_usize..50);
    (sample, 0_u64..5, any::<bool>(), any::<bool>()).prop_map(|(sample, seed, balance, shuffle)| {
        let balance = balance.then(|| "label".to_owned());
        Draw {
            sample,
            seed,
            balance,
            shuffle,
        }
    })
}

proptest! {
    #[test]
    fn what_is_drawn_without_the_texts_is_what_a_whole_table_gives(
        items in some_items(), draw in some_draw(), suite in prop::collection::vec(0_u8..40, 0..5), smaller in 0_usize..50,
    ) {
        let mut near = NearIndex::default();
        for text in suite {
            near.add(&format!("text {text}"));
        }
        let found = drawn_from(&items, &near, &draw);
        let Some((expected, near_suite)) = whole::draw(&items, &near, &draw) else {
            prop_assert!(found.is_err());
            return Ok(());
        };
        let found = found.unwrap();
        let rows: Vec<u64> = expected.iter().map(|item| item.row).collect();
        prop_assert_eq!(in_order(&found), rows);
        prop_assert_eq!(found.near_suite, near_suite);

        // Another phrasing is asked about a sample of the same rows, in their order.
        let of_them = Draw { sample: Some(smaller), seed: draw.seed, ..Draw::default() };
        let renumbered: Vec<Item> = expected.iter().enumerate()
            .map(|(place, item)| Item { row: place as u64, ..item.clone() }).collect();
        let (sampled, _) = whole::draw(&renumbered, &NearIndex::default(), &of_them).unwrap();
        let mut first: Vec<usize> = found.iter().filter(|row| row.drawn < smaller).map(|row| row.place).collect();
        first.sort_unstable();
        let places: Vec<usize> = sampled.iter().map(|item| item.row as usize).collect();
        prop_assert_eq!(first, places);
    }
}
