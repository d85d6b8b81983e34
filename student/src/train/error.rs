//! What can go wrong while a student is trained.

use std::path::PathBuf;

use limbeck_model::{DecodeError, ModelError, Precision};

use super::TrainDevice;
use super::report::Skipped;

/// An error of training; each variant carries what a person needs to act.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The plan holds a value that cannot be trained with.
    #[error("`{field}` of the training plan should be {expected}")]
    Plan {
        /// The field, by its name in the plan.
        field: &'static str,
        /// The values that it may have.
        expected: &'static str,
    },
    /// What is to stay as it was initialised is not there, or is all there is.
    #[error("`freeze` {problem}")]
    Freeze {
        /// What is wrong, as the rest of the sentence.
        problem: String,
    },
    /// An example contradicts itself.
    #[error("example `{id}` cannot be learnt: {reason}")]
    Example {
        /// The example.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is left to train on.
    #[error(
        "none of {total} examples can be learnt: {} are longer than the context of {context} tokens, {} have no answer, \
         {} are held out", skipped.too_long, skipped.without_answer, held_out
    )]
    NoExamples {
        /// Examples that were given.
        total: usize,
        /// Examples that were refused, by reason.
        skipped: Skipped,
        /// Examples that are kept for judging.
        held_out: usize,
        /// The longest sequence that fits.
        context: usize,
    },
    /// The tokenizer lacks a token of the student's template.
    #[error("the tokenizer has no token `{token}`, which the student's template needs")]
    MissingToken {
        /// The token.
        token: &'static str,
    },
    /// The table from student to teacher ids belongs to another tokenizer.
    #[error("{found} teacher ids were given for a vocabulary of {expected} tokens")]
    TeacherIds {
        /// Size of the student's vocabulary.
        expected: usize,
        /// Length of the table.
        found: usize,
    },
    /// An initial tensor does not fit the student.
    #[error("initial weight `{name}` has shape {found:?}, expected {expected:?}")]
    InitialShape {
        /// The tensor.
        name: String,
        /// The shape that the student has.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// A parameter is cut off from the loss, so it would never learn.
    #[error("parameter `{name}` has no gradient: the loss does not reach it")]
    MissingGradient {
        /// The parameter.
        name: String,
    },
    /// Training diverged.
    #[error("{what} is not finite at step {step}; a smaller `learning_rate` may help")]
    NotFinite {
        /// The loss, or a parameter's gradient.
        what: String,
        /// The step, from 0.
        step: usize,
    },
    /// The run was cancelled; its state is saved, and the same call goes on from there.
    #[error(
        "training was interrupted after {step} of {total} steps; the same call goes on from there"
    )]
    Interrupted {
        /// Steps done.
        step: usize,
        /// Steps of the whole run.
        total: usize,
    },
    /// A checkpoint could not be read or written.
    #[error("cannot access the checkpoint `{path}`")]
    CheckpointAccess {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A checkpoint is damaged.
    #[error("the checkpoint `{path}` is damaged: {reason}; remove it to start again")]
    CheckpointDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint belongs to another plan, data or initial weights.
    #[error(
        "the checkpoint `{path}` belongs to a run with other data or another plan; remove it to start again"
    )]
    CheckpointMismatch {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint was made in another precision, which a plan of `auto` becomes on another processor.
    #[error(
        "the checkpoint `{path}` was made in {found} and this run computes in {expected}\nhint: go on where {found} is \
         used, or remove the checkpoint to start again"
    )]
    CheckpointPrecision {
        /// The file.
        path: PathBuf,
        /// What it was made in.
        found: Precision,
        /// What this run uses.
        expected: Precision,
    },
    /// The plan's precision is not to be had on this processor.
    #[error("the training plan's `precision` cannot be used here")]
    Precision(#[source] DecodeError),
    /// This program was built without what the plan's device needs.
    #[error(
        "this program cannot train on `{device}`: it was built without it\nhint: build it with `--features {device}`, or \
         train on `cpu`"
    )]
    DeviceFeature {
        /// The device.
        device: TrainDevice,
    },
    /// The plan's device is not there.
    #[error(
        "cannot use the device `{device}`: {reason}\nhint: train on `cpu`, or where there is one"
    )]
    Device {
        /// The device.
        device: TrainDevice,
        /// What its driver says.
        reason: String,
    },
    /// The training thread could not be started.
    #[error("cannot start the training thread")]
    Thread(#[source] std::io::Error),
    /// The training thread panicked: a defect of this program.
    #[error("the training thread panicked: {0}")]
    Panicked(String),
    /// The shape is no possible decoder.
    #[error("the student's shape is not possible")]
    Shape(#[source] ModelError),
    /// A tensor operation failed.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}
