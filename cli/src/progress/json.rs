//! Progress as JSON lines on standard error. The format is a contract, written down in `docs/progress.md`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{End, Meter, View};
use crate::printer::Printer;
use crate::text;

const INTERVAL: Duration = Duration::from_secs(1);

/// Writes one stage's events.
pub(super) struct JsonLines {
    printer: Printer,
    last: Option<Instant>,
}

impl JsonLines {
    pub(super) fn new(printer: Printer) -> Self {
        Self {
            printer,
            last: None,
        }
    }
}

impl View for JsonLines {
    fn started(&mut self, meter: &Meter) {
        self.printer.message(started_event(meter));
    }

    fn updated(&mut self, meter: &Meter, now: Instant) {
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if due {
            self.last = Some(now);
            self.printer.message(progress_event(meter, now));
        }
    }

    fn finished(&mut self, meter: &Meter, end: &End, now: Instant) {
        self.printer.message(finished_event(meter, end, now));
    }
}

fn started_event(meter: &Meter) -> Value {
    json!({
        "event": "started",
        "stage": meter.name(),
        "total": meter.total(),
        "unit": meter.unit(),
    })
}

fn progress_event(meter: &Meter, now: Instant) -> Value {
    json!({
        "event": "progress",
        "stage": meter.name(),
        "position": meter.position(),
        "total": meter.total(),
        "unit": meter.unit(),
        "reused": meter.reused(),
        "rate": meter.rate(now).map(rounded),
        "eta_seconds": meter.time_left(now).map(|left| rounded(left.as_secs_f64())),
        "message": (!meter.message().is_empty()).then(|| meter.message()),
    })
}

fn finished_event(meter: &Meter, end: &End, now: Instant) -> Value {
    let (status, summary) = match end {
        End::Done(summary) => ("done", Some(text::sanitize_line(summary))),
        End::Stopped => ("stopped", None),
    };
    json!({
        "event": "finished",
        "stage": meter.name(),
        "status": status,
        "position": meter.position(),
        "total": meter.total(),
        "unit": meter.unit(),
        "reused": meter.reused(),
        "rate": meter.overall_rate(now).map(rounded),
        "seconds": rounded(meter.elapsed(now).as_secs_f64()),
        "summary": summary.filter(|summary| !summary.is_empty()),
    })
}

/// Three decimals are more than anybody needs, and seventeen are hard to read.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_events_are_the_documented_ones() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::new("harvest", Some(3000), "prompts", start);
        let mut lines = vec![started_event(&meter)];
        meter.set_reused(600, start);
        meter.set_position(1500, at(30));
        lines.push(progress_event(&meter, at(30)));
        meter.set_message("2 failed");
        meter.set_position(3000, at(80));
        lines.push(progress_event(&meter, at(80)));
        lines.push(finished_event(
            &meter,
            &End::Done("3,000 traces".into()),
            at(80),
        ));
        lines.push(finished_event(&meter, &End::Stopped, at(80)));
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        expect![[r#"
            {"event":"started","stage":"harvest","total":3000,"unit":"prompts"}
            {"event":"progress","stage":"harvest","position":1500,"total":3000,"unit":"prompts","reused":600,"rate":30.0,"eta_seconds":50.0,"message":null}
            {"event":"progress","stage":"harvest","position":3000,"total":3000,"unit":"prompts","reused":600,"rate":30.0,"eta_seconds":0.0,"message":"2 failed"}
            {"event":"finished","stage":"harvest","status":"done","position":3000,"total":3000,"unit":"prompts","reused":600,"rate":30.0,"seconds":80.0,"summary":"3,000 traces"}
            {"event":"finished","stage":"harvest","status":"stopped","position":3000,"total":3000,"unit":"prompts","reused":600,"rate":30.0,"seconds":80.0,"summary":null}"#]]
        .assert_eq(&text.join("\n"));
    }
}
