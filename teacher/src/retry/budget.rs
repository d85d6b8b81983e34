//! How often all questions together may be put again.

use std::sync::{Mutex, PoisonError};

/// Retries that are there from the start, so that a bad first minute ends nothing.
const AT_FIRST: f64 = 100.0;
/// Retries that each answer adds.
const FOR_EACH_ANSWER: f64 = 0.5;
/// No more are saved up than this.
const MOST: f64 = 1000.0;

/// Keeps retries from multiplying the work of a teacher that fails most of the time (the "retry budget" of Finagle).
#[derive(Debug)]
pub(crate) struct RetryBudget {
    left: Mutex<f64>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: Mutex::new(AT_FIRST),
        }
    }
}

impl RetryBudget {
    pub(crate) fn answered(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + FOR_EACH_ANSWER).min(MOST);
    }

    /// Takes one retry if one is left.
    pub(crate) fn take(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let any = *left >= 1.0;
        if any {
            *left -= 1.0;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_out_and_answers_fill_it_again() {
        let budget = RetryBudget::default();
        assert_eq!((0..500).filter(|_| budget.take()).count(), 100);
        for _ in 0..9 {
            budget.answered();
        }
        assert_eq!((0..500).filter(|_| budget.take()).count(), 4);
        for _ in 0..10_000 {
            budget.answered();
        }
        assert_eq!((0..5000).filter(|_| budget.take()).count(), 1000);
    }
}
