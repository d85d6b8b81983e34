//! What a training run tells, while it runs and at its end.

use limbeck_model::{ModelConfig, Precision, WeightMap};
use serde::{Deserialize, Serialize};

use super::TrainDevice;

/// Hears of every step, on the training thread.
pub trait TrainReporter: Send {
    /// One optimizer step was made.
    fn step(&mut self, report: &StepReport);
}

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: usize,
    /// Steps of the whole run.
    pub total: usize,
    /// The step's loss, in nats per supervised token (each part weighted as in the plan).
    pub loss: f32,
    /// The learning rate that was used.
    pub learning_rate: f64,
    /// Tokens seen since the start of the run.
    pub tokens: u64,
    /// Tokens a second since this process took up the run.
    pub tokens_per_second: f64,
    /// Loss on the held-out examples, where this step ended with an evaluation.
    pub held_out: Option<f32>,
}

/// A student and how it came about.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The shape.
    pub config: ModelConfig,
    /// The weights, by Hugging Face name.
    pub weights: WeightMap,
    /// How training went.
    pub report: TrainReport,
}

/// How training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Numbers of the student, frozen ones included.
    pub parameters: usize,
    /// Tokens seen, repetitions included.
    pub tokens: u64,
    /// Tokens a second over the whole run, evaluations included.
    pub tokens_per_second: f64,
    /// Time taken, interruptions not counted.
    pub seconds: f64,
    /// Mean training loss since the curve's point before the last.
    pub final_loss: f32,
    /// Steps made.
    pub steps: usize,
    /// Examples that were trained on.
    pub examples: usize,
    /// Examples that were held out.
    pub held_out_examples: usize,
    /// Examples that were refused.
    pub skipped: Skipped,
    /// Examples whose objective asked for the teacher's candidates where none are known: their own tokens stood in.
    pub without_candidates: usize,
    /// The losses on the way.
    pub curve: Vec<CurvePoint>,
    /// The step whose weights were returned.
    pub best_step: usize,
    /// Held-out loss of the returned weights.
    pub best_held_out: Option<f32>,
    /// Share of held-out label examples where the returned weights agree with the teacher's most probable choice.
    pub best_agreement: Option<f32>,
    /// Training ended before its last step because the held-out loss stopped falling.
    pub stopped_early: bool,
    /// What products were computed in, never [`Precision::Auto`].
    #[serde(default = "before_precisions")]
    pub precision: Precision,
    /// Where it was trained, never [`TrainDevice::Auto`].
    #[serde(default, skip_serializing_if = "TrainDevice::is_cpu")]
    pub device: TrainDevice,
}

/// Reports of before there was a choice do not say that they are of f32.
fn before_precisions() -> Precision {
    Precision::F32
}

/// Examples that were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Input, answer and marks have more tokens than the context.
    pub too_long: usize,
    /// Nothing is supervised: the answer has no tokens, or no probability.
    pub without_answer: usize,
}

/// One point of the loss curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Mean training loss since the point before.
    pub train_loss: f32,
    /// Whether the steps since the point before were language-model warm-up.
    pub warm_up: bool,
    /// Loss on the held-out examples, where this point is an evaluation.
    pub held_out: Option<f32>,
    /// Share of held-out label examples on which student and teacher choose the same.
    pub agreement: Option<f32>,
}
