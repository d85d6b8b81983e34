//! Requests inside a wait that a service had asked for.

use jiff::{SignedDuration, Timestamp};

use super::{Area, ConductPolicy, Finding, GRACE, Level, Request};

/// Waits that are longer are not believed: a service that means it says so again.
const LONGEST_WAIT: f64 = 30.0 * 24.0 * 3600.0;

/// One finding for each wait that was not kept by the same key, and one for each that other keys went around.
pub(super) fn findings(requests: &[&Request], policy: &ConductPolicy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for asked in requests {
        let Some(wait) = wait(asked) else { continue };
        let (Ok(from), Ok(until)) = (
            asked.answered.checked_add(GRACE),
            asked
                .answered
                .checked_add(wait)
                .and_then(|until| until.checked_sub(GRACE)),
        ) else {
            continue;
        };
        let first = requests.partition_point(|request| request.started <= from);
        let inside: Vec<&Request> = requests[first..]
            .iter()
            .take_while(|request| request.started < until)
            .filter(|request| request.host() == asked.host())
            .copied()
            .collect();
        let (same, others): (Vec<&Request>, Vec<&Request>) = inside
            .into_iter()
            .partition(|request| request.key_alias == asked.key_alias);
        findings.extend(
            same.first()
                .map(|first| ignored(asked, wait, first, same.len())),
        );
        findings.extend(rotated(asked, &others, policy));
    }
    findings
}

fn ignored(asked: &Request, wait: SignedDuration, first: &Request, count: usize) -> Finding {
    Finding::new(
        Area::Conduct,
        "retry-after-ignored",
        Level::Deny,
        format!(
            "`{}` asked at {} to wait {:.1} s, and {count} requests with {} were begun meanwhile, the first at {}",
            asked.host(),
            asked.answered,
            wait.as_secs_f64(),
            asked.key(),
            first.started,
        ),
    )
    .via(format!("teacher `{}`", asked.teacher))
    .via(format!("endpoint `{}`", asked.endpoint))
    .via(asked.key())
    .help("let one teacher at a time use a key, or lower its limits")
}

/// Other keys that went on while one was told to wait. Whether they are of one account, only a person can say.
fn rotated(asked: &Request, others: &[&Request], policy: &ConductPolicy) -> Option<Finding> {
    let known = asked.account(policy);
    let (mut level, mut first, mut count) = (Level::Warning, None, 0_usize);
    for other in others {
        match (known, other.account(policy)) {
            (Some(one), Some(another)) if one != another => continue,
            (Some(_), Some(_)) => level = Level::Deny,
            // Another teacher with a key of its own is no evasion unless the account is known to be the same.
            _ if other.teacher != asked.teacher => continue,
            _ => {}
        }
        first.get_or_insert(*other);
        count += 1;
    }
    let first = first?;
    let belonging = match (level, known) {
        (Level::Deny, Some(account)) => format!("which belong to the account `{account}`"),
        _ => "which may belong to the same account".to_owned(),
    };
    let finding = Finding::new(
        Area::Conduct,
        "keys-rotated",
        level,
        format!(
            "while {} had to wait from {} on, {count} requests to `{}` were begun with other keys, {belonging}: the first with {} at {}",
            asked.key(),
            asked.answered,
            asked.host(),
            first.key(),
            first.started,
        ),
    )
    .via(format!("teacher `{}`", asked.teacher))
    .via(format!("endpoint `{}`", asked.endpoint))
    .via(asked.key());
    Some(match level {
        Level::Deny => finding.help("use one key of an account"),
        _ => finding.help("declare which account each key belongs to"),
    })
}

/// How long the response to `request` asked to wait, from when it came.
fn wait(request: &Request) -> Option<SignedDuration> {
    if request.http_status.is_none_or(|status| status < 300) {
        return None;
    }
    let header = |name: &str| request.headers.get(name).map(|value| value.trim());
    let milliseconds = header("retry-after-ms").and_then(|value| value.parse::<f64>().ok());
    let seconds = if let Some(milliseconds) = milliseconds {
        milliseconds / 1000.0
    } else {
        let value = header("retry-after")?;
        if let Ok(seconds) = value.parse::<f64>() {
            seconds
        } else {
            // From the service's own clock, where it tells it.
            let sent = header("date")
                .and_then(http_date)
                .unwrap_or(request.answered);
            http_date(value)?.duration_since(sent).as_secs_f64()
        }
    };
    (seconds > 0.0 && seconds <= LONGEST_WAIT)
        .then(|| SignedDuration::try_from_secs_f64(seconds).ok())
        .flatten()
}

fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}
