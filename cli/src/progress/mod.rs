//! How far the work is: bars on a terminal, lines otherwise, JSON lines for machines.
//!
//! Libraries report through their own small traits and never see a bar; [`adapters`] joins the two. Every mode shows
//! the same numbers, from one [`Meter`]. The JSON lines are described in `docs/progress.md`.

pub mod adapters;
mod bars;
mod json;
mod meter;
mod mode;
mod plain;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use meter::Meter;
pub use mode::{ProgressChoice, ProgressMode};

use crate::printer::Printer;

/// Makes the progress displays of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress {
    mode: ProgressMode,
    printer: Printer,
}

impl Progress {
    /// Shows progress through `printer`, so that its lines and the bars do not mix.
    pub fn new(mode: ProgressMode, printer: &Printer) -> Self {
        Self {
            mode,
            printer: printer.clone(),
        }
    }

    /// Begins a stage of `total` units (prompts, steps, `bytes`), or of an unknown number.
    pub fn stage(&self, name: &str, total: Option<u64>, unit: &'static str) -> StageBar {
        let meter = Meter::new(name, total, unit, Instant::now());
        let view: Box<dyn View> = match self.mode {
            ProgressMode::Bars => Box::new(bars::Bar::new(&self.printer)),
            ProgressMode::Plain => Box::new(plain::Plain::new(self.printer.clone())),
            ProgressMode::Json => Box::new(json::JsonLines::new(self.printer.clone())),
            ProgressMode::None => Box::new(Silent),
        };
        StageBar::new(meter, view)
    }
}

/// One way of showing one stage. `now` is passed in so that tests need no clock.
trait View: Send {
    fn started(&mut self, meter: &Meter);
    fn updated(&mut self, meter: &Meter, now: Instant);
    fn finished(&mut self, meter: &Meter, end: &End, now: Instant);
}

/// How a stage ended.
enum End {
    /// Done, with what is worth saying about it.
    Done(String),
    /// Dropped without a word: an error or an interruption cut it off, which is reported elsewhere.
    Stopped,
}

struct Silent;

impl View for Silent {
    fn started(&mut self, _: &Meter) {}
    fn updated(&mut self, _: &Meter, _: Instant) {}
    fn finished(&mut self, _: &Meter, _: &End, _: Instant) {}
}

/// The progress of one stage. Clones move the same bar; the last one dropped ends it.
#[derive(Clone)]
pub struct StageBar {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    meter: Meter,
    view: Box<dyn View>,
    ended: bool,
}

impl StageBar {
    fn new(meter: Meter, mut view: Box<dyn View>) -> Self {
        view.started(&meter);
        let shared = Shared {
            meter,
            view,
            ended: false,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Units that were there already (answered in an earlier run): they count as done, and not in the rate.
    pub fn set_reused(&self, reused: u64) {
        self.update(|meter, now| meter.set_reused(reused, now));
    }

    /// Units done so far, reused ones included.
    pub fn set_position(&self, position: u64) {
        self.update(|meter, now| meter.set_position(position, now));
    }

    /// More units done.
    pub fn inc(&self, units: u64) {
        self.update(|meter, now| meter.set_position(meter.position() + units, now));
    }

    /// A short remark beside the numbers: the loss, the file being fetched.
    pub fn message(&self, message: impl Into<String>) {
        self.update(|meter, _| meter.set_message(&message.into()));
    }

    /// Ends the stage, leaving one line with `summary` (which may be empty) behind.
    pub fn finish(&self, summary: impl Into<String>) {
        self.lock().end(&End::Done(summary.into()));
    }

    fn update(&self, change: impl FnOnce(&mut Meter, Instant)) {
        let shared = &mut *self.lock();
        if !shared.ended {
            let now = Instant::now();
            change(&mut shared.meter, now);
            shared.view.updated(&shared.meter, now);
        }
    }

    /// A panic elsewhere while the bar was held leaves at worst a stale number, so the poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn end(&mut self, end: &End) {
        if !self.ended {
            self.ended = true;
            self.view.finished(&self.meter, end, Instant::now());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end(&End::Stopped);
    }
}

impl Debug for StageBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StageBar").field(&self.lock().meter).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what a view is told.
    struct Recorder(Arc<Mutex<Vec<String>>>);

    impl Recorder {
        fn push(&self, line: String) {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    }

    impl View for Recorder {
        fn started(&mut self, meter: &Meter) {
            self.push(format!("start {}", meter.name()));
        }
        fn updated(&mut self, meter: &Meter, _: Instant) {
            self.push(format!("at {} of {:?}", meter.position(), meter.total()));
        }
        fn finished(&mut self, meter: &Meter, end: &End, _: Instant) {
            let how = match end {
                End::Done(summary) => format!("done {summary}"),
                End::Stopped => "stopped".to_owned(),
            };
            self.push(format!("{how} at {}", meter.position()));
        }
    }

    fn recorded(work: impl FnOnce(StageBar)) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let meter = Meter::new("harvest", Some(10), "prompts", Instant::now());
        work(StageBar::new(meter, Box::new(Recorder(lines.clone()))));
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }

    #[test]
    fn a_finished_stage_says_so_once_and_ignores_stragglers() {
        let lines = recorded(|bar| {
            let clone = bar.clone();
            bar.set_reused(4);
            clone.inc(3);
            bar.finish("all");
            clone.inc(1);
            clone.finish("again");
        });
        assert_eq!(
            lines,
            [
                "start harvest",
                "at 4 of Some(10)",
                "at 7 of Some(10)",
                "done all at 7"
            ]
        );
    }

    #[test]
    fn a_dropped_stage_is_stopped_when_its_last_handle_goes() {
        let lines = recorded(|bar| {
            let clone = bar.clone();
            drop(bar);
            clone.inc(1);
        });
        assert_eq!(lines, ["start harvest", "at 1 of Some(10)", "stopped at 1"]);
    }
}
