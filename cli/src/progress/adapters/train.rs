//! The bar of training.

use limbeck_student::train::{StepReport, TrainReport, TrainReporter};

use super::Late;
use crate::progress::Progress;
use crate::text;

/// Shows training.
#[derive(Debug)]
pub struct TrainBar {
    late: Late,
    held_out: Option<f32>,
}

impl TrainBar {
    /// The bar begins with the first step.
    pub fn new(progress: &Progress) -> Self {
        Self {
            late: Late::new(progress),
            held_out: None,
        }
    }

    /// Ends the bar with what training came to.
    pub fn finish(self, report: &TrainReport) {
        // Training that was over already made no step and has no bar.
        if let Some(bar) = self.late.take() {
            bar.finish(trained(report));
        }
    }
}

impl TrainReporter for TrainBar {
    fn step(&mut self, report: &StepReport) {
        let step = report.step as u64;
        let bar = self.late.slot().clone();
        let bar = bar.unwrap_or_else(|| {
            let bar = self.late.begin("train", Some(report.total as u64), "steps");
            bar.set_reused(step.saturating_sub(1));
            bar
        });
        self.held_out = report.held_out.or(self.held_out);
        let held_out = self
            .held_out
            .map_or_else(String::new, |loss| format!(", held out {loss:.3}"));
        bar.message(format!("loss {:.3}{held_out}", report.loss));
        bar.set_position(step);
    }
}

/// `920 steps, loss 0.447, held out 0.501, 18,240 tokens/s`
fn trained(report: &TrainReport) -> String {
    let mut parts = vec![
        format!("{} steps", text::grouped(report.steps as u64)),
        format!("loss {:.3}", report.final_loss),
    ];
    if let Some(loss) = report.best_held_out {
        parts.push(format!("held out {loss:.3}"));
    }
    parts.push(format!(
        "{} tokens/s",
        text::number(report.tokens_per_second)
    ));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::silent;
    use super::*;

    #[test]
    fn resumed_training_begins_where_it_was() {
        let mut bar = TrainBar::new(&silent());
        let mut report = StepReport {
            step: 401,
            total: 920,
            loss: 0.5,
            learning_rate: 1e-3,
            tokens: 1000,
            tokens_per_second: 10.0,
            held_out: Some(0.6),
        };
        bar.step(&report);
        report.step = 402;
        report.held_out = None;
        bar.step(&report);
        let state = format!("{:?}", bar.late.take());
        assert!(
            state.contains("position: 402") && state.contains("reused: 400"),
            "{state}"
        );
        assert!(state.contains("loss 0.500, held out 0.600"), "{state}");
    }
}
