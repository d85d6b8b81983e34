//! Teachers that are asked in batches, and what a person is told meanwhile.

use std::sync::Arc;

use limbeck_teacher::{
    BatchDoubt, BatchNotice, BatchOptions, BatchReporters, BatchSummary, BatchWatcher,
    HarvestError, HarvestPlan, HarvestReporter, HarvestSummary, harvest, harvest_in_batches,
};

use super::Pipeline;
use super::teacher::Loaded;
use crate::printer::Printer;
use crate::text;

/// What one teacher was asked, and what of it is still in batches.
pub(super) struct Harvested {
    pub(super) summary: HarvestSummary,
    pub(super) left: Left,
}

/// What a run leaves to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Batches that are at the service.
    pub batches: u64,
    /// Requests in them.
    pub open: u64,
    /// Batches of which it is not known whether the service has them.
    pub unknown_batches: u64,
    /// Requests in them.
    pub unknown: u64,
    /// Requests that nobody worked on, because their batch expired or was cancelled.
    pub unanswered: u64,
}

impl Left {
    /// Whether it is nothing.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.batches += other.batches;
        self.open += other.open;
        self.unknown_batches += other.unknown_batches;
        self.unknown += other.unknown;
        self.unanswered += other.unanswered;
    }
}

impl From<&BatchSummary> for Left {
    fn from(summary: &BatchSummary) -> Self {
        Self {
            batches: summary.open_batches - summary.unknown_batches,
            open: summary.open - summary.unknown,
            unknown_batches: summary.unknown_batches,
            unknown: summary.unknown,
            unanswered: summary.unanswered,
        }
    }
}

impl Pipeline {
    /// Asks one teacher, in batches if the recipe says so. What is in batches is waited for in any case, so that it is
    /// not asked twice.
    pub(super) async fn ask_one(
        &self,
        teacher: &Loaded,
        plan: HarvestPlan,
        reporter: Arc<dyn HarvestReporter>,
    ) -> Result<Harvested, HarvestError> {
        if let Some(service) = teacher.api() {
            let submit = teacher.section.batch.is_some();
            if submit || !self.store.open_batches(&teacher.key()).await?.is_empty() {
                let options = BatchOptions {
                    wait: !self.options.no_wait,
                    submit,
                    ..teacher.section.batch.unwrap_or_default().options()
                };
                let reporters = BatchReporters {
                    harvest: reporter.clone(),
                    batches: Arc::new(Watcher {
                        teacher: teacher.facts.name.clone(),
                        printer: self.printer.clone(),
                    }),
                };
                let cancel = self.cancel.clone();
                let harvested =
                    harvest_in_batches(&self.store, service, &plan, options, reporters, cancel)
                        .await?;
                let left = Left::from(&harvested);
                if submit || harvested.open > 0 || harvested.harvest.interrupted {
                    return Ok(Harvested {
                        summary: harvested.harvest,
                        left,
                    });
                }
            }
        }
        let (limits, stop) = (teacher.section.limits.limits(), self.cancel.clone());
        let summary = harvest(&self.store, teacher.asked(), plan, limits, reporter, stop).await?;
        Ok(Harvested {
            summary,
            left: Left::default(),
        })
    }
}

/// Tells a person what becomes of batches.
struct Watcher {
    teacher: String,
    printer: Printer,
}

impl BatchWatcher for Watcher {
    fn notice(&self, notice: &BatchNotice) {
        let text = format!("{}: {}", self.teacher, in_words(notice));
        match notice {
            BatchNotice::Lost { .. }
            | BatchNotice::NotTold { .. }
            | BatchNotice::Unknown { .. } => {
                self.printer.warning(text);
            }
            BatchNotice::Ended { odd_lines, .. } if *odd_lines > 0 => self.printer.warning(text),
            _ => self.printer.status(text),
        }
    }
}

fn in_words(notice: &BatchNotice) -> String {
    let clean = |text: &str| text::sanitize_line(text);
    match notice {
        BatchNotice::Submitted { id, requests } => format!(
            "{} requests are handed over as the batch `{id}`",
            text::grouped(*requests)
        ),
        BatchNotice::Resumed { id: Some(id), open } => format!(
            "the batch `{id}` is waited for, with {} requests",
            text::grouped(*open)
        ),
        BatchNotice::Resumed { id: None, open } => format!(
            "a batch of {} requests may be at the service, and is looked for",
            text::grouped(*open)
        ),
        BatchNotice::Found { id } => format!("it is there as the batch `{id}`"),
        BatchNotice::Unknown {
            number,
            requests,
            doubt,
        } => format!(
            "the fate of the batch {number} of {} requests is unknown: {}",
            text::grouped(*requests),
            doubt_in_words(doubt)
        ),
        BatchNotice::Lost { requests } => format!(
            "a batch of {} requests never arrived, and is handed over again",
            text::grouped(*requests)
        ),
        BatchNotice::Moved {
            id,
            state,
            done,
            requests,
        } => {
            let done = done.map_or_else(String::new, |done| {
                format!(
                    ", {} of {} done",
                    text::grouped(done),
                    text::grouped(*requests)
                )
            });
            format!(
                "the batch `{id}` is {}{done}",
                clean(state).replace('_', " ")
            )
        }
        BatchNotice::Ended {
            id,
            answered,
            failed,
            unanswered,
            odd_lines,
        } => {
            let mut parts = vec![format!("{} answered", text::grouped(*answered))];
            for (count, what) in [
                (failed, "failed"),
                (unanswered, "not worked on"),
                (odd_lines, "lines of its results not kept"),
            ] {
                if *count > 0 {
                    parts.push(format!("{} {what}", text::grouped(*count)));
                }
            }
            format!("the batch `{id}` has ended: {}", parts.join(", "))
        }
        BatchNotice::Crowded { why } => format!(
            "the service takes no more at present, so the rest is handed over later ({})",
            clean(why)
        ),
        BatchNotice::NotTold { id: Some(id), why } => format!(
            "the service cannot be asked about the batch `{id}`, and is asked again ({})",
            clean(why)
        ),
        BatchNotice::NotTold { id: None, why } => format!(
            "it is not known whether the service has the batch, so it is looked for ({})",
            clean(why)
        ),
    }
}

fn doubt_in_words(doubt: &BatchDoubt) -> String {
    match doubt {
        BatchDoubt::NotListed { left } => format!(
            "the service does not list it; if that is still so in {}, it is handed over again",
            text::duration(*left)
        ),
        BatchDoubt::ListNotWhole => {
            "the service's list of batches cannot be seen whole, and what it does not show may be there"
                .to_owned()
        }
        BatchDoubt::PerhapsThis { id } => {
            format!("the batch `{id}` may be it, which shows when it has ended")
        }
        BatchDoubt::Untold { id } => {
            format!("the batch `{id}` may be it, and its results do not tell")
        }
    }
}

/// What a run leaves, for a person.
pub fn left_in_words(left: Left) -> String {
    let mut parts = Vec::new();
    let batches = |count: u64| match count {
        1 => "1 batch".to_owned(),
        _ => format!("{} batches", text::grouped(count)),
    };
    if left.open > 0 {
        parts.push(format!(
            "{} with the service in {}, which goes on with it; the same command collects the answers",
            requests(left.open, "is", "are"),
            batches(left.batches)
        ));
    }
    if left.unknown > 0 {
        parts.push(format!(
            "{} in {} whose fate is unknown; the same command looks again, and `limbeck teachers batches` says how to decide",
            requests(left.unknown, "is", "are"),
            batches(left.unknown_batches)
        ));
    }
    if left.unanswered > 0 {
        parts.push(format!(
            "{} not worked on, because a batch expired or was cancelled; the same command asks again",
            requests(left.unanswered, "was", "were")
        ));
    }
    parts.join("; ")
}

fn requests(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 request {one}"),
        _ => format!("{} requests {several}", text::grouped(count)),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_becomes_of_batches_is_told_in_a_line() {
        let id = || "batch_1".to_owned();
        let lines = [
            BatchNotice::Submitted {
                id: id(),
                requests: 5000,
            },
            BatchNotice::Moved {
                id: id(),
                state: "in_progress\u{1b}[2J".to_owned(),
                done: Some(12),
                requests: 5000,
            },
            BatchNotice::Ended {
                id: id(),
                answered: 4990,
                failed: 7,
                unanswered: 3,
                odd_lines: 0,
            },
        ];
        let lines: Vec<String> = lines.iter().map(in_words).collect();
        expect![[r"
            5,000 requests are handed over as the batch `batch_1`
            the batch `batch_1` is in progress[2J, 12 of 5,000 done
            the batch `batch_1` has ended: 4,990 answered, 7 failed, 3 not worked on"]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn what_is_left_is_told() {
        let left = Left {
            batches: 1,
            open: 12,
            ..Left::default()
        };
        let unknown = Left {
            unknown_batches: 2,
            unknown: 1,
            ..Left::default()
        };
        expect!["1 request is in 2 batches whose fate is unknown; the same command looks again, and `limbeck teachers batches` says how to decide"]
            .assert_eq(&left_in_words(unknown));
        let expired = Left {
            unanswered: 1,
            ..Left::default()
        };
        expect!["1 request was not worked on, because a batch expired or was cancelled; the same command asks again"]
            .assert_eq(&left_in_words(expired));
        expect!["12 requests are with the service in 1 batch, which goes on with it; the same command collects the answers"]
            .assert_eq(&left_in_words(left));
        assert!(Left::default().is_nothing() && !left.is_nothing());
    }
}
