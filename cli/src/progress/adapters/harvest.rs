//! The bar of a harvest.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use limbeck_store::{Answered, Attempt};
use limbeck_teacher::{ApiTeacher, HarvestReporter, HarvestSummary, PaceView, usd};

use super::Late;
use crate::progress::Progress;
use crate::text;

const BETWEEN_REMARKS: Duration = Duration::from_millis(200);

/// Shows a harvest.
pub struct HarvestBar {
    late: Late,
    label: String,
    failed: AtomicU64,
    /// Tries of questions that were answered by a later one.
    retried: AtomicU64,
    /// Read and written.
    tokens: AtomicU64,
    /// A service, whose limits and spending are shown.
    service: Option<Arc<ApiTeacher>>,
    shown_at: Mutex<Option<Instant>>,
}

impl HarvestBar {
    /// `label` is the name of the bar: the harvest itself, or the questions of a suite.
    pub fn new(progress: &Progress, label: String, service: Option<Arc<ApiTeacher>>) -> Self {
        Self {
            late: Late::new(progress),
            label,
            failed: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            service,
            shown_at: Mutex::new(None),
        }
    }

    /// The remark beside the numbers: at most a few times a second, since a service may answer thousands of times.
    fn remark(&self) {
        let mut shown_at = self.shown_at.lock().unwrap_or_else(PoisonError::into_inner);
        if shown_at.is_some_and(|then| then.elapsed() < BETWEEN_REMARKS) {
            return;
        }
        *shown_at = Some(Instant::now());
        let mut parts = Vec::new();
        if let Some(service) = &self.service {
            parts = pace(&service.pace());
        }
        for (count, what) in [
            (&self.tokens, "tokens"),
            (&self.retried, "retried"),
            (&self.failed, "failed"),
        ] {
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => parts.push(format!("{} {what}", text::grouped(count))),
            }
        }
        if !parts.is_empty() {
            self.late.with(|bar| bar.message(parts.join(", ")));
        }
    }
}

impl HarvestReporter for HarvestBar {
    fn started(&self, total: u64, reused: u64) {
        let bar = self.late.begin(&self.label, Some(total), "answers");
        bar.set_reused(reused);
    }

    fn answered(&self, answered: &Answered) {
        self.late.with(|bar| bar.inc(1));
        let trace = &answered.trace;
        let tokens = u64::from(trace.prompt_tokens) + u64::from(trace.completion_tokens);
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        let retried = answered.attempts.len().saturating_sub(1) as u64;
        self.retried.fetch_add(retried, Ordering::Relaxed);
        if self.service.is_some() {
            self.remark();
        }
    }

    fn failed(&self, _: &Attempt) {
        // A failure is no progress: it will be asked again by the next run.
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.remark();
    }

    fn finished(&self, summary: &HarvestSummary) {
        let Some(bar) = self.late.take() else { return };
        if !summary.interrupted {
            let spent = self
                .service
                .as_ref()
                .map_or(0, |service| service.pace().spent);
            let mut line = harvested(summary);
            if spent > 0 {
                let _ = write!(line, ", {:.4} USD in all", usd(spent));
            }
            bar.finish(line);
        }
    }
}

/// `412 of 600 requests/min, 38,100 of 60,000 tokens/min, 0.42 USD`
fn pace(view: &PaceView) -> Vec<String> {
    let mut parts: Vec<String> = view
        .limits
        .iter()
        .map(|&(limit, used, allowed)| {
            let (what, span) = limit.split_once("_per_").unwrap_or((limit, ""));
            let span = if span == "minute" { "min" } else { span };
            let (used, allowed) = (text::grouped(used), text::grouped(allowed));
            format!("{used} of {allowed} {}/{span}", what.replace('_', " "))
        })
        .collect();
    if view.paused > Duration::ZERO {
        parts.push(format!("asked to wait {}", text::duration(view.paused)));
    }
    if view.spent > 0 {
        parts.push(format!("{:.4} USD", usd(view.spent)));
    }
    parts
}

/// `3,000 answers, 600 of them from before  412 tokens/s`
fn harvested(summary: &HarvestSummary) -> String {
    let answered = summary.asked - summary.failed.min(summary.asked);
    let mut parts = vec![format!(
        "{} answers",
        text::grouped(answered + summary.reused)
    )];
    match summary.reused {
        0 => {}
        _ if answered == 0 => parts.push("all from before".to_owned()),
        reused => parts.push(format!("{} of them from before", text::grouped(reused))),
    }
    if summary.failed > 0 {
        parts.push(format!("{} failed", text::grouped(summary.failed)));
    }
    if summary.left_out > 0 {
        let left_out = text::grouped(summary.left_out);
        parts.push(format!("{left_out} refused before and not asked again"));
    }
    let tokens = summary.prompt_tokens + summary.completion_tokens;
    if tokens > 0 && summary.seconds > 0.0 {
        let rate = tokens as f64 / summary.seconds;
        parts.push(format!("{} tokens/s", text::number(rate)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn summary(asked: u64, reused: u64, failed: u64) -> HarvestSummary {
        HarvestSummary {
            prompts: asked + reused,
            asked,
            reused,
            failed,
            left_out: 0,
            erased: 0,
            prompt_tokens: asked * 40,
            completion_tokens: asked * 2,
            seconds: 10.0,
            interrupted: false,
        }
    }

    #[test]
    fn a_service_is_shown_with_its_limits_and_its_cost() {
        let view = PaceView {
            limits: vec![
                ("requests_per_minute", 412, 600),
                ("input_tokens_per_minute", 38_100, 60_000),
                ("requests_per_day", 9000, 10_000),
            ],
            in_flight: 8,
            paused: Duration::from_secs(12),
            spent: 420_000_000,
        };
        expect!["412 of 600 requests/min, 38,100 of 60,000 input tokens/min, 9,000 of 10,000 requests/day, asked to wait 12 s, 0.4200 USD"]
            .assert_eq(&pace(&view).join(", "));
    }

    #[test]
    fn a_harvest_is_summed_up_in_a_line() {
        let lines = [
            harvested(&summary(3000, 0, 0)),
            harvested(&summary(2400, 600, 0)),
            harvested(&summary(0, 3000, 0)),
            harvested(&summary(10, 0, 3)),
        ];
        expect![[r"
            3,000 answers, 12,600 tokens/s
            3,000 answers, 600 of them from before, 10,080 tokens/s
            3,000 answers, all from before
            7 answers, 3 failed, 42.0 tokens/s"]]
        .assert_eq(&lines.join("\n"));
    }
}
