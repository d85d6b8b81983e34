//! What a suite measures, and one measured line of the report.

use serde::{Deserialize, Serialize};

use super::interval::{self, Interval};

/// What a suite measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of inputs whose most likely choice is the expected one.
    Accuracy,
    /// Natural-log loss of the teacher's answers, a UTF-8 byte; see [`AnswerNats`].
    NatsPerByte,
    /// Share of greedy answers that end by themselves before the token limit.
    Ends,
}

impl Metric {
    /// Whether a larger score is a better one.
    pub fn higher_is_better(self) -> bool {
        match self {
            Self::Accuracy | Self::Ends => true,
            Self::NatsPerByte => false,
        }
    }

    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::NatsPerByte => "nats-per-byte",
            Self::Ends => "ends",
        }
    }

    /// Whether `score` is strictly better than `other`; never if either is not a number.
    pub fn is_better(self, score: f64, other: f64) -> bool {
        if self.higher_is_better() {
            score > other
        } else {
            score < other
        }
    }
}

/// One scored contender of a suite: the teacher, the student or a floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Who: `teacher`, `student`, `majority class`, …
    pub name: String,
    /// The metric over all documents.
    pub score: f64,
    /// Lower end of the 95 % confidence interval.
    pub low: f64,
    /// Upper end of the 95 % confidence interval.
    pub high: f64,
    /// Documents scored.
    pub n: usize,
    /// Documents answered a second, where speed was measured.
    pub requests_per_second: Option<f64>,
    /// Tokens read and written a second, where there are tokens and speed was measured.
    pub tokens_per_second: Option<f64>,
    /// Peak resident memory while answering, in bytes, where the system tells it.
    pub peak_rss_bytes: Option<u64>,
}

impl Scored {
    /// A share of successes with Wilson's interval; the score of nothing tried is 0.
    pub fn share(name: impl Into<String>, successes: usize, trials: usize) -> Self {
        let score = if trials == 0 {
            0.0
        } else {
            successes as f64 / trials as f64
        };
        Self::new(name, score, interval::wilson(successes, trials), trials)
    }

    /// The share of `predicted` that equals `expected`, position by position: accuracy against human labels, or
    /// agreement when `expected` is what the teacher said.
    pub fn accuracy(name: impl Into<String>, predicted: &[usize], expected: &[usize]) -> Self {
        let hits = predicted
            .iter()
            .zip(expected)
            .filter(|(predicted, expected)| predicted == expected)
            .count();
        Self::share(name, hits, expected.len())
    }

    /// Total nats over total bytes with a bootstrap interval over the answers; `None` if the answers hold no byte.
    pub fn nats_per_byte(
        name: impl Into<String>,
        answers: &[AnswerNats],
        seed: u64,
    ) -> Option<Self> {
        let nats: Vec<f64> = answers.iter().map(|answer| answer.nats).collect();
        let bytes: Vec<f64> = answers.iter().map(|answer| answer.bytes as f64).collect();
        let estimate = interval::ratio(&nats, &bytes, seed)?;
        Some(Self::new(
            name,
            estimate.value,
            estimate.interval,
            answers.len(),
        ))
    }

    fn new(name: impl Into<String>, score: f64, interval: Interval, n: usize) -> Self {
        Self {
            name: name.into(),
            score,
            low: interval.low,
            high: interval.high,
            n,
            requests_per_second: None,
            tokens_per_second: None,
            peak_rss_bytes: None,
        }
    }

    /// Adds the speed: [`Self::n`] documents and `tokens` tokens in `seconds` of wall time.
    #[must_use]
    pub fn timed(mut self, seconds: f64, tokens: Option<usize>) -> Self {
        if seconds > 0.0 {
            self.requests_per_second = Some(self.n as f64 / seconds);
            self.tokens_per_second = tokens.map(|tokens| tokens as f64 / seconds);
        }
        self
    }

    /// Adds the peak resident memory in bytes.
    #[must_use]
    pub fn with_peak(mut self, peak_rss_bytes: Option<u64>) -> Self {
        self.peak_rss_bytes = peak_rss_bytes;
        self
    }
}

/// How badly one answer was predicted.
///
/// The convention of every model and floor here: `nats` is the sum of −ln p over the answer's tokens and its end
/// token, given the input; `bytes` is the UTF-8 length of the answer alone. Scores of models with different
/// tokenizers are then comparable, and a model pays for not knowing where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerNats {
    /// Sum of −ln p over the answer's tokens and the end token.
    pub nats: f64,
    /// UTF-8 bytes of the answer.
    pub bytes: usize,
    /// Answer tokens scored, the end token included.
    pub tokens: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_counts_positions() {
        let scored =
            Scored::accuracy("student", &[0, 1, 1, 2], &[0, 1, 2, 2]).timed(0.5, Some(100));
        assert!((scored.score - 0.75).abs() < 1e-12);
        assert!(scored.low < 0.75 && scored.high > 0.75);
        assert_eq!(scored.n, 4);
        assert_eq!(scored.requests_per_second, Some(8.0));
        assert_eq!(scored.tokens_per_second, Some(200.0));
    }

    #[test]
    fn a_missing_prediction_is_a_miss() {
        assert!((Scored::accuracy("short", &[0], &[0, 0]).score - 0.5).abs() < 1e-12);
    }

    #[test]
    fn nats_are_divided_by_bytes_and_not_averaged_over_answers() {
        let answer = |nats, bytes| AnswerNats {
            nats,
            bytes,
            tokens: 1,
        };
        let answers = [answer(10.0, 10), answer(10.0, 90)];
        let scored = Scored::nats_per_byte("student", &answers, 1).expect("bytes");
        assert!((scored.score - 0.2).abs() < 1e-12);
        assert!(scored.low >= 10.0 / 90.0 - 1e-9 && scored.high <= 1.0 + 1e-9);
        assert_eq!(Scored::nats_per_byte("none", &[answer(1.0, 0)], 1), None);
    }

    #[test]
    fn names_are_those_of_serde() {
        for metric in [Metric::Accuracy, Metric::NatsPerByte, Metric::Ends] {
            let json = serde_json::to_value(metric).expect("serialises");
            assert_eq!(json, metric.name());
        }
        assert!(Metric::NatsPerByte.is_better(0.4, 0.5));
        assert!(!Metric::Accuracy.is_better(f64::NAN, 0.0));
    }
}
