//! Everything that asks: the [`Teacher`] trait, limits, the local teacher and the harvest loop.
//!
//! Layout:
//! - [`Teacher`], [`Ask`], [`Answer`]: one question and its answer, whoever is asked;
//! - [`LocalTeacher`]: a model in this process, on its own thread;
//! - [`ApiTeacher`]: a model behind an API, asked with retries and several endpoints;
//! - [`Limits`]: how fast a teacher may be asked, and for how much;
//! - [`wire`]: what API teachers say and are told;
//! - [`harvest()`]: asks what a store has no answer to; [`harvest_in_batches()`]: the same through a service's batches.
//!
//! Invariants:
//! - No SQL here, and no knowledge of students; nothing prints, nothing reads the environment.
//! - An answer is committed to the store before anybody is told of it, and by one task alone.
//! - What an answer is depends on its question only: not on its batch, its order, or what it shares with others.
//! - Every channel is bounded, and so is the number of questions in flight, however many there are to ask.
//! - Text of prompts and answers is hostile: what looks like a control token in it stays text.
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "a failed test panics, and exact numbers are meant"
    )
)]

mod api;
mod error;
mod harvest;
mod local;
mod pace;
mod retry;
mod teacher;
pub mod wire;

pub use api::{
    ApiEndpoint, ApiError, ApiKey, ApiNotice, ApiOptions, ApiTeacher, ApiWatcher, BatchDoubt,
    BatchNotice, BatchOptions, BatchReporters, BatchSummary, BatchWatcher, KeyError, PaceView,
    SilentWatcher, Timeouts, cancel_batch, forget_batch, harvest_in_batches, kept_answer,
    poll_batch,
};
pub use error::{AskError, HarvestError, LimitError, TeacherError};
pub use harvest::{HarvestPlan, HarvestReporter, HarvestSummary, SilentReporter, harvest};
pub use local::{LocalOptions, LocalTeacher};
pub use pace::{Limits, NanoUsd, Price, usd};
pub use retry::RetryPolicy;
pub use teacher::{Answer, Ask, Asked, Teacher, TeacherIdentity, Try};
