//! Teacher against student, as dots with whiskers.

use serde::Serialize;

use super::{Tick, bound, nice_ticks, percent};
use crate::report::{Score, Suite};

/// Teacher, student and floors of one suite on one axis.
#[derive(Debug, Serialize)]
pub(in crate::report) struct ScoreChart {
    ticks: Vec<Tick>,
    rows: Vec<ScoreRow>,
    /// Scores that the gate asks for.
    gates: Vec<f64>,
    description: String,
}

/// One dot with its whisker.
#[derive(Debug, Serialize)]
struct ScoreRow {
    name: String,
    /// `teacher`, `student` or `floor`: the colour.
    role: &'static str,
    at: f64,
    low: f64,
    width: f64,
    value: String,
    interval: String,
}

impl ScoreChart {
    /// None where nobody has a score.
    pub(in crate::report) fn of(suite: &Suite) -> Option<Self> {
        let metric = suite.metric;
        let scores: Vec<(&'static str, &Score)> = scores_of(suite)
            .filter(|(_, s)| {
                [s.score, s.low, s.high]
                    .iter()
                    .all(|value| value.is_finite())
            })
            .collect();
        let required: Vec<f64> = suite
            .gate
            .iter()
            .flat_map(|gate| &gate.conditions)
            .filter_map(|condition| condition.required)
            .collect();
        let ends = || scores.iter().flat_map(|(_, s)| [s.low, s.high, s.score]);
        if scores.is_empty() {
            return None;
        }
        let ticks = nice_ticks(bound(ends(), f64::min), bound(ends(), f64::max), 4);
        let (left, right) = (*ticks.first()?, *ticks.last()?);
        let place = |value: f64| percent(value, left, right);
        Some(Self {
            rows: scores
                .iter()
                .map(|&(role, score)| ScoreRow {
                    name: score.name.clone(),
                    role,
                    at: place(score.score),
                    low: place(score.low),
                    width: place(score.high) - place(score.low),
                    value: metric.show(score.score),
                    interval: metric.show_interval(score.low, score.high),
                })
                .collect(),
            gates: required
                .into_iter()
                // A requirement in another unit (a ratio, a speed) has no place on this axis.
                .filter(|value| (left..=right).contains(value))
                .map(place)
                .collect(),
            ticks: ticks
                .iter()
                .map(|&value| Tick {
                    at: place(value),
                    label: metric.show_tick(value, &ticks),
                })
                .collect(),
            description: describe_scores(suite, &scores),
        })
    }
}

/// Teacher first, then student, then floors, each with its role.
pub(in crate::report) fn scores_of(suite: &Suite) -> impl Iterator<Item = (&'static str, &Score)> {
    let teacher = suite.teacher.iter().map(|score| ("teacher", score));
    let student = suite.student.iter().map(|score| ("student", score));
    let floors = suite.floors.iter().map(|score| ("floor", score));
    teacher.chain(student).chain(floors)
}

fn describe_scores(suite: &Suite, scores: &[(&'static str, &Score)]) -> String {
    let each: Vec<String> = scores
        .iter()
        .map(|(_, s)| {
            let value = suite.metric.show(s.score);
            let interval = suite.metric.show_interval(s.low, s.high);
            format!("{} {value} (95 % interval {interval})", s.name)
        })
        .collect();
    format!("{}: {}", suite.metric.title(), each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Gate, GateCondition};

    #[test]
    fn a_gate_in_another_unit_is_not_drawn() {
        let score = |name: &str, score| Score {
            name: name.into(),
            score,
            low: score - 0.02,
            high: score + 0.02,
            ..Score::default()
        };
        let condition = |required| GateCondition {
            required: Some(required),
            ..Default::default()
        };
        let suite = Suite {
            student: Some(score("student", 0.8)),
            floors: vec![score("majority", 0.5), score("broken", f64::NAN)],
            gate: Some(Gate {
                conditions: vec![condition(0.7), condition(200.0)],
                ..Default::default()
            }),
            ..Suite::default()
        };
        let chart = ScoreChart::of(&suite).expect("there are scores");
        assert_eq!(chart.gates.len(), 1);
        assert_eq!(chart.rows.len(), 2);
        assert_eq!(
            chart.description,
            "Accuracy: student 80.0 % (95 % interval 78.0–82.0 %); majority 50.0 % (95 % interval 48.0–52.0 %)"
        );
        assert!(ScoreChart::of(&Suite::default()).is_none());
    }
}
