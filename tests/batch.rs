//! A teacher that is asked in batches, over HTTP: handed over, waited for, collected, cancelled.

use serde_json::json;

use crate::service::{assert_keyless, assert_silent};
use crate::support::batch_server::{BatchServer, Dialect, Fate, Fault, Route};
use crate::support::fault_server::{Step, error, response};
use crate::support::service::{answer_to, with_key};
use crate::support::store::{Sql, answers};
use crate::support::{KEY, Limbeck, Project, Service, wait_until};

/// A service that takes batches, and a project of so many questions to it in batches of ten. What never arrived is sent
/// again soon.
pub fn project(dialect: Dialect, prompts: usize) -> (BatchServer, Service, Project) {
    let batches = BatchServer::new(dialect);
    let handler = batches.clone();
    let service = Service::start(move |seen| handler.handle(seen));
    let project = service.project(prompts);
    let batch = "batch = { size = 10, poll_s = 0.05, resend_after_hours = 0.0001 }";
    project.edit("stream = false", batch);
    match dialect {
        Dialect::OpenAi => {}
        Dialect::Azure => {
            project.edit("\"openai\"", "\"azure\"");
            project.edit("/v1\"", "/openai/v1\"");
        }
        Dialect::Anthropic => {
            project.edit("\"openai\"", "\"anthropic\"");
        }
    }
    (batches, service, project)
}

pub fn assert_all_answered_once(batches: &BatchServer, project: &Project, prompts: usize) {
    let taken = batches.taken();
    assert_eq!(taken.len(), prompts);
    assert!(taken.values().all(|count| *count == 1), "{taken:?}");
    let mut sql = Sql::open(&project.work("limbeck.db"));
    let rows = sql.texts::<2>(
        "SELECT prompts.input, traces.text FROM traces JOIN prompts ON prompts.id = prompt_id",
    );
    let open = sql.number("SELECT count(*) FROM batches WHERE state <> 'ended'");
    sql.close();
    assert_eq!((rows.len(), open), (prompts, 0));
    for [input, text] in rows {
        assert_eq!(text, answer_to(&input));
    }
}

#[test]
fn a_harvest_in_batches_is_answered_and_a_second_one_asks_nothing() {
    for dialect in [Dialect::OpenAi, Dialect::Azure, Dialect::Anthropic] {
        let (batches, service, project) = project(dialect, 25);
        batches.polls(2);
        let dry = with_key(&project, "harvest").args(["--dry-run", "--json"]);
        let dry = dry.run().succeeds().json();
        assert_eq!((&dry["requests"], &dry["batches"]), (&25.into(), &3.into()));
        assert_eq!(service.count(), 0, "a dry run sends nothing");
        // At half of 1 USD for a million tokens read and of 2 for those written, 20 of them for each answer.
        let (read, written) = (dry["input_tokens"].as_f64().unwrap(), 25.0 * 20.0);
        let usd = dry["usd"].as_f64().unwrap();
        assert!((usd - (read * 0.5 + written) / 1e6).abs() < 1e-9, "{dry}");

        let harvest = with_key(&project, "harvest").run().succeeds();
        harvest.says(["10 requests are handed over", "has ended: 10 answered"]);
        assert_all_answered_once(&batches, &project, 25);
        let report = project.report();
        assert_eq!(report["harvest"]["traces"], 25, "{report}");
        let calls = service.count();
        with_key(&project, "harvest").run().succeeds();
        assert_eq!(service.count(), calls);
        assert!(service.seen().iter().all(|seen| seen.head.contains(KEY)));
    }
}

#[test]
fn groq_takes_batches_as_openai_does() {
    let (batches, service, project) = project(Dialect::OpenAi, 5);
    project.edit("\"openai\"", "\"groq\"");
    with_key(&project, "harvest").run().succeeds();
    assert_all_answered_once(&batches, &project, 5);
    let asks = |part: &str| service.seen().iter().any(|seen| seen.head.contains(part));
    assert!(asks("POST /v1/files ") && asks("POST /v1/batches ") && !asks("/chat/"));
}

#[test]
fn azure_is_asked_for_batches_at_its_own_route_with_its_own_header() {
    let (batches, service, project) = project(Dialect::Azure, 5);
    with_key(&project, "harvest").run().succeeds();
    assert_all_answered_once(&batches, &project, 5);
    let asks = |part: &str| service.seen().iter().any(|seen| seen.head.contains(part));
    assert!(asks("POST /openai/v1/files ") && asks("POST /openai/v1/batches "));
    assert!(asks("GET /openai/v1/files/file-0 ") && !asks("/chat/"));
    let key = format!("api-key: {KEY}");
    assert!(service.seen().iter().all(|seen| seen.head.contains(&key)));
}

#[test]
fn a_file_that_azure_cannot_use_is_an_error_with_its_reason() {
    let (batches, _service, project) = project(Dialect::Azure, 3);
    batches.unusable();
    let failed = with_key(&project, "harvest").run();
    failed.fails_saying(["the service cannot use the file `file-0`: it does not say why"]);
    assert_eq!(batches.count(Route::Create), 0);
    assert_eq!(batches.taken().len(), 0);
}

#[test]
fn without_waiting_it_ends_with_75_until_all_is_there() {
    let (batches, _service, project) = project(Dialect::OpenAi, 5);
    batches.polls(1);
    let harvest = || with_key(&project, "harvest").args(["--no-wait"]).run();
    let said = [
        "5 requests are with the service in 1 batch",
        "collects the answers",
    ];
    harvest().exits(75).says(said);
    let list = ["teachers", "batches", "--workdir", "work", "--json"];
    let listed = project.limbeck().args(list).run().succeeds().json();
    assert_eq!(listed["state"], "submitted");
    assert_eq!(
        (&listed["requests"], &listed["open"]),
        (&5.into(), &5.into())
    );
    assert_eq!(listed["remote_state"], "in_progress");
    harvest().succeeds();
    assert_all_answered_once(&batches, &project, 5);
    let listed = project.limbeck().args(list).run().succeeds().json();
    assert_eq!(
        (&listed["state"], &listed["answered"]),
        (&"ended".into(), &5.into())
    );
}

#[test]
fn a_batch_that_is_cancelled_is_collected_and_the_rest_is_asked_again() {
    let (batches, _service, project) = project(Dialect::OpenAi, 5);
    batches.polls(1000);
    with_key(&project, "harvest")
        .args(["--no-wait"])
        .run()
        .exits(75);
    let teachers = || {
        let batches = ["teachers", "batches", "recipe.toml", "--workdir", "work"];
        project.limbeck().env("LIMBECK_TEST_KEY", KEY).args(batches)
    };
    teachers()
        .args(["--cancel", "batch_7"])
        .run()
        .fails_saying(["there is no batch `batch_7`"]);
    let cancelled = teachers().args(["--cancel", "all"]).run().succeeds();
    assert!(
        cancelled.stdout.contains("`batch_0` is cancelled"),
        "{}",
        cancelled.stdout
    );
    assert_eq!(batches.count(Route::Cancel), 1);
    batches.polls(0);
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(batches.sizes(), [5, 5]);
    assert_eq!(answers(&project.work("limbeck.db")), 5);
    let table = teachers().run().succeeds().stdout;
    assert!(
        table.contains("batch_0") && table.contains("batch_1"),
        "{table}"
    );
    let cancelled = teachers().args(["--cancel", "all"]).run().succeeds();
    cancelled.says(["no such batch is open"]);
}

#[test]
fn what_expired_ends_with_75_and_is_asked_again() {
    let (batches, _service, project) = project(Dialect::Anthropic, 4);
    batches.fates(|text| {
        if text.ends_with('3') {
            Fate::Expired
        } else {
            Fate::Answered
        }
    });
    let said = ["1 request was not worked on", "asks again"];
    with_key(&project, "harvest").run().exits(75).says(said);
    batches.fates(|_| Fate::Answered);
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(batches.sizes(), [4, 1]);
    assert_eq!(answers(&project.work("limbeck.db")), 4);
}

#[test]
fn a_teacher_that_is_no_longer_asked_in_batches_waits_for_those_it_has() {
    let (batches, service, project) = project(Dialect::OpenAi, 4);
    batches.polls(1);
    with_key(&project, "harvest")
        .args(["--no-wait"])
        .run()
        .exits(75);
    project.edit(
        "batch = { size = 10, poll_s = 0.05, resend_after_hours = 0.0001 }",
        "batch = false",
    );
    with_key(&project, "harvest").run().succeeds();
    assert_all_answered_once(&batches, &project, 4);
    let chats = service
        .seen()
        .iter()
        .filter(|seen| seen.head.contains("/chat/"))
        .count();
    assert_eq!(chats, 0, "nothing is asked beside the batch");
}

#[test]
fn kill_9_at_any_call_hands_nothing_over_twice() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (batches, service, project) = project(dialect, 25);
        // Longer than what a killed harvest sent last can be on its way.
        project.edit("resend_after_hours = 0.0001", "resend_after_hours = 0.0006");
        batches.polls(2);
        let mut kills = 0;
        for calls in 1..12 {
            let mut harvest = with_key(&project, "harvest").spawn();
            let before = service.count();
            wait_until("a call", || {
                service.count() >= before + calls || !harvest.is_alive()
            });
            if !harvest.kill() {
                break;
            }
            kills += 1;
        }
        assert!(kills >= 4, "it was killed {kills} times only");
        with_key(&project, "harvest").run().succeeds();
        assert_all_answered_once(&batches, &project, 25);
    }
}

#[cfg(unix)]
#[test]
fn the_first_ctrl_c_leaves_the_batch_at_the_service() {
    let (batches, _service, project) = project(Dialect::OpenAi, 5);
    batches.polls(1000);
    let harvest = with_key(&project, "harvest").spawn();
    wait_until("a look at the batch", || batches.count(Route::Poll) > 1);
    harvest.signal("INT");
    let said = ["5 requests are with the service in 1 batch", "goes on"];
    harvest.wait().exits(130).says(said);
    assert_eq!(batches.count(Route::Cancel), 0);
    batches.polls(0);
    with_key(&project, "harvest").run().succeeds();
    assert_all_answered_once(&batches, &project, 5);
}

#[test]
fn a_service_that_loses_its_word_and_mixes_its_results_is_asked_once() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (batches, _service, project) = project(dialect, 12);
        batches.polls(1);
        batches.faults(|route, count| match (route, count) {
            (Route::Create, 0) => Some(Fault::After(vec![Step::Reset])),
            (Route::Poll, 1) => Some(Fault::Instead(error(429, &[], "rate_limit_exceeded"))),
            (Route::Results, 0) => Some(Fault::Instead(vec![Step::Reset])),
            _ => None,
        });
        batches.lines(|mut lines| {
            lines.reverse();
            lines.push("{\"custom_id\": \"of somebody else\"}\n".to_owned());
            lines
        });
        let harvest = with_key(&project, "harvest").run().succeeds();
        harvest.says([
            "so it is looked for",
            "it is there as the batch",
            "not kept",
        ]);
        assert_all_answered_once(&batches, &project, 12);
    }
}

#[test]
fn a_batch_that_the_service_rejects_is_an_error_with_its_reason() {
    let (batches, _service, project) = project(Dialect::OpenAi, 3);
    batches.ends("failed");
    let failed = with_key(&project, "harvest").run();
    failed.fails_saying(["invalid_json_line: it is broken", "hint: "]);
    let failures = ["traces", "failures", "--workdir", "work", "--json"];
    let failures = project.limbeck().args(failures).run().succeeds();
    let failures = failures.json_lines();
    assert_eq!(failures.len(), 3);
    assert_eq!(failures[0]["kind"], "batch-rejected", "{}", failures[0]);
}

#[test]
fn what_fails_in_a_batch_is_listed_and_asked_again_on_request() {
    let (batches, _service, project) = project(Dialect::OpenAi, 6);
    let fate = |text: &str| match text {
        "question 1" => Fate::RateLimited,
        "question 2" => Fate::Refused,
        "question 3" => Fate::Cancelled,
        "question 4" => Fate::Unsaid,
        _ => Fate::Answered,
    };
    batches.fates(fate);
    with_key(&project, "harvest").run().exits(75);
    let failures = ["traces", "failures", "--workdir", "work", "--json"];
    let failures = project.limbeck().args(failures).run().succeeds();
    let mut found: Vec<String> = failures
        .json_lines()
        .iter()
        .map(|failure| format!("{}: {}", failure["input"], failure["kind"]))
        .collect();
    found.sort();
    let expected = [
        r#""question 1": "rate-limited""#,
        r#""question 2": "refused""#,
        r#""question 3": "cancelled""#,
        r#""question 4": "malformed""#,
    ];
    assert_eq!(found, expected);
    batches.fates(|_| Fate::Answered);
    // What nobody worked on is asked again in any case, what failed only on request.
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(batches.sizes(), [6, 1]);
    let again = with_key(&project, "harvest").args(["--retry-failed", "rate-limited"]);
    again.run().succeeds();
    assert_eq!(batches.sizes(), [6, 1, 1]);
    assert_eq!(answers(&project.work("limbeck.db")), 4);
}

#[test]
fn a_service_with_enough_to_do_is_given_the_rest_later() {
    let (batches, _service, project) = project(Dialect::OpenAi, 25);
    batches.most(1).polls(2);
    let harvest = with_key(&project, "harvest").run().succeeds();
    harvest.says(["the service takes no more at present"]);
    assert_all_answered_once(&batches, &project, 25);
}

#[test]
fn the_key_is_nowhere_even_if_batches_repeat_it() {
    let (batches, service, project) = project(Dialect::OpenAi, 6);
    let told = json!({"id": "batch_0", "object": "batch", "status": format!("held for {KEY}"),
                      "created_at": 1, "metadata": {}});
    batches
        .polls(1)
        .faults(move |route, count| match (route, count) {
            (Route::Upload, 0) => Some(Fault::Instead(error(500, &[], &format!("not {KEY}")))),
            (Route::Create, 0) => Some(Fault::After(error(502, &[("x-request-id", KEY)], KEY))),
            (Route::List, 0) => Some(Fault::Instead(error(503, &[], &format!("not {KEY}")))),
            (Route::Poll, 0) => {
                let told = told.to_string();
                Some(Fault::Instead(response(200, &[], told.as_bytes())))
            }
            _ => None,
        });
    batches.fates(|text| match text {
        "question 1" => Fate::RateLimited,
        _ => Fate::Answered,
    });
    batches.lines(|lines| {
        let repeat = |line: String| line.replace("too fast", KEY).replace("answer 2", KEY);
        lines.into_iter().map(repeat).collect()
    });
    let trace = |limbeck: Limbeck| {
        limbeck
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
    };
    assert_silent(&trace(with_key(&project, "harvest")).run().succeeds());
    let lists = [
        ["teachers", "batches"],
        ["traces", "failures"],
        ["traces", "list"],
    ];
    for [group, list] in lists {
        let list = [group, list, "--workdir", "work", "--json"];
        assert_silent(&trace(project.limbeck().args(list)).run().succeeds());
    }
    assert_keyless(project.path());

    // A batch that the service rejects has its reason, and the reason is kept.
    batches.faults(|route, _| {
        let why = json!({"id": "batch_1", "object": "batch", "status": "failed", "created_at": 1,
                         "errors": {"data": [{"code": "invalid", "message": format!("not {KEY}")}]}});
        (route == Route::Poll).then(|| Fault::Instead(response(200, &[], why.to_string().as_bytes())))
    });
    project.edit("temperature = 1.0", "temperature = 0.5");
    let rejected = trace(with_key(&project, "harvest")).run();
    assert_silent(&rejected.fails_saying(["invalid: not [hidden]"]));
    assert_keyless(project.path());
    assert!(service.seen().iter().all(|seen| seen.head.contains(KEY)));
}
