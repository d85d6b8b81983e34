//! What API teachers say on the wire: how a question is written down for a service, and how what comes back is read.
//!
//! Pure functions over bytes and headers: no sockets, no clock, no SQL, no printing, and no keys. A client moves the
//! bytes, adds the key and keeps the time:
//!
//! 1. [`preset()`] names a service's ways ([`Preset`]), [`Endpoint::new`] says where it is;
//! 2. [`WireRequest::build`] writes an [`Ask`](crate::Ask) down;
//! 3. [`read_answer`] reads a whole response, or an [`AnswerStream`] one that comes in pieces; both end in a
//!    [`WireAnswer`] or in a [`Failure`] that says of what kind it is and whether asking again can help;
//! 4. [`RateSignals::read`] reads what the headers of any response say about limits;
//! 5. [`WireAnswer::choose`] says which of the given choices an answer takes;
//! 6. [`BatchCalls`], [`RemoteBatch`] and [`ResultLine`] do the same for many questions that are handed over at once.
//!
//! Everything that comes back is hostile: it is read without trust in its types, sizes and numbers, and what is odd
//! but harmless is noted in [`WireAnswer::oddities`] rather than believed. How many bytes are read at most is the
//! client's to say.

mod answer;
mod batch;
mod choices;
mod efforts;
mod endpoint;
mod failure;
mod preset;
mod rate;
mod read;
mod request;

pub use answer::{Finish, Oddity, Retraction, Usage, WireAnswer, WireToken};
pub use batch::{
    BatchBody, BatchCalls, BatchLimits, FileState, LineResult, RemoteBatch, RemoteEnd, RemoteList,
    RemotePhase, ResultLine, UploadedFile,
};
pub use choices::{ChoiceMethod, Chosen};
pub use endpoint::{Endpoint, EndpointError};
pub use failure::{Failure, FailureKind};
pub use preset::{Dialect, KeyHeader, Preset, Price, preset, preset_at, preset_names};
pub use rate::{Measure, RateSignals, RateWindow};
pub use read::{AnswerStream, is_response, read_answer, read_response};
pub use request::{RequestError, WireRequest};
