//! A sliding window: how much was begun lately, and how long until more may be.

use std::collections::VecDeque;
use std::time::Duration;

/// Windows are this much longer than what a teacher counts over, so that requests which take differently long to
/// arrive still keep to the allowance as the teacher sees it: over a minute, by up to 0.9 s.
pub(super) const MARGIN: f64 = 0.015;

/// A window is kept in at most about this many cells, however much happens in it.
const CELLS: u32 = 1000;

/// An allowance over any stretch of `length`. Times are since one origin that the caller chooses.
///
/// Amounts of about the same time share a cell and leave the window together with its last one: a little late, never
/// early.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    allowance: u64,
    cells: VecDeque<Cell>,
    /// The number of the first cell that is kept; numbers never repeat.
    first: u64,
    sum: u64,
}

#[derive(Debug)]
struct Cell {
    begun: Duration,
    last: Duration,
    amount: u64,
}

impl Window {
    /// `span`: what the teacher counts over, without the margin.
    pub(super) fn new(allowance: u64, span: Duration) -> Self {
        Self {
            length: span.mul_f64(1.0 + MARGIN),
            allowance,
            cells: VecDeque::new(),
            first: 0,
            sum: 0,
        }
    }

    pub(super) fn allowance(&self) -> u64 {
        self.allowance
    }

    /// With the margin.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// What counts at `now`.
    pub(super) fn used(&mut self, now: Duration) -> u64 {
        self.forget(now);
        self.sum
    }

    /// How long until `amount` more fits if nothing else is taken; zero if it fits now, `None` if it is more than the
    /// whole allowance.
    pub(super) fn wait(&mut self, now: Duration, amount: u64) -> Option<Duration> {
        if amount > self.allowance {
            return None;
        }
        self.forget(now);
        let mut over = (self.sum + amount).saturating_sub(self.allowance);
        let mut wait = Duration::ZERO;
        for cell in &self.cells {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(cell.amount);
            wait = (cell.last + self.length).saturating_sub(now);
        }
        Some(wait)
    }

    /// Counts `amount` from `now` on, whether it fits or not, and returns where, for [`Window::settle`].
    pub(super) fn take(&mut self, now: Duration, amount: u64) -> u64 {
        self.forget(now);
        let width = self.length / CELLS;
        match self.cells.back_mut() {
            Some(cell) if now <= cell.begun + width => {
                cell.last = cell.last.max(now);
                cell.amount += amount;
            }
            _ => self.cells.push_back(Cell {
                begun: now,
                last: now,
                amount,
            }),
        }
        self.sum += amount;
        self.first + self.cells.len() as u64 - 1
    }

    /// Replaces `reserved`, which was taken at `place`, by what was really used. Nothing if it has left the window.
    pub(super) fn settle(&mut self, place: u64, reserved: u64, used: u64) {
        let Some(index) = place.checked_sub(self.first) else {
            return;
        };
        if let Some(cell) = self.cells.get_mut(index as usize) {
            cell.amount = cell.amount - reserved + used;
            self.sum = self.sum - reserved + used;
        }
    }

    /// Lowers the allowance to what the teacher itself says.
    pub(super) fn tighten(&mut self, allowance: u64) {
        self.allowance = self.allowance.min(allowance.max(1));
    }

    fn forget(&mut self, now: Duration) {
        while let Some(cell) = self.cells.front()
            && cell.last + self.length <= now
        {
            self.sum -= cell.amount;
            self.cells.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn what_was_taken_counts_for_a_minute_and_the_margin() {
        let mut window = Window::new(10, MINUTE);
        window.take(at(0.0), 6);
        window.take(at(30.0), 4);
        assert_eq!(window.wait(at(30.0), 1), Some(at(30.9)));
        assert_eq!(window.wait(at(30.0), 7), Some(at(60.9)));
        assert_eq!(window.wait(at(60.9), 6), Some(Duration::ZERO));
        assert_eq!(window.used(at(60.9)), 4);
        assert_eq!(window.wait(at(60.9), 11), None);
    }

    #[test]
    fn a_refund_is_free_at_once_and_an_overrun_counts() {
        let mut window = Window::new(10, MINUTE);
        let first = window.take(at(0.0), 10);
        assert_eq!(window.wait(at(1.0), 4), Some(at(59.9)));
        window.settle(first, 10, 6);
        assert_eq!(window.wait(at(1.0), 4), Some(Duration::ZERO));
        let second = window.take(at(1.0), 4);
        window.settle(second, 4, 9);
        assert_eq!(window.used(at(1.0)), 15);
        assert_eq!(window.used(at(61.0)), 9);
        window.settle(first, 6, 0);
        assert_eq!(window.used(at(61.0)), 9, "the first has left the window");
    }

    proptest! {
        /// Whatever is asked for and whenever, no minute as the teacher sees it holds more than the allowance.
        #[test]
        fn no_window_exceeds_its_allowance(
            allowance in 1_u64..200,
            asks in prop::collection::vec((0.0..8.0_f64, 1_u64..40, 0.0..1.0_f64, 0.0..0.9_f64), 1..300),
        ) {
            let mut window = Window::new(allowance, MINUTE);
            let mut now = Duration::ZERO;
            let mut arrived: Vec<(f64, u64)> = Vec::new();
            for (pause, amount, used, delay) in asks {
                now += at(pause);
                let Some(wait) = window.wait(now, amount) else { continue };
                now += wait;
                prop_assert_eq!(window.wait(now, amount), Some(Duration::ZERO), "the wait was long enough");
                let place = window.take(now, amount);
                let used = (amount as f64 * used) as u64;
                window.settle(place, amount, used);
                arrived.push((now.as_secs_f64() + delay, used));
            }
            for &(end, _) in &arrived {
                let within = |&&(at, _): &&(f64, u64)| at > end - 60.0 && at <= end;
                let sum: u64 = arrived.iter().filter(within).map(|&(_, used)| used).sum();
                prop_assert!(sum <= allowance, "{} of {} until {}", sum, allowance, end);
            }
        }

        #[test]
        fn memory_is_bounded(steps in prop::collection::vec(0_u64..5, 5000)) {
            let mut window = Window::new(u64::MAX, MINUTE);
            let mut now = Duration::ZERO;
            for step in steps {
                now += Duration::from_millis(step);
                window.take(now, 1);
            }
            prop_assert!(window.cells.len() <= CELLS as usize + 2);
        }
    }
}
