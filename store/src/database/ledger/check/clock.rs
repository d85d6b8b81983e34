//! Times that go back along the ledger.

use jiff::{SignedDuration, Timestamp};

use crate::audit::{Area, Finding, Level};

/// A clock that is wrong by this much dates answers to other days, and so to other terms.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// What there is to tell of the record called `name`, of `time`, after one of `newest`; nothing where time went on.
pub(super) fn went_back(name: &str, time: Timestamp, newest: Timestamp) -> Option<Finding> {
    if time >= newest {
        return None;
    }
    let message =
        format!("{name} is of {time}, and one before it of {newest}: the clock went back");
    let found = |code, level| Finding::new(Area::Integrity, code, level, message);
    Some(if newest.duration_since(time) < A_DAY {
        found("clock", Level::Warning).help("times in this store are no better than the clock was")
    } else {
        found("clock-days", Level::Deny)
            .help("terms are chosen by the day, and which day it was is not known; a person who does know it signs a `[[waiver]]`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_is_told_and_by_a_day_it_is_denied() {
        let newest: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        for (time, expected) in [
            ("2026-11-24T12:00:00Z", None),
            ("2026-11-25T12:00:00Z", None),
            (
                "2026-11-24T11:59:59Z",
                Some(("integrity::clock", Level::Warning)),
            ),
            (
                "2026-11-23T12:00:01Z",
                Some(("integrity::clock", Level::Warning)),
            ),
            (
                "2026-11-23T12:00:00Z",
                Some(("integrity::clock-days", Level::Deny)),
            ),
            (
                "2025-11-24T12:00:00Z",
                Some(("integrity::clock-days", Level::Deny)),
            ),
        ] {
            let found = went_back("record 2 (trace `x`)", time.parse().unwrap(), newest);
            let found = found
                .as_ref()
                .map(|found| (found.code.as_str(), found.level));
            assert_eq!(found, expected, "{time}");
        }
    }
}
