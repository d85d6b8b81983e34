//! The loss curve.

use serde::Serialize;

use super::{Tick, bound, decimals_of, nice_ticks, percent};
use crate::report::CurvePoint;
use crate::text;

/// A longer curve is averaged down to about this many points: more are thinner than a pixel.
const MAX_POINTS: usize = 240;

/// Training and held-out loss over steps.
#[derive(Debug, Serialize)]
pub(in crate::report) struct LossChart {
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Points of an SVG polyline in a box of 100 by 100.
    train: String,
    held_out: String,
    /// The text alternative.
    description: String,
    /// Steps that one point of the training line is the mean of.
    averaged_over: usize,
}

impl LossChart {
    /// None where there are not two points to join.
    pub(in crate::report) fn of(curve: &[CurvePoint]) -> Option<Self> {
        let train_raw = finite(curve, |point| Some(point.train_loss));
        let held_out = finite(curve, |point| point.held_out);
        if train_raw.len() < 2 {
            return None;
        }
        let averaged_over = train_raw.len().div_ceil(MAX_POINTS);
        let train = averaged(&train_raw, averaged_over);
        let losses = || train.iter().chain(&held_out).map(|point| point.1);
        let (x_low, x_high) = (0.0, train_raw.last()?.0);
        let y = nice_ticks(bound(losses(), f64::min), bound(losses(), f64::max), 5);
        let (y_low, y_high) = (*y.first()?, *y.last()?);
        let polyline = |points: &[(f64, f64)]| {
            let place = |&(step, loss): &(f64, f64)| {
                let across = percent(step, x_low, x_high);
                let down = 100.0 - percent(loss, y_low, y_high);
                format!("{across:.2},{down:.2}")
            };
            points.iter().map(place).collect::<Vec<_>>().join(" ")
        };
        let decimals = decimals_of(&y);
        Some(Self {
            x_ticks: nice_ticks(x_low, x_high, 5)
                .into_iter()
                .filter(|&step| step <= x_high)
                .map(|step| Tick {
                    at: percent(step, x_low, x_high),
                    label: text::grouped(step as u64),
                })
                .collect(),
            y_ticks: y
                .iter()
                .map(|&loss| Tick {
                    at: 100.0 - percent(loss, y_low, y_high),
                    label: format!("{loss:.decimals$}"),
                })
                .collect(),
            description: describe_loss(&train_raw, &held_out),
            train: polyline(&train),
            held_out: polyline(&held_out),
            averaged_over,
        })
    }
}

fn describe_loss(train: &[(f64, f64)], held_out: &[(f64, f64)]) -> String {
    let ends = |points: &[(f64, f64)]| match points {
        [first, .., last] => format!("from {:.3} to {:.3}", first.1, last.1),
        [only] => format!("{:.3}", only.1),
        [] => String::new(),
    };
    let steps = train.last().map_or(0, |last| last.0 as u64);
    let mut parts = vec![format!(
        "Loss over {} steps: training loss {}",
        text::grouped(steps),
        ends(train)
    )];
    let best = held_out.iter().map(|point| point.1).reduce(f64::min);
    parts.extend(best.map(|best| format!("held-out loss {}, lowest {best:.3}", ends(held_out))));
    parts.join("; ")
}

/// (step, loss) where the loss is a number; a diverged run has others, and still gets its page.
fn finite(curve: &[CurvePoint], loss: impl Fn(&CurvePoint) -> Option<f64>) -> Vec<(f64, f64)> {
    curve
        .iter()
        .filter_map(|point| Some((point.step as f64, loss(point)?)))
        .filter(|point| point.1.is_finite())
        .collect()
}

fn averaged(points: &[(f64, f64)], over: usize) -> Vec<(f64, f64)> {
    points
        .chunks(over)
        .map(|chunk| {
            let n = chunk.len() as f64;
            let sum = chunk.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            (sum.0 / n, sum.1 / n)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: u64, train_loss: f64, held_out: Option<f64>) -> CurvePoint {
        let tokens = step * 100;
        CurvePoint {
            step,
            tokens,
            train_loss,
            held_out,
        }
    }

    #[test]
    fn the_curve_fills_its_box_from_top_to_bottom() {
        let curve = [
            point(0, 6.0, None),
            point(50, 3.0, Some(4.0)),
            point(100, 1.0, Some(2.0)),
        ];
        let chart = LossChart::of(&curve).expect("there are three points");
        assert_eq!(chart.train, "0.00,0.00 50.00,60.00 100.00,100.00");
        assert_eq!(chart.held_out, "50.00,40.00 100.00,80.00");
        assert_eq!(
            chart.description,
            "Loss over 100 steps: training loss from 6.000 to 1.000; \
             held-out loss from 4.000 to 2.000, lowest 2.000"
        );
    }

    #[test]
    fn a_long_curve_is_averaged_and_a_diverged_one_is_cut() {
        let curve: Vec<_> = (1..=10_000)
            .map(|step| point(step, 1.0 + f64::from(step as u32 % 2), None))
            .collect();
        let chart = LossChart::of(&curve).expect("there are points");
        assert_eq!(chart.train.split(' ').count(), 239);
        assert_eq!(chart.averaged_over, 42);
        let diverged = [
            point(1, 2.0, None),
            point(2, 1.0, Some(f64::NAN)),
            point(3, f64::INFINITY, None),
        ];
        let chart = LossChart::of(&diverged).expect("two points are left");
        assert!(!chart.train.contains("NaN") && chart.held_out.is_empty());
        assert!(LossChart::of(&diverged[..1]).is_none());
    }
}
