//! Gates: what a suite's scores must reach for a run to pass.

use serde::{Deserialize, Serialize};

use super::metric::{Metric, Scored};

/// The conditions of one suite; all that are given must hold. The student's score itself is judged, not an end of
/// its interval: the report shows both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Share of the teacher's quality that the student keeps: its score divided by the teacher's, or the teacher's
    /// divided by its own where lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least_teacher: Option<f64>,
    /// The student is strictly better than every floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_floors: Option<bool>,
    /// The student's score is at most this multiple of the best floor's; only where lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_floor: Option<f64>,
    /// The student's score is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The student's score is at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

/// What came of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// Every condition held.
    pub passed: bool,
    /// What each condition came to.
    pub conditions: Vec<GateCondition>,
}

/// What one condition came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateCondition {
    /// Whether it held.
    pub holds: bool,
    /// A sentence with the figures that were compared.
    pub line: String,
    /// The student's score, where there was something to compare it with.
    pub measured: Option<f64>,
    /// What the score was compared with, in the same unit.
    pub required: Option<f64>,
}

impl GateCondition {
    /// A condition that cannot be judged does not hold.
    fn impossible(line: impl Into<String>) -> Self {
        Self {
            holds: false,
            line: line.into(),
            measured: None,
            required: None,
        }
    }
}

impl Gate {
    /// Why this gate cannot be judged on `metric`, for whoever reads recipes: a condition that has no meaning there,
    /// or a threshold that is no finite positive number.
    pub fn problem(&self, metric: Metric) -> Option<String> {
        if self.at_most_floor.is_some() && metric.higher_is_better() {
            return Some(format!(
                "`at_most_floor` has no meaning for `{}`, where higher is better; use `above_floors`",
                metric.name()
            ));
        }
        [
            ("at_least_teacher", self.at_least_teacher),
            ("at_most_floor", self.at_most_floor),
            ("at_least", self.at_least),
            ("at_most", self.at_most),
        ]
        .into_iter()
        .find_map(|(key, value)| {
            let value = value?;
            (!value.is_finite() || value < 0.0)
                .then(|| format!("`{key}` must be a number of 0 or more, and is {value}"))
        })
    }
}

/// Judges `student` against every condition of `gate`. A condition whose other side is missing (no teacher scored, no
/// floor) fails, since a gate that silently holds protects nothing; so does any comparison with NaN.
pub fn judge(
    gate: &Gate,
    metric: Metric,
    student: &Scored,
    teacher: Option<&Scored>,
    floors: &[Scored],
) -> GateOutcome {
    let mut conditions = Vec::new();
    conditions.extend(gate.problem(metric).map(GateCondition::impossible));
    if let Some(share) = gate.at_least_teacher {
        conditions.push(at_least_teacher(share, metric, student.score, teacher));
    }
    if gate.above_floors == Some(true) {
        conditions.extend(above_floors(metric, student.score, floors));
    }
    if let Some(multiple) = gate.at_most_floor {
        conditions.push(at_most_floor(multiple, metric, student.score, floors));
    }
    let name = metric.name();
    let score = student.score;
    let bound = |holds: bool, relation: &str, bound: f64| GateCondition {
        holds,
        line: format!("the student's {name} {score:.4} is {relation} {bound}"),
        measured: Some(score),
        required: Some(bound),
    };
    if let Some(least) = gate.at_least {
        let holds = score >= least;
        conditions.push(bound(
            holds,
            if holds { "at least" } else { "below" },
            least,
        ));
    }
    if let Some(most) = gate.at_most {
        let holds = score <= most;
        conditions.push(bound(holds, if holds { "at most" } else { "above" }, most));
    }
    GateOutcome {
        passed: conditions.iter().all(|condition| condition.holds),
        conditions,
    }
}

fn at_least_teacher(
    share: f64,
    metric: Metric,
    student: f64,
    teacher: Option<&Scored>,
) -> GateCondition {
    let name = metric.name();
    let Some(teacher) = teacher else {
        return GateCondition::impossible(format!(
            "`at_least_teacher` needs the teacher's {name}, which was not measured"
        ));
    };
    // Products instead of a quotient: a teacher or a student at 0 needs no case of its own.
    let (holds, kept, required) = if metric.higher_is_better() {
        let required = share * teacher.score;
        (student >= required, student / teacher.score, required)
    } else {
        let holds = share * student <= teacher.score;
        (holds, teacher.score / student, teacher.score / share)
    };
    let relation = if holds { "at least" } else { "below" };
    GateCondition {
        holds,
        line: format!(
            "the student's {name} {student:.4} keeps {kept:.4} of the teacher's {:.4}, {relation} {share}",
            teacher.score
        ),
        measured: Some(student),
        required: Some(required),
    }
}

fn above_floors(metric: Metric, student: f64, floors: &[Scored]) -> Vec<GateCondition> {
    if floors.is_empty() {
        let line = "`above_floors` needs a floor, and none was measured";
        return vec![GateCondition::impossible(line)];
    }
    let above = |floor: &Scored| {
        let holds = metric.is_better(student, floor.score);
        let relation = if holds { "better" } else { "not better" };
        GateCondition {
            holds,
            line: format!(
                "the student's {} {student:.4} is {relation} than the {:.4} of {}",
                metric.name(),
                floor.score,
                floor.name
            ),
            measured: Some(student),
            required: Some(floor.score),
        }
    };
    floors.iter().map(above).collect()
}

fn at_most_floor(multiple: f64, metric: Metric, student: f64, floors: &[Scored]) -> GateCondition {
    let best = floors.iter().min_by(|a, b| a.score.total_cmp(&b.score));
    let Some(floor) = best else {
        return GateCondition::impossible("`at_most_floor` needs a floor, and none was measured");
    };
    let limit = multiple * floor.score;
    let holds = student <= limit;
    let relation = if holds { "at most" } else { "above" };
    GateCondition {
        holds,
        line: format!(
            "the student's {} {student:.4} is {relation} {limit:.4}, which is {multiple} of the {:.4} of {}",
            metric.name(),
            floor.score,
            floor.name
        ),
        measured: Some(student),
        required: Some(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(name: &str, score: f64) -> Scored {
        Scored {
            name: name.to_owned(),
            score,
            low: score,
            high: score,
            n: 100,
            requests_per_second: None,
            tokens_per_second: None,
            peak_rss_bytes: None,
        }
    }

    fn passes(gate: &Gate, metric: Metric, student: f64, teacher: f64, floors: &[f64]) -> bool {
        let floors: Vec<Scored> = floors.iter().map(|score| scored("floor", *score)).collect();
        let teacher = scored("teacher", teacher);
        let outcome = judge(
            gate,
            metric,
            &scored("student", student),
            Some(&teacher),
            &floors,
        );
        assert!(!outcome.conditions.is_empty());
        outcome.passed
    }

    #[test]
    fn a_share_of_the_teacher_reads_the_metric() {
        let gate = Gate {
            at_least_teacher: Some(0.97),
            ..Gate::default()
        };
        assert!(passes(&gate, Metric::Accuracy, 0.776, 0.80, &[]));
        assert!(!passes(&gate, Metric::Accuracy, 0.775, 0.80, &[]));
        // Lower is better: 0.5 / 0.515 is 0.971, 0.5 / 0.52 is 0.962.
        assert!(passes(&gate, Metric::NatsPerByte, 0.515, 0.5, &[]));
        assert!(!passes(&gate, Metric::NatsPerByte, 0.52, 0.5, &[]));
        assert!(passes(&gate, Metric::NatsPerByte, 0.4, 0.5, &[]));
    }

    #[test]
    fn what_is_required_is_in_the_unit_of_the_score() {
        let required = |metric, teacher: f64| {
            let gate = Gate {
                at_least_teacher: Some(0.8),
                ..Gate::default()
            };
            let teacher = scored("teacher", teacher);
            let outcome = judge(&gate, metric, &scored("student", 0.7), Some(&teacher), &[]);
            outcome.conditions[0].required.expect("a number")
        };
        assert!((required(Metric::Accuracy, 0.9) - 0.72).abs() < 1e-12);
        assert!((required(Metric::NatsPerByte, 0.4) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn every_floor_must_be_beaten() {
        let gate = Gate {
            above_floors: Some(true),
            ..Gate::default()
        };
        assert!(passes(&gate, Metric::Accuracy, 0.8, 0.0, &[0.5, 0.79]));
        assert!(!passes(&gate, Metric::Accuracy, 0.8, 0.0, &[0.5, 0.8]));
        assert!(passes(&gate, Metric::NatsPerByte, 0.4, 0.0, &[0.5, 2.0]));
        assert!(!passes(&gate, Metric::NatsPerByte, 0.6, 0.0, &[0.5, 2.0]));
    }

    #[test]
    fn a_multiple_is_taken_of_the_best_floor() {
        let gate = Gate {
            at_most_floor: Some(0.9),
            ..Gate::default()
        };
        assert!(passes(&gate, Metric::NatsPerByte, 0.44, 0.0, &[3.0, 0.5]));
        assert!(!passes(&gate, Metric::NatsPerByte, 0.46, 0.0, &[3.0, 0.5]));
        assert!(!passes(&gate, Metric::Accuracy, 0.1, 0.0, &[0.5]));
        assert!(gate.problem(Metric::Accuracy).is_some());
        assert!(gate.problem(Metric::NatsPerByte).is_none());
    }

    #[test]
    fn bounds_and_lines() {
        let gate = Gate {
            at_least: Some(0.95),
            at_most: Some(1.0),
            ..Gate::default()
        };
        let outcome = judge(&gate, Metric::Ends, &scored("student", 0.94), None, &[]);
        assert!(!outcome.passed);
        let told: Vec<_> = outcome
            .conditions
            .iter()
            .map(|one| (one.line.as_str(), one.measured, one.required))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "the student's ends 0.9400 is below 0.95",
                    Some(0.94),
                    Some(0.95)
                ),
                (
                    "the student's ends 0.9400 is at most 1",
                    Some(0.94),
                    Some(1.0)
                )
            ]
        );
    }

    #[test]
    fn what_cannot_be_compared_fails() {
        let gate = Gate {
            at_least_teacher: Some(0.9),
            above_floors: Some(true),
            ..Gate::default()
        };
        let student = scored("student", 0.9);
        let outcome = judge(&gate, Metric::Accuracy, &student, None, &[]);
        assert!(!outcome.passed);
        assert_eq!(outcome.conditions.len(), 2);
        let compared = |one: &GateCondition| one.measured.is_some() || one.required.is_some();
        assert!(!outcome.conditions.iter().any(compared));
        assert!(!passes(&gate, Metric::Accuracy, f64::NAN, 0.5, &[0.1]));
        let nonsense = Gate {
            at_least: Some(f64::NAN),
            ..Gate::default()
        };
        assert!(nonsense.problem(Metric::Accuracy).is_some());
    }

    #[test]
    fn no_condition_passes_and_unknown_keys_do_not() {
        let outcome = judge(
            &Gate::default(),
            Metric::Accuracy,
            &scored("student", 0.0),
            None,
            &[],
        );
        assert!(outcome.passed && outcome.conditions.is_empty());
        assert!(serde_json::from_str::<Gate>(r#"{"at_leest": 1}"#).is_err());
        let gate: Gate = serde_json::from_str(r#"{"at_least_teacher": 0.97}"#).expect("known keys");
        assert_eq!(gate.at_least_teacher, Some(0.97));
    }
}
