//! Batches of which no word came back: handed over again only where the service's list proves that they never arrived,
//! and else left to a person.

use serde_json::{Value, json};

use crate::batch::{assert_all_answered_once, project};
use crate::support::batch_server::{BatchServer, Dialect, Fault, Route};
use crate::support::fault_server::{Step, error, response};
use crate::support::service::with_key;
use crate::support::store::answers;
use crate::support::{Finished, KEY, Limbeck, Project};

const EVERY: [Dialect; 3] = [Dialect::OpenAi, Dialect::Azure, Dialect::Anthropic];
/// What [`project`] writes.
const SOON: &str = "resend_after_hours = 0.0001";
const LATE: &str = "resend_after_hours = 6";

/// The first batch is taken (or, if `taken` is false, never arrives), and no word of it comes back.
fn lose_the_word(batches: &BatchServer, taken: bool) {
    batches.faults(move |route, count| {
        let fault = if taken { Fault::After } else { Fault::Instead };
        (route == Route::Create && count == 0).then(|| fault(vec![Step::Reset]))
    });
}

fn no_wait(project: &Project) -> Finished {
    with_key(project, "harvest").args(["--no-wait"]).run()
}

/// `limbeck teachers batches` with the recipe and the key.
fn teachers(project: &Project) -> Limbeck {
    let batches = ["teachers", "batches", "recipe.toml", "--workdir", "work"];
    project.limbeck().env("LIMBECK_TEST_KEY", KEY).args(batches)
}

/// `limbeck teachers batches` with the work folder alone.
fn work_folder(project: &Project) -> Limbeck {
    let batches = ["teachers", "batches", "--workdir", "work"];
    project.limbeck().args(batches)
}

fn listed(project: &Project) -> Vec<Value> {
    work_folder(project)
        .args(["--json"])
        .run()
        .succeeds()
        .json_lines()
}

#[test]
fn a_batch_that_is_listed_late_is_waited_for_and_not_sent_again() {
    for dialect in EVERY {
        let (batches, _service, project) = project(dialect, 5);
        project.edit(SOON, LATE);
        lose_the_word(&batches, true);
        // Longer than it takes to look many times.
        batches.unlisted(20);
        let harvest = with_key(&project, "harvest").run().succeeds();
        harvest.says([
            "the fate of the batch 1 of 5 requests is unknown: the service does not list it",
            "it is there as the batch",
        ]);
        assert!(batches.count(Route::List) > 20);
        assert_eq!(batches.sizes(), [5]);
        assert_all_answered_once(&batches, &project, 5);
    }
}

#[test]
fn a_batch_that_is_not_listed_stays_open_until_a_person_has_it_sent_again() {
    for dialect in EVERY {
        let (batches, _service, project) = project(dialect, 5);
        project.edit(SOON, LATE);
        lose_the_word(&batches, false);
        for _ in 0..3 {
            let said = ["5 requests are in 1 batch whose fate is unknown"];
            no_wait(&project).exits(75).says(said);
        }
        assert_eq!(batches.sizes(), [0; 0], "nothing is sent again");
        let rows = listed(&project);
        assert_eq!(rows[0]["fate_unknown"], true);
        assert_eq!(
            (&rows[0]["state"], &rows[0]["open"]),
            (&json!("submitting"), &json!(5))
        );
        let table = work_folder(&project).run().succeeds();
        assert!(table.stdout.contains("fate unknown"), "{}", table.stdout);
        table.says(["--workdir work --send-again 1", "--forget 1"]);

        let again = work_folder(&project).args(["--send-again", "1"]);
        let again = again.run().succeeds();
        let says = "the next harvest asks its 5 questions again";
        assert!(again.stdout.contains(says), "{}", again.stdout);
        let twice = work_folder(&project).args(["--send-again", "1"]).run();
        twice.fails_saying(["the batch `1` has ended"]);
        with_key(&project, "harvest").run().succeeds();
        assert_all_answered_once(&batches, &project, 5);
    }
}

#[test]
fn a_batch_that_a_person_gives_up_is_a_failure_at_its_highest_price() {
    let (batches, _service, project) = project(Dialect::Anthropic, 5);
    project.edit(SOON, LATE);
    lose_the_word(&batches, true);
    batches.unlisted(1000);
    no_wait(&project).exits(75);
    let unknown = work_folder(&project).args(["--forget", "7"]).run();
    unknown.fails_saying(["there is no batch `7`", "hint: "]);
    let forgotten = work_folder(&project).args(["--forget", "1"]);
    let forgotten = forgotten.run().succeeds();
    let says = "--retry-failed batch-forgotten";
    assert!(forgotten.stdout.contains(says), "{}", forgotten.stdout);
    let failures = ["traces", "failures", "--workdir", "work", "--json"];
    let failures = project.limbeck().args(failures).run().succeeds();
    let failures = failures.json_lines();
    assert_eq!(failures.len(), 5);
    for failure in &failures {
        assert_eq!(failure["kind"], "batch-forgotten", "{failure}");
    }
    let mut sql = crate::support::store::Sql::open(&project.work("limbeck.db"));
    let (spent, most) = (
        sql.number("SELECT sum(cost_nano_usd) FROM attempts"),
        sql.number("SELECT sum(most_nano_usd) FROM batch_requests"),
    );
    sql.close();
    assert!(spent > 0 && spent == most, "{spent} and {most}");
    with_key(&project, "harvest").run();
    assert_eq!(batches.sizes(), [5], "nothing is asked again by itself");
    let audit = ["audit", "integrity", "--workdir", "work"];
    project.limbeck().args(audit).run().succeeds();

    let again = with_key(&project, "harvest").args(["--retry-failed", "batch-forgotten"]);
    again.run().succeeds();
    assert_eq!(batches.sizes(), [5, 5]);
    assert_eq!(answers(&project.work("limbeck.db")), 5);
}

#[test]
fn a_batch_that_never_arrived_is_sent_again_after_the_time_of_the_recipe() {
    for dialect in EVERY {
        let (batches, _service, project) = project(dialect, 5);
        lose_the_word(&batches, false);
        let harvest = with_key(&project, "harvest").run().succeeds();
        harvest.says(["never arrived, and is handed over again"]);
        assert_all_answered_once(&batches, &project, 5);
    }
}

#[test]
fn a_batch_is_looked_for_on_every_page_of_the_list() {
    for dialect in EVERY {
        let (batches, _service, project) = project(dialect, 45);
        // It is the oldest of five, and there are two on a page.
        lose_the_word(&batches, true);
        batches.page(2);
        with_key(&project, "harvest").run().succeeds();
        assert!(batches.count(Route::List) >= 3);
        assert_all_answered_once(&batches, &project, 45);
    }
}

#[test]
fn a_list_that_is_not_whole_proves_nothing() {
    let entry = json!({"id": "batch_x", "object": "batch"});
    let lists = [
        // More follows, and it is not said where.
        json!({"data": [], "has_more": true}),
        // Not a word about whether more follows.
        json!({"data": []}),
        // An entry that cannot be read.
        json!({"data": [entry], "has_more": false}),
        json!({"data": 7}),
        json!("no list"),
    ];
    for dialect in EVERY {
        for list in &lists {
            let (batches, _service, project) = project(dialect, 5);
            let list = list.to_string();
            batches.faults(move |route, count| match route {
                Route::Create if count == 0 => Some(Fault::After(vec![Step::Reset])),
                Route::List => Some(Fault::Instead(response(200, &[], list.as_bytes()))),
                _ => None,
            });
            assert_left_open(&batches, &project);
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_proves_nothing() {
    for dialect in EVERY {
        let faults = [error(503, &[], "unavailable"), vec![Step::Reset]];
        for fault in faults {
            let (batches, _service, project) = project(dialect, 5);
            batches.faults(move |route, count| match route {
                Route::Create if count == 0 => Some(Fault::After(vec![Step::Reset])),
                Route::List => Some(Fault::Instead(fault.clone())),
                _ => None,
            });
            assert_left_open(&batches, &project);
        }
    }
}

/// However long it takes, nothing is sent again; what is there is found once the list is whole.
fn assert_left_open(batches: &BatchServer, project: &Project) {
    let begun = std::time::Instant::now();
    let mut looks = 0;
    // Well past the time after which what is missing from a whole list is sent again.
    while looks < 2 || begun.elapsed().as_secs_f64() < 0.0002 * 3600.0 {
        no_wait(project).exits(75).says(["whose fate is unknown"]);
        looks += 1;
    }
    assert_eq!(batches.sizes(), [5]);
    batches.faults(|_, _| None);
    with_key(project, "harvest").run().succeeds();
    assert_eq!(batches.sizes(), [5]);
    assert_all_answered_once(batches, project, 5);
}

#[test]
fn a_batch_that_another_key_does_not_see_is_not_asked_again() {
    let (batches, _service, project) = project(Dialect::OpenAi, 3);
    // As long as that, a service that does not know a batch is taken for one that does not know it yet.
    project.edit("poll_s = 0.05", "poll_s = 0.001");
    batches.polls(1000);
    no_wait(&project).exits(75);
    let known = teachers(&project).args(["--send-again", "batch_0"]).run();
    known.fails_saying(["the service has the batch `batch_0`: it is in progress"]);
    batches.faults(|route, _| {
        let unknown = || Fault::Instead(error(404, &[], "not_found_error"));
        matches!(route, Route::Poll | Route::Cancel).then(unknown)
    });
    no_wait(&project).fails_saying(["the service has no batch `batch_0`", "--send-again ID"]);
    let cancel = teachers(&project).args(["--cancel", "all"]).run();
    let says = "the service has no batch `batch_0` for this key";
    cancel.exits(1).says([says]);
    assert_eq!(listed(&project)[0]["state"], "submitted", "it stays open");
    let without = work_folder(&project).args(["--send-again", "1"]).run();
    without.fails_saying(["`batch_0`", "name the recipe"]);

    teachers(&project)
        .args(["--send-again", "1"])
        .run()
        .succeeds();
    batches.faults(|_, _| None).polls(0);
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(batches.sizes(), [3, 3]);
    assert_eq!(answers(&project.work("limbeck.db")), 3);
}
