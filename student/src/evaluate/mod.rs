//! Measuring a student: metrics with intervals, floors to stand above, gates to pass.
//!
//! Everything here is a pure function of its arguments and seeds, but for times and memory. [`metric`] holds what is
//! measured, [`interval`] how sure it is, [`student`] how a student is asked, [`floors`] and [`kneser_ney`] what is
//! reached without a language model, [`gate`] what a run must reach, [`memory`] the peak resident set.

mod features;
pub mod floors;
pub mod gate;
pub mod interval;
pub mod kneser_ney;
mod logistic;
pub mod memory;
pub mod metric;
pub mod student;

pub use floors::{FloorError, LinearFloor, majority_class};
pub use gate::{Gate, GateCondition, GateOutcome, judge};
pub use interval::{Estimate, Interval};
pub use kneser_ney::KneserNey;
pub use memory::{peak_resident_bytes, reset_peak_resident};
pub use metric::{AnswerNats, Metric, Scored};
pub use student::{AnswerScores, AnswerSequence, Answers, AskError, Labelled, Student};
