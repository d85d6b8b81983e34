//! Training a student: a dense Llama-shaped decoder on the answers of a teacher.
//!
//! - [`plan`]: what is decided beforehand; [`report`]: what is told; [`error`]: what goes wrong
//! - `corpus`, `document`, `labels`, `candidates`: examples as tokens and targets
//! - `batch`, `timeline`: which documents each step sees
//! - `parameters`, `freeze`, `device`, `decoder`: the differentiable model, what of it stays as it was, and where it is
//! - `step`, `optimizer`, `held_out`, `checkpoint`, `session`: the loop
//! - [`bench`]: the step alone, measured
//!
//! A run is a function of plan, data, initial weights: the same give the same numbers bit for bit, also across an
//! interruption.

mod batch;
pub mod bench;
mod candidates;
mod checkpoint;
mod corpus;
mod decoder;
mod device;
mod document;
pub mod error;
mod freeze;
mod held_out;
mod labels;
mod optimizer;
mod parameters;
pub mod plan;
pub mod report;
mod session;
mod step;
mod timeline;

#[cfg(test)]
mod tests;

use std::path::Path;

use limbeck_model::{ModelConfig, Tokenizer, WeightMap, WeightTensor};
use tokio_util::sync::CancellationToken;

pub use device::TrainDevice;
pub use error::TrainError;
pub use freeze::{Part, UnknownPart};
pub use plan::{Objective, Shape, TrainPlan};
pub use report::{CurvePoint, Skipped, StepReport, TrainReport, TrainReporter, Trained};

use crate::example::Example;
use corpus::Corpus;
use session::Session;

/// Stack of a training thread: candle walks the graph of a step by recursion.
const STACK_BYTES: usize = 256 << 20;

/// What a student learns from.
#[derive(Clone, Copy, Debug)]
pub struct TrainData<'a> {
    /// The student's tokenizer, with the control tokens of the student's template.
    pub tokenizer: &'a Tokenizer,
    /// For each of its ids the teacher's, where it was cut from the teacher's: without it, the teacher's candidates
    /// cannot be used.
    pub teacher_ids: Option<&'a [u32]>,
    /// What to learn.
    pub examples: &'a [Example],
}

/// Where the weights start.
#[derive(Clone, Debug)]
pub enum InitialWeights {
    /// Everything at random.
    Random,
    /// An embedding table of `[vocabulary, width]`, the rest at random.
    Embeddings(WeightTensor),
    /// All weights, by Hugging Face name.
    Weights(WeightMap),
}

/// Trains a student.
///
/// `workdir` holds the checkpoint; where one of the same run is there, training goes on from it. A cancelled run
/// saves its state and returns [`TrainError::Interrupted`].
pub fn train(
    plan: &TrainPlan,
    data: &TrainData<'_>,
    initial: &InitialWeights,
    workdir: &Path,
    reporter: &mut dyn TrainReporter,
    cancel: &CancellationToken,
) -> Result<Trained, TrainError> {
    plan.validate()?;
    // From here on the plan says what is used, in the checkpoint's fingerprint as well.
    let plan = &plan.resolved()?;
    let run = || {
        let corpus = Corpus::new(plan, data)?;
        let config = config(plan, data.tokenizer.vocab_size())?;
        let fingerprint = checkpoint::fingerprint(plan, data, initial);
        Session::new(plan, config, corpus, initial, workdir, fingerprint)?.run(reporter, cancel)
    };
    on_training_thread(run)
}

/// The student that would be trained, with its weights as they start: the floor that training should leave behind.
pub fn untrained(
    plan: &TrainPlan,
    tokenizer: &Tokenizer,
    initial: &InitialWeights,
) -> Result<(ModelConfig, WeightMap), TrainError> {
    plan.validate()?;
    let config = config(plan, tokenizer.vocab_size())?;
    let weights = parameters::initial_weights(&config, initial, plan.seed)?;
    Ok((config, weights))
}

/// Runs `work` on a thread of a pool of its own, with stacks that are deep enough for a step, and with memory that is
/// kept from one step to the next.
///
/// The thread takes its part in what it starts. Outside of the pool it would sleep through every parallel operation, and
/// that two threads wake each other a thousand times a step costs a good part of it.
fn on_training_thread<T: Send>(
    work: impl FnOnce() -> Result<T, TrainError> + Send,
) -> Result<T, TrainError> {
    let _kept = limbeck_model::FreedMemoryKept::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|_| "training".to_owned())
        .stack_size(STACK_BYTES)
        .build()
        .map_err(|error| TrainError::Thread(std::io::Error::other(error)))?;
    // What it works on is given up where it panics.
    let work = std::panic::AssertUnwindSafe(|| pool.install(work));
    std::panic::catch_unwind(work).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(TrainError::Panicked(
            text.unwrap_or("no message").to_owned(),
        ))
    })
}

fn config(plan: &TrainPlan, vocab_size: usize) -> Result<ModelConfig, TrainError> {
    let shape = &plan.shape;
    let config = ModelConfig {
        vocab_size,
        width: shape.width,
        layers: shape.layers,
        heads: shape.heads,
        key_value_heads: shape.key_value_heads.unwrap_or(shape.heads),
        head_dim: shape.width / shape.heads,
        feed_forward: shape.ffn,
        context_length: shape.context,
        rope_base: 10_000.0,
        rms_norm_epsilon: 1e-5,
        tied_embeddings: shape.tied,
    };
    config.validate().map_err(TrainError::Shape)?;
    Ok(config)
}
