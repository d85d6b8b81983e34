//! Reads what comes back.
//!
//! - [`sse`], [`json`]: events and values, from bytes in any pieces and of any quality
//! - [`openai`], [`anthropic`], [`gemini`]: what each dialect says; whole answers and pieces of streams alike, since
//!   they differ little
//! - [`responses`]: the answers of `OpenAI`'s newer way of asking, from files alone
//! - [`log_probabilities`]: the shapes in which `OpenAI`'s dialect tells them
//! - [`think`]: reasoning that comes in the text
//! - [`draft`]: what all of them fill in, and what it comes to
//! - [`stream`]: from bytes to an answer

mod anthropic;
mod draft;
mod gemini;
pub(super) mod json;
mod log_probabilities;
mod openai;
mod responses;
mod sse;
mod stream;
mod think;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fixtures_tests;
#[cfg(test)]
mod hostile_tests;

use http::HeaderMap;
use jiff::Timestamp;

use super::{Failure, Preset, WireAnswer};

pub use responses::{is_response, read_response};
pub use stream::AnswerStream;

/// Reads a whole response, whatever its status. `now` is the time at which it came; it serves where the response
/// does not tell its own.
///
/// # Errors
/// The [`Failure`] that the response tells of, or that its bytes amount to.
pub fn read_answer(
    preset: &Preset,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<WireAnswer, Failure> {
    if !(200..300).contains(&status) {
        return Err(Failure::read(preset, status, headers, body, now));
    }
    let mut stream = AnswerStream::new(preset, headers);
    stream.push(body);
    stream.finish()
}
