//! Every fault of a service ends in an answer, once, or among the failures with its reason.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Service;
use crate::support::fault_server::{
    Seen, Step, answer, answer_body, begun, end, error, event, response,
};
use crate::support::service::{answer_to, good, number_of, with_key};
use crate::support::store::Sql;

type Script = fn(&Seen) -> Vec<Step>;

/// How many questions are asked in each test.
const PROMPTS: usize = 6;
/// How often one is put, as the recipe says.
const ATTEMPTS: usize = 3;

/// What a harvest left of each question.
struct Harvested {
    answers: BTreeMap<String, String>,
    /// The kind of the last failure and how often it was tried, for those without an answer.
    failures: BTreeMap<String, (String, u64)>,
    seen: Vec<Seen>,
    sql: Sql,
}

/// Harvests while every third question meets `fault`; `first_only`: at its first attempt.
fn with_fault(name: &str, fault: Script, first_only: bool, stream: bool) -> Harvested {
    let service = Service::start(move |seen| {
        if number_of(&seen.prompt).is_multiple_of(3) && (seen.before == 0 || !first_only) {
            return fault(seen);
        }
        good(seen)
    });
    let project = service.project(PROMPTS);
    if stream {
        project.edit("stream = false", "stream = true");
    }
    with_key(&project, "harvest").run().succeeds();
    let list = ["traces", "failures", "--workdir", "work", "--json"];
    let listed = project.limbeck().args(list).run().succeeds().json_lines();
    let failures: BTreeMap<_, _> = listed
        .iter()
        .map(|failure| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let kind = text(&failure["kind"]);
            assert!(!text(&failure["message"]).is_empty(), "{name}: {failure}");
            let attempts = failure["attempts"].as_u64().unwrap();
            (text(&failure["input"]), (kind, attempts))
        })
        .collect();
    assert_eq!(failures.len(), listed.len(), "{name}: listed twice");
    let mut sql = Sql::open(&project.work("limbeck.db"));
    let rows = sql.texts::<2>(
        "SELECT prompts.input, traces.text FROM traces JOIN prompts ON prompts.id = prompt_id",
    );
    let answers: BTreeMap<String, String> = rows.iter().cloned().map(|[a, b]| (a, b)).collect();
    assert_eq!(answers.len(), rows.len(), "{name}: answered twice");
    for number in 0..PROMPTS {
        let question = format!("question {number}");
        assert!(
            answers.contains_key(&question) != failures.contains_key(&question),
            "{name}: `{question}` is neither answered nor a failure, or both"
        );
    }
    let seen = service.seen();
    let attempts = sql.number("SELECT count(*) FROM attempts");
    assert_eq!(
        attempts as usize,
        seen.len(),
        "{name}: an attempt has no row"
    );
    Harvested {
        answers,
        failures,
        seen,
        sql,
    }
}

/// A fault that passes costs one more attempt, which is on record with its kind, and no answer.
fn assert_got_over(name: &str, fault: Script, kind: &str) {
    for stream in [false, true] {
        let mut harvested = with_fault(name, fault, true, stream);
        assert_eq!(
            harvested.answers.len(),
            PROMPTS,
            "{name}: {:?}",
            harvested.failures
        );
        for (question, text) in &harvested.answers {
            assert_eq!(*text, answer_to(question), "{name}");
        }
        assert_eq!(harvested.seen.len(), PROMPTS + 2, "{name}");
        let kinds = harvested
            .sql
            .texts::<1>("SELECT failure_kind FROM attempts WHERE failure_kind IS NOT NULL");
        assert_eq!(kinds, [[kind.to_owned()], [kind.to_owned()]], "{name}");
        harvested.sql.close();
    }
}

/// A fault that stays ends among the failures after `attempts`, and the rest is answered.
fn assert_recorded(name: &str, fault: Script, kind: &str, attempts: usize) {
    let harvested = with_fault(name, fault, false, false);
    let expected = [0, 3].map(|number| {
        let failure = (kind.to_owned(), attempts as u64);
        (format!("question {number}"), failure)
    });
    assert_eq!(harvested.failures, BTreeMap::from(expected), "{name}");
    assert_eq!(harvested.seen.len(), PROMPTS - 2 + 2 * attempts, "{name}");
    harvested.sql.close();
}

/// An oddity does no harm: everything is answered at the first attempt.
fn assert_taken(name: &str, oddity: Script) -> Harvested {
    let harvested = with_fault(name, oddity, false, false);
    assert_eq!(
        harvested.answers.len(),
        PROMPTS,
        "{name}: {:?}",
        harvested.failures
    );
    assert_eq!(harvested.seen.len(), PROMPTS, "{name}");
    for (question, text) in &harvested.answers {
        assert_eq!(*text, answer_to(question), "{name}");
    }
    harvested
}

fn body(seen: &Seen) -> String {
    answer_body(&answer_to(&seen.prompt)).to_string()
}

#[test]
fn faults_of_a_status_that_pass_are_got_over() {
    let limited: Script = |_| error(429, &[], "rate_limit_exceeded");
    assert_got_over("429", limited, "rate-limited");
    assert_got_over("500", |_| error(500, &[], "server_error"), "server");
    assert_got_over("501", |_| error(501, &[], "server_error"), "server");
    let page: Script = |_| response(502, &[("content-type", "text/html")], b"<html>Bad</html>");
    assert_got_over("502 in HTML", page, "server");
    assert_got_over("503", |_| error(503, &[], "overloaded"), "overloaded");
}

#[test]
fn faults_of_a_connection_that_pass_are_got_over() {
    assert_got_over("reset", |_| vec![Step::Reset], "connection");
    assert_got_over("closed", |_| vec![Step::Close], "connection");
    assert_got_over("stall", |_| vec![Step::Stall], "timeout");
    let half: Script = |_| {
        let mut steps = begun("application/json", &["{\"choices\":".to_owned()]);
        steps.push(Step::Stall);
        steps
    };
    assert_got_over("stall in the body", half, "timeout");
    let cut: Script = |_| {
        let mut steps = begun("text/event-stream", &[event("ans", None)]);
        steps.push(Step::Close);
        steps
    };
    assert_got_over("a stream that is cut", cut, "connection");
}

#[test]
fn faults_of_a_body_that_pass_are_got_over() {
    let cut: Script = |seen| response(200, &[], &body(seen).as_bytes()[..60]);
    assert_got_over("JSON that is cut", cut, "malformed");
    assert_got_over("no JSON", |_| response(200, &[], b"{]"), "malformed");
    assert_got_over("nothing", |_| response(200, &[], b""), "malformed");
}

#[test]
fn faults_that_stay_are_among_the_failures() {
    assert_recorded(
        "500",
        |_| error(500, &[], "server_error"),
        "server",
        ATTEMPTS,
    );
    assert_recorded(
        "no JSON",
        |_| response(200, &[], b"[1, 2"),
        "malformed",
        ATTEMPTS,
    );
    assert_recorded("silence", |_| answer("  "), "malformed", ATTEMPTS);
    let garbled: Script = |_| response(200, &[("content-encoding", "gzip")], b"no gzip at all");
    assert_recorded("gzip that is none", garbled, "malformed", ATTEMPTS);
    assert_recorded(
        "400",
        |_| error(400, &[], "invalid_request_error"),
        "invalid-request",
        1,
    );
    assert_recorded(
        "a filter",
        |_| error(400, &[], "content_filter"),
        "policy",
        1,
    );
}

#[test]
fn a_redirect_is_not_followed_and_is_the_matter_of_one_question() {
    let for_now: Script = |_| response(307, &[("location", "/login")], b"");
    assert_got_over("307", for_now, "redirected");
    assert_recorded("307", for_now, "redirected", ATTEMPTS);
    let for_good: Script = |_| response(308, &[("location", "/login")], b"");
    assert_recorded("308", for_good, "redirected", 1);
}

#[test]
fn an_address_that_leads_every_question_elsewhere_ends_the_harvest() {
    // Where it leads to must never be asked: the key would be sent there.
    let other = Service::start(good);
    let target = format!("{}?token=secret", other.base_url());
    let service = Service::start(move |_| response(301, &[("location", &target)], b""));
    let project = service.project(PROMPTS);
    let harvest = with_key(&project, "harvest").run().fails_saying([
        &format!(
            "redirected to `{}`, which is not followed",
            other.base_url()
        ),
        "hint: the key goes nowhere but to `base_url`",
    ]);
    assert_eq!(other.count(), 0, "a redirect was followed");
    assert!(!harvest.stderr.contains("secret"), "{}", harvest.stderr);
    let mut sql = Sql::open(&project.work("limbeck.db"));
    let noted = sql.number("SELECT count(*) FROM attempts WHERE failure_kind = 'redirected'");
    assert_eq!(noted as usize, service.count());
    sql.close();
}

#[test]
fn a_body_without_end_is_given_up_on() {
    let endless: Script = |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n{\"a\":\"";
        vec![
            Step::Send(head.as_bytes().to_vec()),
            Step::Spaces(100 << 20),
            Step::Close,
        ]
    };
    assert_recorded("a hundred megabytes", endless, "malformed", 1);
}

#[test]
fn oddities_of_a_response_do_no_harm() {
    assert_taken("another content type", |seen| {
        response(200, &[("content-type", "text/html")], body(seen).as_bytes())
    });
    assert_taken("blank lines", |seen| {
        let mut steps = begun("application/json", &["\n".to_owned(), "\n\n".to_owned()]);
        for _ in 0..4 {
            steps.push(Step::Wait(Duration::from_millis(100)));
            steps.push(Step::Send(b"1\r\n\n\r\n".to_vec()));
        }
        let body = body(seen);
        let chunk = format!("{:x}\r\n{body}\r\n", body.len());
        steps.push(Step::Send(chunk.into_bytes()));
        steps.push(end());
        steps
    });
    assert_taken("slow bytes", |seen| {
        let body = body(seen);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut steps = vec![Step::Send(head.into_bytes())];
        for piece in body.as_bytes().chunks(60) {
            steps.push(Step::Send(piece.to_vec()));
            steps.push(Step::Wait(Duration::from_millis(50)));
        }
        steps
    });
    assert_taken("gzip", |seen| {
        let level = flate2::Compression::fast();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), level);
        packed.write_all(body(seen).as_bytes()).unwrap();
        response(
            200,
            &[("content-encoding", "gzip")],
            &packed.finish().unwrap(),
        )
    });
    assert_taken("the same id for all", |seen| {
        response(200, &[("x-request-id", "the-same")], body(seen).as_bytes())
    });
    // A clock that is a day ahead, or a year behind, makes nobody wait.
    assert_taken("a wrong clock", |seen| {
        let headers = [
            ("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
            ("x-ratelimit-remaining-requests", "5"),
            ("x-ratelimit-reset-requests", "2024-01-01T00:00:01Z"),
        ];
        response(200, &headers, body(seen).as_bytes())
    });
}

#[test]
fn a_usage_that_cannot_be_true_is_not_believed() {
    let mut harvested = assert_taken("wrong usage", |seen| {
        let mut body = answer_body(&answer_to(&seen.prompt));
        body["usage"] = json!({"prompt_tokens": -4, "completion_tokens": 1e300});
        response(200, &[], body.to_string().as_bytes())
    });
    let most = harvested
        .sql
        .number("SELECT max(max(prompt_tokens, completion_tokens)) FROM traces");
    assert!((0..1000).contains(&most), "{most} tokens were believed");
    harvested.sql.close();
}

#[test]
fn what_is_taken_back_is_kept_and_marked() {
    let harvested = with_fault(
        "retraction",
        |_| {
            let events = [
                event("I will tell you", None),
                event("", Some("content_filter")),
                "data: [DONE]\n\n".to_owned(),
            ];
            let mut steps = begun("text/event-stream", &events);
            steps.push(end());
            steps
        },
        false,
        true,
    );
    let mut sql = harvested.sql;
    let said =
        sql.texts::<2>("SELECT finish_reason, retracted FROM traces WHERE retracted IS NOT NULL");
    sql.close();
    let one = ["filtered".to_owned(), "I will tell you".to_owned()];
    assert_eq!(said, [one.clone(), one]);
}
