//! Which prompts a harvest makes of a source, and in which order: it holds none of them.

use std::collections::HashMap;
use std::fs;

use serde_json::Value;

use crate::support::service::{good, with_key};
use crate::support::store::Sql;
use crate::support::{Project, Service};

const OTHER: &str =
    "[harvest]\nphrasing = [{ name = \"other\", template = \"other {{ text }}\", sample = 300 }]";

/// Phrasing and row of every answer of the only harvest, in the order in which its outcome names them.
fn asked(project: &Project) -> Vec<(String, u64)> {
    let stage = project.stages().pop().unwrap();
    let outcome = fs::read(project.work("stages").join(stage).join("outcome.json")).unwrap();
    let outcome: Value = serde_json::from_slice(&outcome).unwrap();
    let mut sql = Sql::open(&project.work("limbeck.db"));
    let rows = sql.texts::<3>(
        "SELECT traces.id, phrasing, CAST(row AS TEXT) FROM traces JOIN prompts ON prompts.id = prompt_id",
    );
    let mut rows: HashMap<String, (String, u64)> = rows
        .into_iter()
        .map(|[id, phrasing, row]| (id, (phrasing, row.parse().unwrap())))
        .collect();
    let traces = outcome["traces"].as_array().unwrap();
    let found = traces.iter().map(|id| rows.remove(id.as_str().unwrap()));
    found.collect::<Option<_>>().unwrap()
}

/// The rows of each phrasing, which follow each other.
fn by_phrasing(asked: &[(String, u64)]) -> (Vec<u64>, Vec<u64>) {
    let rows = |part: &[(String, u64)]| part.iter().map(|(_, row)| *row).collect();
    let main = asked.partition_point(|(phrasing, _)| phrasing == "main");
    assert!(
        asked[main..]
            .iter()
            .all(|(phrasing, _)| phrasing == "other")
    );
    (rows(&asked[..main]), rows(&asked[main..]))
}

#[test]
fn rows_are_asked_in_the_order_of_the_file_or_of_the_draw_and_phrasing_by_phrasing() {
    let service = Service::start(good);
    let (ordered, shuffled) = (service.project(1100), service.project(1100));
    shuffled.edit("exclude_near", "shuffle = true, exclude_near");
    for project in [&ordered, &shuffled] {
        project.edit("[harvest]", OTHER);
        with_key(project, "harvest").run().succeeds();
    }
    let (main, other) = by_phrasing(&asked(&ordered));
    assert!(main.iter().copied().eq(1..=1100));
    assert!(other.is_sorted());
    assert_eq!(other.len(), 300);

    let (mut shuffled_main, mut shuffled_other) = by_phrasing(&asked(&shuffled));
    assert_eq!(
        shuffled_main[..300],
        shuffled_other[..],
        "the other phrasing is asked about those that were drawn first"
    );
    shuffled_main.sort_unstable();
    shuffled_other.sort_unstable();
    assert_eq!((shuffled_main, shuffled_other), (main, other));
}
