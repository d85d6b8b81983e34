//! The audit: what a person who answers for the data must know, as findings with codes that never change.
//!
//! An audit reads; it never repairs. Each of its areas is a function from what is kept to [`Finding`]s, and every
//! finding says what it is about, by which way that came in, and what to do. Nothing here calls anything lawful.

pub mod conduct;
mod finding;
pub(crate) mod integrity;
pub mod privacy;

pub use finding::{Area, Finding, Level};
pub use integrity::IntegrityOptions;
