//! The records that Limbeck keeps, as plain data with serde.
//!
//! What is asked: [`Prompt`], [`SamplingParameters`], [`TraceKey`]. What came back: [`Answered`] with its
//! [`Trace`], [`Attempt`]s and [`Receipt`]; what did not, [`Failure`]. What a service was
//! handed together: [`Batch`]. What is read again: [`TraceRecord`], [`TraceSummary`],
//! [`TraceDetail`]. What was asked for elsewhere: [`Imported`]; what goes elsewhere: [`ExportedTrace`]. What was made of it: [`Dataset`], [`Run`].

mod answer;
mod batch;
mod dataset;
mod export;
mod grounds;
mod import;
mod prompt;
mod reading;
mod run;
mod sampling;
#[cfg(test)]
mod tests;

pub use answer::{
    Answered, Attempt, AttemptStatus, Call, Clarified, Failure, FinishReason, Receipt,
    ServiceReceipt, TermsInForce, TokenLogProbabilities, Trace,
};
pub use batch::{Batch, BatchOutcome, BatchRequest, BatchResults, BatchState, NewBatch};
pub use dataset::Dataset;
pub use export::ExportedTrace;
pub use import::{
    Ground, ImportCounts, ImportOutcome, ImportReceipt, Imported, ImportedAnswer, ImportedFailure,
};
pub use prompt::{Message, Prompt, PromptBody};
pub use reading::{TraceDetail, TraceFilter, TraceRecord, TraceSummary, VerdictFilter};
pub use run::{Run, RunStatus};
pub use sampling::{Reasoning, SamplingParameters, TraceIds, TraceKey};

/// The time now, as RFC 3339 in UTC: what [`Attempt::started_at`] and the other times of a store hold.
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}
