//! How scores are named and written.

use super::Metric;
use super::chart::decimals_of;

impl Metric {
    /// What the axis shows.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy",
            Self::NatsPerByte => "Nats per byte of the answers",
            Self::Ends => "Answers that end by themselves",
        }
    }

    /// The metric over a number.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Accuracy => "Student’s accuracy",
            Self::NatsPerByte => "Nats per byte",
            Self::Ends => "Answers that end",
        }
    }

    /// The metric inside a sentence.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::NatsPerByte => "loss in nats a byte",
            Self::Ends => "share of answers that end by themselves",
        }
    }

    /// Which direction is good.
    pub(super) fn higher_is_better(self) -> bool {
        match self {
            Self::Accuracy | Self::Ends => true,
            Self::NatsPerByte => false,
        }
    }

    /// Which direction is good, in words.
    pub(super) fn direction(self) -> &'static str {
        if self.higher_is_better() {
            "higher is better"
        } else {
            "lower is better"
        }
    }

    /// `79.8 %` or `1.234`.
    pub(super) fn show(self, score: f64) -> String {
        match self {
            _ if !score.is_finite() => "not a number".to_owned(),
            Self::Accuracy | Self::Ends => format!("{:.1} %", score * 100.0),
            Self::NatsPerByte => format!("{score:.3}"),
        }
    }

    /// `77.2–82.2 %` or `1.201–1.267`.
    pub(super) fn show_interval(self, low: f64, high: f64) -> String {
        match self {
            _ if !(low.is_finite() && high.is_finite()) => "not a number".to_owned(),
            Self::Accuracy | Self::Ends => format!("{:.1}–{:.1} %", low * 100.0, high * 100.0),
            Self::NatsPerByte => format!("{low:.3}–{high:.3}"),
        }
    }

    /// `value` with the decimals that tell the ticks apart.
    pub(super) fn show_tick(self, value: f64, ticks: &[f64]) -> String {
        match self {
            Self::Accuracy | Self::Ends => {
                let scaled: Vec<f64> = ticks.iter().map(|tick| tick * 100.0).collect();
                let decimals = decimals_of(&scaled);
                format!("{:.decimals$} %", value * 100.0)
            }
            Self::NatsPerByte => format!("{value:.*}", decimals_of(ticks)),
        }
    }
}
