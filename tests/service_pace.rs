//! The pace of a harvest by the clock, as the service sees it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::fault_server::{Seen, Step, answer_body, response};
use crate::support::service::{answer_to, with_key};
use crate::support::{Service, wait_until};

const MINUTE: Duration = Duration::from_mins(1);
const REQUESTS_PER_MINUTE: usize = 600;
const TOKENS_PER_MINUTE: u64 = 60_000;
/// So many of each request that both limits are reached at once.
const TOKENS_READ: u64 = 45;
const TOKENS_WRITTEN: u64 = 55;

/// A service that takes a tenth of a second and says what it used.
fn unhurried(seen: &Seen) -> Vec<Step> {
    let mut body = answer_body(&answer_to(&seen.prompt));
    body["usage"] = json!({"prompt_tokens": TOKENS_READ, "completion_tokens": TOKENS_WRITTEN});
    let mut steps = vec![Step::Wait(Duration::from_millis(100))];
    steps.extend(response(200, &[], body.to_string().as_bytes()));
    steps
}

/// The most requests in any minute, wherever it begins.
fn busiest_minute(arrivals: &[Instant]) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, at) in arrivals.iter().enumerate() {
        while *at - arrivals[first] >= MINUTE {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

#[test]
#[ignore = "takes five minutes by the clock, on a machine that does nothing else"]
#[expect(clippy::print_stderr, reason = "what was measured is asked for")]
fn five_minutes_send_what_is_allowed_and_no_minute_more() {
    const MINUTES: u32 = 5;
    let service = Service::start(unhurried);
    let project = service.project(REQUESTS_PER_MINUTE * (MINUTES as usize + 1));
    let limits = format!(
        "concurrent = 64, requests_per_minute = {REQUESTS_PER_MINUTE}, tokens_per_minute = {TOKENS_PER_MINUTE}"
    );
    project.edit("concurrent = 8", &limits);
    project.edit("max_tokens = 20", &format!("max_tokens = {TOKENS_WRITTEN}"));
    let harvest = with_key(&project, "harvest").spawn();
    wait_until("a request", || service.count() > 0);
    let begun = service.seen()[0].at;
    std::thread::sleep((begun + MINUTES * MINUTE).saturating_duration_since(Instant::now()));
    assert!(harvest.kill(), "there was not enough to ask");

    let mut arrivals: Vec<Instant> = service.seen().iter().map(|seen| seen.at).collect();
    arrivals.sort_unstable();
    arrivals.retain(|at| *at - begun < MINUTES * MINUTE);
    let allowed = REQUESTS_PER_MINUTE * MINUTES as usize;
    let share = arrivals.len() as f64 / allowed as f64;
    let busiest = busiest_minute(&arrivals);
    let tokens = busiest as u64 * (TOKENS_READ + TOKENS_WRITTEN);
    eprintln!(
        "{} of {allowed} requests ({share:.4}), at most {busiest} in a minute",
        arrivals.len()
    );
    assert!(share >= 0.97, "{share}");
    assert!(
        busiest <= REQUESTS_PER_MINUTE,
        "{busiest} requests in a minute"
    );
    assert!(tokens <= TOKENS_PER_MINUTE, "{tokens} tokens in a minute");
}
