//! Progress as bars on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{End, Meter, View};
use crate::printer::{LABEL_WIDTH, Printer};
use crate::text;

/// Bars are redrawn with new numbers at most this often; indicatif has its own limit, and formatting costs too.
const INTERVAL: Duration = Duration::from_millis(100);
/// Length of a full bar for indicatif, which draws only the share.
const FULL: u32 = 10_000;
const TICK: Duration = Duration::from_millis(120);

/// Draws one stage.
pub(super) struct Bar {
    printer: Printer,
    line: ProgressBar,
    last: Option<Instant>,
}

impl Bar {
    pub(super) fn new(printer: &Printer) -> Self {
        Self {
            printer: printer.clone(),
            // Until it has its style it is not among the bars: it would be drawn once in the library's own.
            line: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            last: None,
        }
    }

    fn draw(&mut self, meter: &Meter, now: Instant) {
        if let Some(share) = meter.share() {
            self.line.set_position((share * f64::from(FULL)) as u64);
        }
        self.line.set_message(numbers(meter, now));
    }
}

impl View for Bar {
    fn started(&mut self, meter: &Meter) {
        if meter.total().is_some() {
            self.line.set_length(FULL.into());
            self.line.set_style(style_with_total());
        } else {
            self.line.set_style(style_without_total());
        }
        let name = format!("{:>LABEL_WIDTH$}", meter.name());
        self.line.set_prefix(name);
        self.line = self.printer.bars().add(self.line.clone());
        self.draw(meter, Instant::now());
        self.line.enable_steady_tick(TICK);
    }

    fn updated(&mut self, meter: &Meter, now: Instant) {
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if due {
            self.last = Some(now);
            self.draw(meter, now);
        }
    }

    fn finished(&mut self, meter: &Meter, end: &End, now: Instant) {
        // The bar gives way to a line that stays where it is: later lines come below it, in the order of events.
        self.line.finish_and_clear();
        self.printer.bars().remove(&self.line);
        let summary = summary(meter, end, now);
        match end {
            End::Done(_) => self.printer.labelled(meter.name(), summary),
            End::Stopped => self.printer.labelled_warning(meter.name(), summary),
        }
    }
}

/// `1,200/3,000 prompts  31.2/s  58 s left  2 failed`
fn numbers(meter: &Meter, now: Instant) -> String {
    let mut parts = vec![match meter.total() {
        Some(total) => format!(
            "{}/{}",
            meter.count(meter.position()),
            meter.count_with_unit(total)
        ),
        None => meter.count_with_unit(meter.position()),
    }];
    if let Some(rate) = meter.rate(now) {
        parts.push(meter.per_second(rate));
    }
    if let Some(left) = meter.time_left(now).filter(|_| meter.share() < Some(1.0)) {
        parts.push(format!("{} left", text::duration(left)));
    }
    if !meter.message().is_empty() {
        parts.push(meter.message().to_owned());
    }
    parts.join("  ")
}

fn summary(meter: &Meter, end: &End, now: Instant) -> String {
    let took = text::duration(meter.elapsed(now));
    match end {
        End::Done(summary) if !summary.is_empty() => {
            format!("{}  {took}", text::sanitize_line(summary))
        }
        End::Done(_) => format!("{}  {took}", meter.count_with_unit(meter.position())),
        End::Stopped => format!(
            "stopped after {}  {took}",
            meter.count_with_unit(meter.position())
        ),
    }
}

fn style_with_total() -> ProgressStyle {
    // The rest of the bar is a thinner line, so that it can be told from the bar without colours.
    style("{prefix:.cyan.bold} {bar:16.cyan/238} {wide_msg}").progress_chars("━╸─")
}

fn style_without_total() -> ProgressStyle {
    style("{prefix:.cyan.bold} {spinner:.cyan} {wide_msg}").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates of this file are checked by its tests")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_numbers_beside_a_bar_are_short() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::new("harvest", Some(3000), "prompts", start);
        let mut lines = vec![numbers(&meter, start)];
        meter.set_position(1500, at(30));
        lines.push(numbers(&meter, at(30)));
        meter.set_message("2 failed");
        meter.set_position(3000, at(60));
        lines.push(numbers(&meter, at(60)));
        lines.push(summary(&meter, &End::Done("3,000 traces".into()), at(60)));
        lines.push(summary(&meter, &End::Done(String::new()), at(60)));
        lines.push(summary(&meter, &End::Stopped, at(60)));
        let mut download = Meter::new("fetch", None, "bytes", start);
        download.set_position(31_400_000, at(10));
        lines.push(numbers(&download, at(10)));
        expect![[r"
            0/3,000 prompts
            1,500/3,000 prompts  50.0/s  30 s left
            3,000/3,000 prompts  50.0/s  2 failed
            3,000 traces  1 min 0 s
            3,000 prompts  1 min 0 s
            stopped after 3,000 prompts  1 min 0 s
            31 MB  3.1 MB/s"]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn every_template_is_valid_through_the_life_of_a_bar() {
        let printer = Printer::new(true);
        let start = Instant::now();
        for (total, position, filled) in [
            (None, 2, 0),
            (Some(0), 0, 10_000),
            (Some(4), 1, 2_500),
            (Some(4), 9, 10_000),
        ] {
            let mut meter = Meter::new("train", total, "steps", start);
            let mut bar = Bar::new(&printer);
            bar.started(&meter);
            meter.set_position(position, start);
            bar.updated(&meter, start);
            assert_eq!(bar.line.position(), filled, "{position} of {total:?}");
            bar.finished(&meter, &End::Done(String::new()), start);
            assert!(bar.line.is_finished());
        }
    }
}
