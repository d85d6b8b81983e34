//! `kill -9` of a harvest from a service: what was kept is not asked again, as the service sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::batch::{assert_all_answered_once, project};
use crate::support::batch_server::Dialect;
use crate::support::fault_server::Step;
use crate::support::service::{answer_to, good, with_key};
use crate::support::store::{Sql, answers};
use crate::support::{Service, wait_until};

/// How often the harvest is killed.
const KILLS: usize = 100;
/// How many questions may be in flight, as the recipe says.
const IN_FLIGHT: usize = 8;
const PROMPTS: usize = 1500;
/// How often a harvest in batches is killed, of each dialect.
const KILLS_OF_BATCHES: usize = 15;

#[test]
fn a_hundred_kills_lose_no_answer_and_pay_for_none_twice() {
    let service = Service::start(|seen| {
        let mut steps = vec![Step::Wait(Duration::from_millis(15))];
        steps.extend(good(seen));
        steps
    });
    let project = service.project(PROMPTS);
    project.edit(
        "concurrent = 8",
        "concurrent = 8, requests_per_minute = 1000000",
    );
    let store = project.work("limbeck.db");
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut kept = BTreeSet::new();
    for round in 0..KILLS {
        let before = service.count();
        let mut harvest = with_key(&project, "harvest").spawn();
        // Every fourth is killed wherever it is, the others after the service was asked something.
        if !round.is_multiple_of(4) {
            wait_until("a request", || {
                service.count() > before || !harvest.is_alive()
            });
        }
        thread::sleep(Duration::from_millis(random.random_range(0..60)));
        assert!(harvest.kill(), "round {round} ended before it was killed");
        if !store.exists() {
            continue;
        }
        let asked = service.seen();
        let now = committed(&store);
        for id in &kept {
            assert!(now.contains(id), "round {round}: `{id}` was lost");
        }
        // Whatever was asked in this round was either kept or in flight.
        let lost = asked[before..]
            .iter()
            .filter(|seen| !now.contains(&seen.prompt))
            .count();
        assert!(lost <= IN_FLIGHT, "round {round}: {lost} were in flight");
        for seen in &asked[before..] {
            assert!(
                !kept.contains(&seen.prompt),
                "`{}` was kept and asked again",
                seen.prompt
            );
        }
        kept = now;
    }
    assert!(!kept.is_empty() && kept.len() < PROMPTS, "{}", kept.len());
    with_key(&project, "harvest").run().succeeds();

    assert_eq!(answers(&store), PROMPTS);
    let mut sql = Sql::open(&store);
    let rows = sql.texts::<2>(
        "SELECT prompts.input, traces.text FROM traces JOIN prompts ON prompts.id = prompt_id",
    );
    sql.close();
    let texts: BTreeMap<String, String> = rows
        .iter()
        .cloned()
        .map(|[input, text]| (input, text))
        .collect();
    assert_eq!((rows.len(), texts.len()), (PROMPTS, PROMPTS));
    for (input, text) in &texts {
        assert_eq!(*text, answer_to(input));
    }
    let audit = ["audit", "integrity", "--workdir", "work"];
    project.limbeck().args(audit).run().succeeds();
    let again = service.count() - PROMPTS;
    assert!(again <= KILLS * IN_FLIGHT, "{again} were asked again");
}

#[test]
fn kills_at_random_moments_hand_no_batch_over_twice() {
    for (dialect, seed) in [(Dialect::OpenAi, 5), (Dialect::Anthropic, 6)] {
        let (batches, service, project) = project(dialect, 200);
        // Longer than what a killed harvest sent last can be on its way.
        project.edit("resend_after_hours = 0.0001", "resend_after_hours = 0.0006");
        batches.polls(4);
        let store = project.work("limbeck.db");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut kept, mut kills) = (BTreeSet::new(), 0);
        for round in 0..KILLS_OF_BATCHES {
            let before = service.count();
            let mut harvest = with_key(&project, "harvest").spawn();
            if !round.is_multiple_of(3) {
                wait_until("a call", || service.count() > before || !harvest.is_alive());
            }
            thread::sleep(Duration::from_millis(random.random_range(0..80)));
            if !harvest.kill() {
                break;
            }
            kills += 1;
            let taken = batches.taken();
            assert!(
                taken.values().all(|count| *count == 1),
                "{dialect:?} {round}: {taken:?}"
            );
            if store.exists() {
                let now = committed(&store);
                assert!(
                    now.is_superset(&kept),
                    "{dialect:?} {round}: answers were lost"
                );
                kept = now;
            }
        }
        assert!(kills >= 5, "it was killed {kills} times only");
        with_key(&project, "harvest").run().succeeds();
        assert_all_answered_once(&batches, &project, 200);
        let audit = ["audit", "integrity", "--workdir", "work"];
        project.limbeck().args(audit).run().succeeds();
    }
}

/// The questions whose answers are on the disk.
fn committed(store: &std::path::Path) -> BTreeSet<String> {
    let mut sql = Sql::open(store);
    let tables = sql.number("SELECT count(*) FROM sqlite_schema WHERE name = 'traces'");
    let rows = if tables == 1 {
        sql.texts::<1>("SELECT prompts.input FROM traces JOIN prompts ON prompts.id = prompt_id")
    } else {
        Vec::new()
    };
    sql.close();
    rows.into_iter().map(|[input]| input).collect()
}
