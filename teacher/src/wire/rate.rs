//! What the headers of a response say about limits.

use std::time::Duration;

/// What one response says about the limits in force.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateSignals {
    /// Ask nothing more for this long.
    pub retry_after: Option<Duration>,
    /// The limits that it tells of.
    pub windows: Vec<RateWindow>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateWindow {
    /// What is counted.
    pub measure: Measure,
    /// Over how long; `None` where the service does not say.
    pub span: Option<Duration>,
    /// How many are allowed in that time.
    pub limit: Option<u64>,
    /// How many are left of them.
    pub remaining: Option<u64>,
    /// In how long all are allowed again, counted from when the service sent the response.
    pub reset: Option<Duration>,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Requests.
    Requests,
    /// Tokens read and written.
    Tokens,
    /// Tokens read.
    InputTokens,
    /// Tokens written.
    OutputTokens,
}
