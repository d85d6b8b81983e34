//! A harvest from a service: what is asked, what is kept, and where its key is not.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::fault_server::{Seen, Step, answer_body, error, response};
use crate::support::service::{good, number_of, with_key};
use crate::support::store::{Sql, answers};
use crate::support::{Finished, KEY, Service, wait_until};

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
}

#[test]
fn what_matters_to_an_answer_is_asked_anew_and_nothing_else_is() {
    const PROMPTS: usize = 2;
    let service = Service::start(good);
    let project = service.project(PROMPTS);
    with_key(&project, "harvest").run().succeeds();
    let asked_with = |from: &str, to: &str| {
        let before = service.count();
        project.edit(from, to);
        with_key(&project, "harvest").run().succeeds();
        project.edit(to, from);
        service.count() - before
    };
    for (from, to) in [
        (
            "concurrent = 8",
            "concurrent = 2, requests_per_minute = 600",
        ),
        ("output = 2.0", "output = 3.0"),
        ("attempts = 3", "attempts = 2"),
        ("total_s = 3.0", "total_s = 4.0"),
        ("stream = false", "stream = true"),
        ("name = \"service\"", "name = \"another\""),
        ("/v1\"", "/v1/\""),
    ] {
        assert_eq!(asked_with(from, to), 0, "{to} changes no answer");
    }
    let sampling = "max_tokens = 20";
    for (from, to) in [
        ("temperature = 1.0", "temperature = 0.5"),
        (sampling, "max_tokens = 21"),
        (sampling, "max_tokens = 20, top_p = 0.5"),
        (sampling, "max_tokens = 20, seed = 2"),
        (sampling, "max_tokens = 20, stop = [\"x\"]"),
        (sampling, "max_tokens = 20, top_logprobs = 2"),
        (sampling, "max_tokens = 20, reasoning = \"low\""),
        (
            sampling,
            "max_tokens = 20, json_schema = { type = \"object\" }",
        ),
        ("model = \"m\"", "model = \"n\""),
        ("\"openai\"", "\"vllm\""),
        ("stream = false", "route = \"elsewhere\""),
        ("127.0.0.1", "localhost"),
        ("\"{{ text }}\"", "\"Say {{ text }}\""),
        // Of each prompt the second alone.
        ("form = \"chat\"", "samples = 2"),
    ] {
        assert_eq!(
            asked_with(from, to),
            PROMPTS,
            "{to} asks for another answer"
        );
        assert_eq!(asked_with(from, to), 0, "{to} was asked before");
    }
    let before = service.count();
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), before, "all of it is stored");
}

/// An answer after a while.
#[cfg(unix)]
fn slow(seen: &Seen) -> Vec<Step> {
    let mut steps = vec![Step::Wait(Duration::from_millis(250))];
    steps.extend(good(seen));
    steps
}

#[cfg(unix)]
#[test]
fn the_first_ctrl_c_keeps_what_is_in_flight_since_it_is_paid_for() {
    let service = Service::start(slow);
    let project = service.project(30);
    project.edit("first_byte_s = 0.3", "first_byte_s = 5.0");
    let harvest = with_key(&project, "harvest").spawn();
    wait_until("questions in flight", || service.count() >= 4);
    harvest.signal("INT");
    let said = ["what is in flight is finished", "goes on from here"];
    harvest.wait().exits(130).says(said);
    let asked = service.count();
    assert!(asked < 30, "it was over before");
    let store = project.work("limbeck.db");
    assert_eq!(answers(&store), asked);
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), 30, "nothing was asked twice");
}

#[cfg(unix)]
#[test]
fn the_second_ctrl_c_ends_at_once_and_hurts_nothing_that_is_stored() {
    let answered = AtomicUsize::new(0);
    let service = Service::start(move |seen| {
        if seen.before == 0 && answered.fetch_add(1, Ordering::SeqCst) >= 4 {
            return vec![Step::Stall];
        }
        good(seen)
    });
    let project = service.project(12);
    project.edit("first_byte_s = 0.3", "first_byte_s = 60.0");
    project.edit("total_s = 3.0", "total_s = 60.0");
    let store = project.work("limbeck.db");
    let mut harvest = with_key(&project, "harvest").spawn();
    wait_until("answers and questions in flight", || {
        service.count() > 4 && answers(&store) == 4
    });
    harvest.signal("INT");
    harvest
        .line(|line| line.contains("press Ctrl-C again"))
        .expect("it says how to stop at once");
    let begun = Instant::now();
    harvest.signal("INT");
    harvest.wait().exits(130);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it waited for what stalls"
    );
    let asked = service.count();
    assert_eq!(answers(&store), 4);
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), asked + 8, "what was kept is not asked");
    assert_eq!(answers(&store), 12);
}

#[test]
fn progress_tells_the_tokens_and_what_was_tried_again() {
    let service = Service::start(|seen| {
        if number_of(&seen.prompt) == 0 && seen.before == 0 {
            return error(500, &[], "server_error");
        }
        let mut steps = vec![Step::Wait(Duration::from_millis(200))];
        steps.extend(good(seen));
        steps
    });
    let project = service.project(20);
    project.edit("concurrent = 8", "concurrent = 2");
    project.edit("first_byte_s = 0.3", "first_byte_s = 5.0");
    let harvest = with_key(&project, "harvest").args(["--progress", "json"]);
    let events = harvest.run().succeeds().events();
    let remarks: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "progress" && event["stage"] == "harvest")
        .filter_map(|event| event["message"].as_str())
        .collect();
    let last = remarks.last().expect("a remark after a second");
    for part in [" tokens", "1 retried", " USD"] {
        assert!(last.contains(part), "no `{part}` in {remarks:?}");
    }
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
    wait_until("a request", || !service.seen().is_empty());
    let list = fs::read(format!("/proc/{}/cmdline", harvest.id())).unwrap();
    let list = String::from_utf8_lossy(&list);
    assert!(list.contains("harvest") && !list.contains(KEY), "{list}");
    harvest.signal("ABRT");
    let crashed = harvest.wait();
    assert!(!crashed.status.success());
    assert_silent(&crashed);
    assert_keyless(&project.work(""));
}
