//! Progress as lines of text, for logs: one at the start, at most one every ten seconds, one at the end.

use std::time::{Duration, Instant};

use super::{End, Meter, View};
use crate::printer::Printer;
use crate::text;

const INTERVAL: Duration = Duration::from_secs(10);

/// Writes one stage's lines.
pub(super) struct Plain {
    printer: Printer,
    last: Option<Instant>,
}

impl Plain {
    pub(super) fn new(printer: Printer) -> Self {
        Self {
            printer,
            last: None,
        }
    }
}

impl View for Plain {
    fn started(&mut self, meter: &Meter) {
        self.printer.message(started_line(meter));
        self.last = None;
    }

    fn updated(&mut self, meter: &Meter, now: Instant) {
        let since = self.last.map_or_else(
            || meter.elapsed(now),
            |last| now.saturating_duration_since(last),
        );
        if since >= INTERVAL {
            self.last = Some(now);
            self.printer.message(progress_line(meter, now));
        }
    }

    fn finished(&mut self, meter: &Meter, end: &End, now: Instant) {
        self.printer.message(finished_line(meter, end, now));
    }
}

fn started_line(meter: &Meter) -> String {
    match meter.total() {
        Some(total) => format!(
            "{}: started, {}",
            meter.name(),
            meter.count_with_unit(total)
        ),
        None => format!("{}: started", meter.name()),
    }
}

fn progress_line(meter: &Meter, now: Instant) -> String {
    let mut parts = vec![match (meter.total(), meter.share()) {
        (Some(total), Some(share)) => format!(
            "{}: {} of {} ({:.0} %)",
            meter.name(),
            meter.count(meter.position()),
            meter.count_with_unit(total),
            (share * 100.0).floor()
        ),
        _ => format!(
            "{}: {}",
            meter.name(),
            meter.count_with_unit(meter.position())
        ),
    }];
    parts.extend(meter.rate(now).map(|rate| meter.per_second(rate)));
    parts.extend(
        meter
            .time_left(now)
            .map(|left| format!("{} left", text::duration(left))),
    );
    if !meter.message().is_empty() {
        parts.push(meter.message().to_owned());
    }
    parts.join(", ")
}

fn finished_line(meter: &Meter, end: &End, now: Instant) -> String {
    let name = meter.name();
    let took = text::duration(meter.elapsed(now));
    let done = meter.count_with_unit(meter.position());
    match end {
        End::Done(summary) if summary.is_empty() => format!("{name}: done, {done} in {took}"),
        End::Done(summary) => format!("{name}: done, {} ({took})", text::sanitize_line(summary)),
        End::Stopped => format!("{name}: stopped after {done} in {took}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_lines_say_how_far_how_fast_and_how_long() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::new("harvest", Some(3000), "prompts", start);
        let mut lines = vec![started_line(&meter)];
        meter.set_position(1200, at(40));
        lines.push(progress_line(&meter, at(40)));
        meter.set_message("2 failed\x1b[2J");
        lines.push(progress_line(&meter, at(40)));
        lines.push(finished_line(&meter, &End::Stopped, at(41)));
        lines.push(finished_line(&meter, &End::Done(String::new()), at(100)));
        lines.push(finished_line(
            &meter,
            &End::Done("3,000 traces".into()),
            at(100),
        ));
        let mut download = Meter::new("fetch", None, "bytes", start);
        download.set_position(31_400_000, at(10));
        lines.push(progress_line(&download, at(10)));
        expect![[r"
            harvest: started, 3,000 prompts
            harvest: 1,200 of 3,000 prompts (40 %), 30.0/s, 1 min 0 s left
            harvest: 1,200 of 3,000 prompts (40 %), 30.0/s, 1 min 0 s left, 2 failed[2J
            harvest: stopped after 1,200 prompts in 41 s
            harvest: done, 1,200 prompts in 1 min 40 s
            harvest: done, 3,000 traces (1 min 40 s)
            fetch: 31 MB, 3.1 MB/s"]]
        .assert_eq(&lines.join("\n"));
    }
}
