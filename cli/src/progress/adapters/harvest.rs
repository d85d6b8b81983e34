//! The bar of a harvest.

use std::sync::{Mutex, PoisonError};

use limbeck_store::{Answered, Attempt};
use limbeck_teacher::{HarvestReporter, HarvestSummary};

use super::Late;
use crate::progress::Progress;
use crate::text;

/// Shows a harvest.
#[derive(Debug)]
pub struct HarvestBar {
    late: Late,
    label: &'static str,
    failed: Mutex<u64>,
}

impl HarvestBar {
    /// `label` is the name of the bar: the harvest itself, or the questions of a suite.
    pub fn new(progress: &Progress, label: &'static str) -> Self {
        Self {
            late: Late::new(progress),
            label,
            failed: Mutex::new(0),
        }
    }
}

impl HarvestReporter for HarvestBar {
    fn started(&self, total: u64, reused: u64) {
        let bar = self.late.begin(self.label, Some(total), "answers");
        bar.set_reused(reused);
    }

    fn answered(&self, _: &Answered) {
        self.late.with(|bar| bar.inc(1));
    }

    fn failed(&self, _: &Attempt) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed += 1;
        // A failure is no progress: it will be asked again by the next run.
        self.late
            .with(|bar| bar.message(format!("{failed} failed")));
    }

    fn finished(&self, summary: &HarvestSummary) {
        let Some(bar) = self.late.take() else { return };
        if !summary.interrupted {
            bar.finish(harvested(summary));
        }
    }
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
            prompt_tokens: asked * 40,
            completion_tokens: asked * 2,
            seconds: 10.0,
            interrupted: false,
        }
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
