//! The geometry of the charts. Positions are percentages of the plot, so the page can stretch a plot to any width
//! while its text keeps its size; the markup is in `charts.html`.

mod loss;
mod scores;

use serde::Serialize;

pub(super) use loss::LossChart;
pub(super) use scores::{ScoreChart, scores_of};

/// A mark on an axis.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Tick {
    /// Percent from the left, or from the top.
    at: f64,
    label: String,
}

/// Round numbers (1, 2 or 5 times a power of ten apart) that enclose `low` and `high`, about `count` steps.
fn nice_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    // Equal ends still need an axis with some length.
    let span = (high - low).max(low.abs().max(high.abs()) * 1e-3).max(1e-9);
    let rough = span / count as f64;
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * magnitude)
        .into_iter()
        // The tolerance keeps 0.2000000001 from asking for a step of 0.5.
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * magnitude);
    let first = (low / step + 1e-9).floor() as i64;
    let last = ((high / step - 1e-9).ceil() as i64).max(first + 1);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Decimals that tell neighbouring ticks apart.
pub(super) fn decimals_of(ticks: &[f64]) -> usize {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).next();
    step.map_or(0, |step| {
        (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize
    })
}

fn percent(value: f64, low: f64, high: f64) -> f64 {
    let share = (value - low) / (high - low).max(f64::MIN_POSITIVE);
    // Two decimals are a hundredth of a pixel on a phone, and keep the page small.
    (share.clamp(0.0, 1.0) * 1e4).round() / 1e2
}

fn bound(values: impl Iterator<Item = f64>, pick: fn(f64, f64) -> f64) -> f64 {
    values.reduce(pick).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_data() {
        assert_eq!(
            nice_ticks(0.0, 940.0, 5),
            [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]
        );
        let shares: Vec<String> = nice_ticks(0.47, 0.836, 4)
            .iter()
            .map(|tick| format!("{tick:.2}"))
            .collect();
        assert_eq!(shares, ["0.40", "0.50", "0.60", "0.70", "0.80", "0.90"]);
        for (low, high) in [
            (1.0, 1.0),
            (0.0, 0.0),
            (-3.0, 5.0),
            (0.999, 1.0),
            (1e9, 1e9 + 1.0),
        ] {
            let ticks = nice_ticks(low, high, 5);
            assert!(
                ticks.len() >= 2 && ticks.len() < 20,
                "{low} {high}: {ticks:?}"
            );
            assert!(ticks[0] <= low + 1e-9 && ticks[ticks.len() - 1] >= high - 1e-9);
        }
        assert_eq!(decimals_of(&[0.0, 0.25]), 1);
        assert_eq!(decimals_of(&[0.0, 0.2]), 1);
        assert_eq!(decimals_of(&[0.0, 0.01]), 2);
        assert_eq!(decimals_of(&[0.0, 50.0]), 0);
    }
}
