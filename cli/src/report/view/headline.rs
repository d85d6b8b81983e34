//! The top of the page: the verdict, the run in a few sentences, the key figures, the gates.

use serde::Serialize;

use super::millions;
use crate::report::{Report, Score, Suite};
use crate::text;

/// Whether what the recipe demands was reached.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// `passed`, `failed` or `none`: the colour.
    state: &'static str,
    pub(super) text: String,
}

/// A key figure.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    label: &'static str,
    value: String,
    detail: String,
}

#[derive(Debug, Serialize)]
pub(super) struct GateLine {
    place: String,
    text: String,
    passed: bool,
}

impl Verdict {
    /// Counted in conditions, as the page lists them.
    pub(super) fn of(report: &Report) -> Self {
        let conditions = gate_lines(report);
        let missed = conditions.iter().filter(|line| !line.passed).count();
        let (state, text) = match (conditions.len(), missed) {
            (0, _) => ("none", "No gates set".to_owned()),
            (1, 0) => ("passed", "The gate is passed".to_owned()),
            (all, 0) => ("passed", format!("All {all} gates passed")),
            (1, _) => ("failed", "The gate is missed".to_owned()),
            (all, missed) => ("failed", format!("{missed} of {all} gates missed")),
        };
        Self { state, text }
    }
}

pub(super) fn gate_lines(report: &Report) -> Vec<GateLine> {
    let mut lines = Vec::new();
    for (place, gate) in report.gates() {
        let line = |text: &str, passed| GateLine {
            place: place.to_owned(),
            text: text.to_owned(),
            passed,
        };
        if gate.conditions.is_empty() {
            lines.push(line(&gate.text, gate.passed));
        }
        let conditions = gate.conditions.iter();
        lines.extend(conditions.map(|condition| line(&condition.text, condition.passed)));
    }
    lines
}

/// The run in two or three sentences.
pub(super) fn lede(report: &Report) -> Vec<String> {
    let mut sentences = Vec::new();
    if let (Some(harvest), Some(train)) = (&report.harvest, &report.train) {
        sentences.push(format!(
            "A student of {} parameters learned from {} answers of {}.",
            millions(train.parameters),
            text::grouped(
                report
                    .curate
                    .as_ref()
                    .map_or(harvest.traces, |curate| curate.kept)
            ),
            harvest.teacher.name,
        ));
    }
    if let Some(suite) = report.suites().first()
        && let Some(student) = &suite.student
    {
        sentences.push(result(suite, student));
    }
    sentences
}

/// `On 1,000 held-out rows its accuracy is 79.7 %, its teacher’s 81.2 %, …`
fn result(suite: &Suite, student: &Score) -> String {
    let metric = suite.metric;
    let mut parts = vec![format!(
        "On {} held-out rows its {} is {}",
        text::grouped(suite.n),
        metric.noun(),
        metric.show(student.score),
    )];
    if let Some(teacher) = &suite.teacher {
        parts.push(format!("its teacher’s {}", metric.show(teacher.score)));
    } else if let Some(floor) = best_floor(suite) {
        parts.push(format!(
            "that of {} {}",
            floor.name,
            metric.show(floor.score)
        ));
    }
    parts.extend(times_faster(suite).map(|times| {
        let times = text::number(times);
        format!("and it answers {times} times as many requests a second")
    }));
    parts.join(", ") + "."
}

fn best_floor(suite: &Suite) -> Option<&Score> {
    let floors = suite.floors.iter();
    if suite.metric.higher_is_better() {
        floors.max_by(|a, b| a.score.total_cmp(&b.score))
    } else {
        floors.min_by(|a, b| a.score.total_cmp(&b.score))
    }
}

fn times_faster(suite: &Suite) -> Option<f64> {
    let teacher = suite.teacher.as_ref()?.requests_per_second?;
    let student = suite.student.as_ref()?.requests_per_second?;
    (teacher > 0.0).then_some(student / teacher)
}

pub(super) fn cards(report: &Report) -> Vec<Card> {
    let mut cards = Vec::new();
    let first = report.suites().first();
    if let Some((suite, student)) = first.and_then(|suite| Some((suite, suite.student.as_ref()?))) {
        cards.push(Card {
            label: suite.metric.label(),
            value: suite.metric.show(student.score),
            detail: suite.teacher.as_ref().map_or_else(
                || {
                    format!(
                        "95 %: {}",
                        suite.metric.show_interval(student.low, student.high)
                    )
                },
                |teacher| format!("teacher: {}", suite.metric.show(teacher.score)),
            ),
        });
    }
    if let Some(file) = report.export.iter().min_by_key(|file| file.bytes) {
        cards.push(Card {
            label: "Smallest file",
            value: text::size(file.bytes),
            detail: file.format.clone(),
        });
    }
    if let Some(student) = first.and_then(|suite| suite.student.as_ref())
        && let Some(rate) = student.requests_per_second
    {
        cards.push(Card {
            label: "Requests a second",
            value: text::number(rate),
            detail: first.and_then(times_faster).map_or_else(
                || "student".to_owned(),
                |times| format!("{} × the teacher", text::number(times)),
            ),
        });
    }
    if let Some(curate) = &report.curate {
        let judged = curate.kept + curate.dropped;
        cards.push(Card {
            label: "Answers kept",
            value: text::grouped(curate.kept),
            detail: format!("of {} judged", text::grouped(judged)),
        });
    } else if let Some(harvest) = &report.harvest {
        cards.push(Card {
            label: "Answers",
            value: text::grouped(harvest.traces),
            detail: format!("to {} prompts", text::grouped(harvest.prompts)),
        });
    }
    cards
}
