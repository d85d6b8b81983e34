//! Everything that Limbeck keeps: prompts, attempts, traces, verdicts, datasets and runs in `SQLite`.
//!
//! Layout:
//! - [`record`]: the records as plain data, and their content addresses ([`identity`]);
//! - [`Store`]: the database, and every statement that reads or writes it;
//! - [`codec`]: token log-probabilities in few bytes;
//! - [`curate`](mod@curate): which answers are fit to learn from; pure functions;
//! - [`terms`]: what routes and licences say of learning from answers, and what follows;
//! - [`ledger`]: the log in which nothing can be changed without being seen;
//! - [`redact`]: personal data and secrets replaced by placeholders;
//! - [`audit`]: what one who answers for the data must know;
//! - [`review`]: what persons sign of that, and whose signatures count;
//! - [`attestation`]: what goes with an exported model, for who has nothing else.
//!
//! Invariants:
//! - No HTTP and no tensors here, and no SQL elsewhere.
//! - What [`Store::record`] has returned from is on the disk: an answer is durable before it is counted.
//! - A trace is identified by what was asked, of whom and how, so nothing is asked or kept twice.
//! - Nothing is deleted by curation; a verdict with its reason stands beside the trace.
//! - What is kept is in the ledger, by a record in the same transaction; `Store::audit_integrity` finds what was changed since.
//! - One process writes to a store at a time; others may read.
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "a failed test panics, and exact numbers are meant"
    )
)]

pub mod attestation;
pub mod audit;
pub mod codec;
mod content_ids;
pub mod curate;
mod database;
mod error;
pub mod identity;
pub mod ledger;
mod nearest;
mod normalise;
pub mod record;
pub mod redact;
pub mod review;
pub mod terms;

pub use content_ids::{ContentIds, InvalidId, id_bytes};
pub use curate::{
    Candidate, Check, CheckSummary, ChoiceDistribution, Curated, Curation, DatasetRow,
    InvalidCheck, PhrasingPrior, PriorCorrection, PriorCorrectionFit, RowAnswer, Verdict, curate,
};
pub use database::{
    ClarifiedAnswers, Erasure, FailureFilter, Inclusion, LedgerCheckpoint, LedgerEntry, NotedKind,
    Spent, Store,
};
pub use error::StoreError;
pub use nearest::nearest;
pub use normalise::normalise;
pub use record::{
    Answered, Attempt, AttemptStatus, Batch, BatchOutcome, BatchRequest, BatchResults, BatchState,
    Call, Clarified, Dataset, ExportedTrace, Failure, FinishReason, Ground, ImportCounts,
    ImportOutcome, ImportReceipt, Imported, ImportedAnswer, ImportedFailure, Message, NewBatch,
    Prompt, PromptBody, Reasoning, Receipt, Run, RunStatus, SamplingParameters, ServiceReceipt,
    TermsInForce, TokenLogProbabilities, Trace, TraceDetail, TraceFilter, TraceIds, TraceKey,
    TraceRecord, TraceSummary, VerdictFilter, now,
};
