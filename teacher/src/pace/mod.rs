//! How fast a teacher is asked.
//!
//! - [`limits`]: what a recipe declares
//! - [`window`], [`bucket`]: what may be begun in any minute or day, and how it is spread
//! - [`spend`]: prices, and a cap in dollars that holds in the worst case
//! - [`concurrency`]: how many requests at a time a teacher takes well
//! - [`state`]: all of these together, without a clock
//! - [`pacer`]: waiting for one's turn
//! - [`paced`]: the same for a teacher that keeps no limits itself
//!
//! The promise: as the teacher sees it, no 60 seconds (and no day) hold more than what is allowed, from the first
//! second on, as long as requests differ by less than 0.9 s in how long they take to arrive. Before a request is
//! sent, the most that it may use is reserved; when the answer tells what it did use, the rest is free at once.

mod bucket;
mod concurrency;
mod limits;
mod paced;
mod pacer;
mod spend;
mod state;
#[cfg(test)]
mod tests;
mod window;

use concurrency::Concurrency;

pub use limits::Limits;
pub(crate) use paced::Paced;
pub(crate) use pacer::{NotBegun, Pacer, Reservation};
pub(crate) use spend::Purse;
pub use spend::{NanoUsd, Price, usd};
pub(crate) use state::{Demand, Refusal, Used};
