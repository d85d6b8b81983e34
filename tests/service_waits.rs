//! Waits that a service asks for are kept to the second, whatever its clock and ours say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};

use crate::support::Service;
use crate::support::fault_server::{Seen, Step, answer_body, error, response};
use crate::support::service::{answer_to, good, with_key};

/// Longer than no wait is, on a busy machine as well; a wait by the wrong clock would be of hours.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How far the service's clock is from ours.
const SKEWS: [SignedDuration; 3] = [
    SignedDuration::ZERO,
    SignedDuration::from_hours(5),
    SignedDuration::from_hours(-24 * 400),
];

/// The time of a service whose clock is off by `skew`.
fn clock(skew: SignedDuration) -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(since.as_secs()).unwrap();
    Timestamp::from_second(seconds).unwrap() + skew
}

/// `Tue, 15 Nov 1994 08:12:31 GMT`
fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time + SignedDuration::from_secs(seconds)
}

/// What a service says in its headers at that time by its own clock.
type Headers = fn(Timestamp) -> Vec<(&'static str, String)>;

fn refused(headers: &[(&'static str, String)]) -> Vec<Step> {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    error(429, &headers, "rate_limit_exceeded")
}

/// How long after a first attempt, which was refused with `headers`, the second one came.
fn waited_after_refusal(headers: Headers, skew: SignedDuration) -> Duration {
    let service = Service::start(move |seen: &Seen| match seen.before {
        0 => refused(&headers(clock(skew))),
        _ => good(seen),
    });
    let project = service.project(1);
    with_key(&project, "harvest").run().succeeds();
    let seen = service.seen();
    assert_eq!(seen.len(), 2);
    seen[1].at - seen[0].at
}

fn assert_waits(name: &str, headers: Headers, seconds: u64) {
    // Dates are told to the second, so a wait may be one longer than it was meant; a busy machine adds to it.
    let expected = Duration::from_secs(seconds)..Duration::from_secs(seconds + 4);
    std::thread::scope(|scope| {
        let waits = SKEWS.map(|skew| {
            (
                skew,
                scope.spawn(move || waited_after_refusal(headers, skew)),
            )
        });
        for (skew, wait) in waits {
            let wait = wait.join().unwrap();
            assert!(
                expected.contains(&wait),
                "{name}, off by {skew:#}: {wait:?} instead of {seconds} s"
            );
        }
    });
}

#[test]
fn a_date_is_measured_by_the_clock_of_the_service() {
    assert_waits(
        "Retry-After as a date",
        |now| {
            vec![
                ("date", http_date(now)),
                ("retry-after", http_date(later(now, 2))),
            ]
        },
        2,
    );
}

#[test]
fn so_are_points_in_time_at_which_a_limit_is_renewed() {
    assert_waits(
        "a reset as RFC 3339",
        |now| {
            vec![
                ("date", http_date(now)),
                ("anthropic-ratelimit-requests-remaining", "0".to_owned()),
                (
                    "anthropic-ratelimit-requests-reset",
                    later(now, 2).to_string(),
                ),
            ]
        },
        2,
    );
    assert_waits(
        "a reset in milliseconds since 1970",
        |now| {
            let reset = later(now, 2).as_millisecond();
            vec![
                ("date", http_date(now)),
                ("x-ratelimit-remaining", "0".to_owned()),
                ("x-ratelimit-reset", reset.to_string()),
            ]
        },
        2,
    );
}

#[test]
fn a_span_needs_no_clock() {
    assert_waits(
        "seconds",
        |now| vec![("date", http_date(now)), ("retry-after", "1".to_owned())],
        1,
    );
    assert_waits(
        "a span",
        |_| {
            vec![
                ("x-ratelimit-remaining-tokens", "0".to_owned()),
                ("x-ratelimit-reset-tokens", "1s200ms".to_owned()),
            ]
        },
        1,
    );
}

#[test]
fn without_the_time_of_the_service_ours_must_do() {
    let headers: Headers = |now| vec![("retry-after", http_date(later(now, 3)))];
    let wait = waited_after_refusal(headers, SignedDuration::ZERO);
    let expected = Duration::from_millis(1900)..Duration::from_secs(7);
    assert!(expected.contains(&wait), "{wait:?}");
}

#[test]
fn what_has_passed_is_not_waited_for() {
    for skew in SKEWS {
        let headers: Headers = |now| {
            vec![
                ("date", http_date(now)),
                ("retry-after", http_date(later(now, -3600))),
                ("x-ratelimit-remaining-requests", "0".to_owned()),
                ("x-ratelimit-reset-requests", later(now, -60).to_string()),
            ]
        };
        let wait = waited_after_refusal(headers, skew);
        assert!(wait < AT_ONCE, "off by {skew:#}: {wait:?}");
    }
}

#[test]
fn a_limit_that_an_answer_used_up_holds_the_next_question_back() {
    let service = Service::start(|seen: &Seen| {
        let now = clock(SignedDuration::from_hours(-5));
        let headers = [
            ("date", http_date(now)),
            ("x-ratelimit-remaining-requests", "0".to_owned()),
            ("x-ratelimit-reset-requests", later(now, 2).to_string()),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let body = answer_body(&answer_to(&seen.prompt)).to_string();
        response(200, &headers, body.as_bytes())
    });
    let project = service.project(2);
    project.edit("concurrent = 8", "concurrent = 1");
    with_key(&project, "harvest").run().succeeds();
    let seen = service.seen();
    let wait = seen[1].at - seen[0].at;
    let expected = Duration::from_secs(2)..Duration::from_secs(6);
    assert!(expected.contains(&wait), "{wait:?}");
}

#[test]
fn a_limit_of_a_month_that_is_used_up_is_not_waited_for() {
    // An answer first, then a refusal that names the same reset: nobody sits there for twenty days.
    let service = Service::start(|seen: &Seen| {
        let headers = [
            ("x-ratelimit-remaining-tokens-month", "0"),
            ("x-ratelimit-reset-tokens-month", "1700000"),
        ];
        let body = answer_body(&answer_to(&seen.prompt)).to_string();
        response(200, &headers, body.as_bytes())
    });
    let project = service.project(2);
    project.edit("concurrent = 8", "concurrent = 1");
    with_key(&project, "harvest").run().succeeds();
    assert_eq!(service.count(), 2);
}

#[test]
fn a_wait_in_an_answer_of_status_200_is_kept() {
    let service = Service::start(|seen: &Seen| match seen.before {
        0 => error(200, &[("retry-after", "1")], "rate_limit_exceeded"),
        _ => good(seen),
    });
    let project = service.project(1);
    with_key(&project, "harvest").run().succeeds();
    let seen = service.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}
