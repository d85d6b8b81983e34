//! What terms and licences are judged by: what a recipe plans or a store holds, and the recipe's own words.

mod materials;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

pub use materials::{Looking, Materials};

/// The day in UTC, as receipts tell it.
pub fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}
