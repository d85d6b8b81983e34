//! Windows over the limits that the recipe had declared.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Area, ConductPolicy, Finding, Level, Request};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// One limit: its key in a receipt, over how long it counts, what a request counts, and in words.
struct Limit {
    key: &'static str,
    span: SignedDuration,
    amount: fn(&Request) -> u64,
    what: &'static str,
    level: Level,
}

/// Tokens are known only when a request has ended, so that more of them than were reserved is no wilful excess.
const LIMITS: [Limit; 6] = [
    Limit {
        key: "requests_per_minute",
        span: MINUTE,
        amount: |_| 1,
        what: "requests within 60 seconds",
        level: Level::Deny,
    },
    Limit {
        key: "requests_per_day",
        span: DAY,
        amount: |_| 1,
        what: "requests within 24 hours",
        level: Level::Deny,
    },
    Limit {
        key: "input_tokens_per_minute",
        span: MINUTE,
        amount: |request| request.prompt_tokens,
        what: "tokens read within 60 seconds",
        level: Level::Warning,
    },
    Limit {
        key: "output_tokens_per_minute",
        span: MINUTE,
        amount: |request| request.completion_tokens,
        what: "tokens written within 60 seconds",
        level: Level::Warning,
    },
    Limit {
        key: "tokens_per_minute",
        span: MINUTE,
        amount: tokens,
        what: "tokens within 60 seconds",
        level: Level::Warning,
    },
    Limit {
        key: "tokens_per_day",
        span: DAY,
        amount: tokens,
        what: "tokens within 24 hours",
        level: Level::Warning,
    },
];

fn tokens(request: &Request) -> u64 {
    request
        .prompt_tokens
        .saturating_add(request.completion_tokens)
}

/// One finding for each stretch of time over a limit. Requests are counted together that were made for one teacher
/// with one key, or with keys that are declared to belong to one account.
pub(super) fn findings(requests: &[&Request], policy: &ConductPolicy) -> Vec<Finding> {
    let mut groups: BTreeMap<(&str, String), Vec<&Request>> = BTreeMap::new();
    for request in requests {
        let payer = match (request.account(policy), &request.key_alias) {
            (Some(account), _) => format!("account `{account}`"),
            (None, Some(_)) => request.key(),
            (None, None) => format!("endpoint `{}`", request.endpoint),
        };
        groups
            .entry((&request.teacher, payer))
            .or_default()
            .push(request);
    }
    let mut findings = Vec::new();
    for ((teacher, payer), requests) in groups {
        let in_force = limits_in_force(&requests);
        for limit in &LIMITS {
            findings.extend(limit.excesses(&requests, &in_force).iter().map(|excess| {
                limit
                    .finding(excess, &payer)
                    .via(format!("teacher `{teacher}`"))
                    .via(payer.clone())
            }));
        }
    }
    findings
}

/// The limits at each request. One without a receipt was made under those of the next answer, or of the last.
fn limits_in_force<'a>(requests: &[&'a Request]) -> Vec<Option<&'a Value>> {
    let mut next = None;
    let mut found: Vec<Option<&Value>> = requests
        .iter()
        .rev()
        .map(|request| {
            next = request.limits.as_ref().or(next);
            next
        })
        .collect();
    found.reverse();
    let last = requests
        .iter()
        .rev()
        .find_map(|request| request.limits.as_ref());
    found.into_iter().map(|limits| limits.or(last)).collect()
}

/// A stretch in which every request came on top of a full window.
struct Excess {
    from: Timestamp,
    until: Timestamp,
    most: u64,
    allowed: u64,
}

impl Limit {
    fn excesses(&self, requests: &[&Request], in_force: &[Option<&Value>]) -> Vec<Excess> {
        let mut excesses: Vec<Excess> = Vec::new();
        let mut window: VecDeque<(Timestamp, u64)> = VecDeque::new();
        let mut sum = 0_u64;
        for (request, limits) in requests.iter().zip(in_force) {
            let now = request.started;
            while let Some(&(begun, amount)) = window.front() {
                if now.duration_since(begun) < self.span {
                    break;
                }
                sum -= amount;
                window.pop_front();
            }
            // So that no sum of any window can overflow.
            let amount = (self.amount)(request).min(u64::from(u32::MAX));
            window.push_back((now, amount));
            sum += amount;
            let Some(allowed) = limits.and_then(|limits| limits.get(self.key)?.as_u64()) else {
                continue;
            };
            if sum <= allowed {
                continue;
            }
            match excesses.last_mut() {
                Some(last) if now.duration_since(last.until) < self.span => {
                    last.until = now;
                    last.most = last.most.max(sum);
                }
                _ => excesses.push(Excess {
                    from: now,
                    until: now,
                    most: sum,
                    allowed,
                }),
            }
        }
        excesses
    }

    fn finding(&self, excess: &Excess, payer: &str) -> Finding {
        let Excess {
            from,
            until,
            most,
            allowed,
        } = excess;
        let name = format!("over-{}", self.key.replace('_', "-"));
        let message = format!(
            "{payer}: up to {most} {}, where {allowed} were declared, from {from} to {until}",
            self.what
        );
        Finding::new(Area::Conduct, &name, self.level, message).help(
            "use a key in one work folder at a time; limits are kept within one, not across several",
        )
    }
}
