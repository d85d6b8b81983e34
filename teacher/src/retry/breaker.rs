//! A circuit breaker: an endpoint that does not answer is left alone for a while, and tried by one question at a time.

use std::time::Duration;

/// After this many failures without an answer between them an endpoint is left alone.
const FAILURES: u32 = 5;
/// For so long at first; twice as long each time it fails again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// After this many pauses in a row (about four minutes) it counts as dead.
const MOST_PAUSES: u32 = 9;
/// A trial that says nothing for so long is taken to be lost, and another may be made.
const LONGEST_TRIAL: Duration = Duration::from_mins(30);

/// The state of one endpoint. No clock here: every call says what time it is, since one origin.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    pauses: u32,
    /// Set while it is left alone or on trial.
    until: Option<Duration>,
    trial_since: Option<Duration>,
}

/// Whether an endpoint may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// One question may try it; who asks is that one.
    Trial,
    /// Not before this long.
    Shut(Duration),
    /// It has not answered for so many pauses that nobody should wait for it any more.
    Dead,
}

/// An endpoint was just left alone, for this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slammed(pub(crate) Duration);

impl Breaker {
    /// Looks without taking a trial.
    pub(crate) fn look(&self, now: Duration) -> Door {
        if self.pauses > MOST_PAUSES {
            return Door::Dead;
        }
        match (self.until, self.trial_since) {
            (None, _) => Door::Open,
            (Some(_), Some(since)) if now < since + LONGEST_TRIAL => {
                // Whoever tries it will say how it went; until then there is nothing better than to look again.
                Door::Shut(FIRST_PAUSE)
            }
            (Some(until), _) if now < until => Door::Shut(until.saturating_sub(now)),
            (Some(_), _) => Door::Trial,
        }
    }

    /// Looks, and takes the trial where there is one.
    pub(crate) fn enter(&mut self, now: Duration) -> Door {
        let door = self.look(now);
        if door == Door::Trial {
            self.trial_since = Some(now);
        }
        door
    }

    /// It answered. Whether it had been left alone.
    pub(crate) fn answered(&mut self) -> bool {
        let was_shut = self.until.is_some();
        *self = Self::default();
        was_shut
    }

    /// A trial ended without a word about the endpoint's health.
    pub(crate) fn undecided(&mut self) {
        self.trial_since = None;
    }

    /// It failed in a way that speaks against its health.
    pub(crate) fn failed(&mut self, now: Duration) -> Option<Slammed> {
        self.failures += 1;
        let on_trial = self.trial_since.take().is_some();
        if !on_trial && (self.failures < FAILURES || self.until.is_some()) {
            // Failures of requests that were under way when it was shut say nothing new.
            return None;
        }
        let pause = (FIRST_PAUSE * 2_u32.pow(self.pauses.min(16))).min(LONGEST_PAUSE);
        self.pauses += 1;
        self.until = Some(now + pause);
        Some(Slammed(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn shut() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.failed(at(0)), None);
            assert_eq!(breaker.look(at(0)), Door::Open);
        }
        assert_eq!(breaker.failed(at(0)), Some(Slammed(at(1))));
        breaker
    }

    #[test]
    fn after_five_failures_it_is_shut_and_then_tried_by_one() {
        let mut breaker = shut();
        assert_eq!(breaker.failed(at(0)), None, "a straggler changes nothing");
        assert_eq!(breaker.enter(at(0)), Door::Shut(at(1)));
        assert_eq!(breaker.enter(at(1)), Door::Trial);
        assert!(matches!(breaker.enter(at(1)), Door::Shut(_)));
        assert!(breaker.answered());
        assert_eq!(breaker.enter(at(1)), Door::Open);
        assert!(!breaker.answered());
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_then_it_is_dead() {
        let mut breaker = shut();
        let (mut now, mut pauses) = (at(1), Vec::new());
        while breaker.enter(now) == Door::Trial {
            let Some(Slammed(pause)) = breaker.failed(now) else {
                panic!("a failed trial shuts it again");
            };
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(breaker.look(now), Door::Dead);
    }

    #[test]
    fn an_answer_between_failures_starts_the_count_anew() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(breaker.failed(at(0)), None);
            }
            breaker.answered();
        }
    }

    #[test]
    fn a_trial_that_decides_nothing_leaves_room_for_another() {
        let mut breaker = shut();
        assert_eq!(breaker.enter(at(2)), Door::Trial);
        breaker.undecided();
        assert_eq!(breaker.enter(at(2)), Door::Trial);
    }
}
