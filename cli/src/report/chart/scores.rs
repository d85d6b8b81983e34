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
    has_off: bool,
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
    /// Beyond the axis: drawn at its end.
    off: bool,
    value: String,
}

impl ScoreChart {
    /// None where nobody has a score.
    pub(in crate::report) fn of(suite: &Suite) -> Option<Self> {
        let scores: Vec<(&'static str, &Score)> = scores_of(suite)
            .filter(|(_, score)| ends(score).all(f64::is_finite))
            .collect();
        let shown = without_far_floors(&scores);
        let ticks = nice_ticks(
            bound(shown.iter().copied().flat_map(ends), f64::min),
            bound(shown.iter().copied().flat_map(ends), f64::max),
            4,
        );
        let axis = *ticks.first()?..=*ticks.last()?;
        let place = |value: f64| percent(value, *axis.start(), *axis.end());
        let rows: Vec<ScoreRow> = scores
            .iter()
            .map(|&(role, score)| ScoreRow {
                name: score.name.clone(),
                role,
                at: place(score.score),
                low: place(score.low),
                width: place(score.high) - place(score.low),
                off: !axis.contains(&score.score),
                value: suite.metric.show(score.score),
            })
            .collect();
        (!rows.is_empty()).then(|| Self {
            has_off: rows.iter().any(|row| row.off),
            rows,
            // A requirement in another unit (a ratio, a speed) has no place on this axis.
            gates: required(suite)
                .filter(|value| axis.contains(value))
                .map(place)
                .collect(),
            ticks: ticks
                .iter()
                .map(|&value| Tick {
                    at: place(value),
                    label: suite.metric.show_tick(value, &ticks),
                })
                .collect(),
            description: describe_scores(suite, &scores),
        })
    }
}

fn ends(score: &Score) -> impl Iterator<Item = f64> + use<> {
    [score.low, score.score, score.high].into_iter()
}

fn required(suite: &Suite) -> impl Iterator<Item = f64> {
    let conditions = suite.gate.iter().flat_map(|gate| &gate.conditions);
    conditions.filter_map(|condition| condition.required)
}

/// The scores that decide the length of the axis. An untrained student can be so far from everybody else that on a
/// common axis the others would be one dot; such a floor is shown at the axis' end instead.
fn without_far_floors<'s>(scores: &[(&'static str, &'s Score)]) -> Vec<&'s Score> {
    const FAR: f64 = 6.0;
    let spread = |scores: &[&Score]| {
        let values = || scores.iter().copied().flat_map(ends);
        bound(values(), f64::max) - bound(values(), f64::min)
    };
    let mut shown: Vec<&Score> = scores.iter().map(|(_, score)| *score).collect();
    let first_floor = scores
        .iter()
        .take_while(|(role, _)| *role != "floor")
        .count();
    while shown.len() > first_floor.max(1) + 1 {
        let without = |index: usize| {
            let mut rest = shown.clone();
            rest.remove(index);
            rest
        };
        let narrowest = (first_floor..shown.len())
            .map(without)
            .min_by(|a, b| spread(a).total_cmp(&spread(b)));
        match narrowest {
            Some(rest) if spread(&shown) > FAR * spread(&rest) => shown = rest,
            _ => break,
        }
    }
    shown
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
    fn a_far_floor_does_not_squeeze_the_others() {
        let score = |name: &str, score| Score {
            name: name.into(),
            score,
            low: score - 0.01,
            high: score + 0.01,
            ..Score::default()
        };
        let mut suite = Suite {
            student: Some(score("student", 0.42)),
            floors: vec![score("trigram", 0.45), score("untrained", 2.2)],
            ..Suite::default()
        };
        let off = |suite: &Suite| -> Vec<bool> {
            let chart = ScoreChart::of(suite).expect("there are scores");
            chart.rows.iter().map(|row| row.off).collect()
        };
        assert_eq!(off(&suite), [false, false, true]);
        suite.floors.remove(0);
        assert_eq!(
            off(&suite),
            [false, false],
            "the only floor stays on the axis"
        );
        suite.floors.push(score("near", 1.9));
        assert_eq!(
            off(&suite),
            [false, false, false],
            "two far floors are no outliers"
        );
    }

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
