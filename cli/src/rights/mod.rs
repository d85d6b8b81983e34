//! What terms and licences are judged by: what a recipe plans or a store holds, and the recipe's own words.

mod materials;
mod reviewed;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use limbeck_store::review::Signature;

use crate::printer::sanitize_line;

pub use materials::{Looking, Materials};
pub use reviewed::Reviewed;

/// With which key something is signed, as an addition to the name of the person.
pub fn signed_with(signature: Option<&Signature>) -> String {
    signature.map_or_else(
        || ", unsigned,".to_owned(),
        |signature| format!(" (`{}`)", sanitize_line(&signature.signer())),
    )
}

/// The day in UTC, as receipts tell it.
pub fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}
