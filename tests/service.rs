//! A harvest from a service: what is asked, what is kept, and where its key is not.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::fault_server::{Step, answer_body, error, response};
use crate::support::service::{good, number_of, with_key};
use crate::support::store::Sql;
use crate::support::{Finished, KEY, Service};

#[test]
fn a_second_harvest_asks_only_what_is_new() {
    let service = Service::start(good);
    let project = service.project(20);
    with_key(&project, "harvest").run().succeeds();
    let asked = service.seen();
    assert_eq!(asked.len(), 20);
    let bearer = format!("authorization: Bearer {KEY}");
    assert!(asked[0].head.contains(&bearer), "{}", asked[0].head);
    assert_eq!(asked[0].body["model"], "m");
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), 20, "a question was asked twice");

    project.edit("temperature = 1.0", "temperature = 0.5");
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), 40, "what matters was changed");
    project.edit("temperature = 0.5", "temperature = 1.0");
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), 40, "all of it is stored");
}

#[test]
fn failures_are_asked_again_when_that_is_wanted() {
    let service = Service::start(|seen| {
        if number_of(&seen.prompt) == 2 && seen.before < 3 {
            return error(500, &[], "server_error");
        }
        good(seen)
    });
    let project = service.project(5);
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), 4 + 3);
    let again = with_key(&project, "harvest").args(["--retry-failed", "server"]);
    again.run().succeeds();
    assert_eq!(service.count(), 4 + 3 + 1);
    assert_eq!(project.report()["harvest"]["traces"], 5);
}

/// An answer of these tokens, each with its alternatives, of which the first was drawn.
fn spelled(places: &[&[(&str, f64)]]) -> Vec<Step> {
    let told = |(text, value): &(&str, f64)| json!({"token": text, "bytes": text.as_bytes(), "logprob": value});
    let tokens = places.iter().map(|place| {
        let mut token = told(&place[0]);
        token["top_logprobs"] = place.iter().map(told).collect();
        token
    });
    let text: String = places.iter().map(|place| place[0].0).collect();
    let mut body = answer_body(&text);
    body["choices"][0]["logprobs"] = json!({"content": tokens.collect::<Vec<_>>()});
    response(200, &[], body.to_string().as_bytes())
}

#[test]
fn a_label_keeps_its_distribution_and_the_tokens_that_it_was_read_from() {
    let service = Service::start(|seen| {
        assert_eq!(seen.body["top_logprobs"], 20, "as many as there are");
        spelled(&[
            &[("Very", -0.1), ("very", -2.5), ("No", -6.0)],
            &[(" bad", -0.3), (" good", -1.4), ("!", -5.0)],
        ])
    });
    let project = service.project(3);
    project.edit(
        "sampling = { temperature = 1.0, max_tokens = 20 }",
        "choices = [\"very good\", \"very bad\"]",
    );
    with_key(&project, "harvest").run().succeeds();
    let mut sql = Sql::open(&project.work("limbeck.db"));
    let kept = sql.texts::<3>(
        "SELECT text, finish_reason, hex(choice_log_probabilities) FROM traces GROUP BY 1, 2, 3",
    );
    let [[text, finish, told]] = &kept[..] else {
        panic!("the same three times: {kept:?}");
    };
    assert_eq!([text.as_str(), finish], ["very bad", "choice"]);
    let bytes = hex::decode(told).unwrap();
    let told: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    for (told, expected) in told.iter().zip([-0.1 - 1.4, -0.1 - 0.3]) {
        assert!(
            (told - expected).abs() < 1e-4,
            "{told} instead of {expected}"
        );
    }
    let tokens =
        sql.number("SELECT count(*) FROM token_log_probabilities WHERE vocabulary IS NOT NULL");
    assert_eq!(tokens, 3, "the tokens are kept as they came");
    // How sure the teacher was is in the distribution; the tokens may spell another choice.
    let means = sql.number("SELECT count(mean_log_probability) FROM traces");
    assert_eq!(means, 0);
    sql.close();
}

/// Checks every file below `folder`.
pub fn assert_keyless(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_keyless(&path);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let found = bytes
            .windows(KEY.len())
            .any(|piece| piece == KEY.as_bytes());
        assert!(!found, "the key is in {}", path.display());
        files += 1;
    }
    files
}

pub fn assert_silent(finished: &Finished) {
    assert!(!finished.stdout.contains(KEY), "{}", finished.stdout);
    assert!(!finished.stderr.contains(KEY), "{}", finished.stderr);
}

#[test]
fn the_key_is_nowhere_even_if_the_service_repeats_it() {
    // It comes back in an error, in headers that are kept and in answers.
    let service = Service::start(|seen| match number_of(&seen.prompt) {
        0 => error(
            400,
            &[("x-request-id", KEY)],
            &format!("Bearer {KEY} is not"),
        ),
        1 => crate::support::fault_server::answer(&format!("your key is {KEY}")),
        _ => good(seen),
    });
    let project = service.project(6);
    for arguments in [["--progress", "json"], ["--progress", "plain"]] {
        let harvest = with_key(&project, "harvest")
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .args(arguments);
        assert_silent(&harvest.run().succeeds());
    }
    let check = with_key(&project, "harvest").args(["--dry-run"]);
    assert_silent(&check.run().succeeds());
    for list in ["list", "failures"] {
        let list = ["traces", list, "--workdir", "work", "--json"];
        assert_silent(&project.limbeck().args(list).run().succeeds());
    }
    assert_keyless(project.path());
    assert!(
        service.seen().iter().all(|seen| seen.head.contains(KEY)),
        "it was sent"
    );
}

#[test]
fn an_authentication_that_fails_stops_at_once_without_telling_the_key() {
    let service = Service::start(|_| error(401, &[], &format!("invalid key {KEY}")));
    let project = service.project(40);
    let failed = with_key(&project, "harvest").run().exits(2);
    assert_silent(&failed);
    assert!(service.count() <= 8, "{}", service.seen().len());
    assert_keyless(project.path());
}

#[cfg(target_os = "linux")]
#[test]
fn the_key_is_not_in_the_process_list_nor_in_a_crash() {
    let service = Service::start(|_| vec![Step::Stall]);
    let project = service.project(4);
    project.edit("first_byte_s = 0.3", "first_byte_s = 60.0");
    project.edit("total_s = 3.0", "total_s = 60.0");
    let harvest = with_key(&project, "harvest")
        .env("RUST_BACKTRACE", "full")
        .spawn();
    crate::support::wait_until("a request", || !service.seen().is_empty());
    let list = fs::read(format!("/proc/{}/cmdline", harvest.id())).unwrap();
    let list = String::from_utf8_lossy(&list);
    assert!(list.contains("harvest") && !list.contains(KEY), "{list}");
    harvest.signal("ABRT");
    let crashed = harvest.wait();
    assert!(!crashed.status.success());
    assert_silent(&crashed);
    assert_keyless(&project.work(""));
}
