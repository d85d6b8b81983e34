//! Everything that decides how a student is trained.

use limbeck_model::Precision;
use serde::{Deserialize, Serialize};

use super::{Part, TrainDevice, TrainError};

/// The plan of one training run. Two runs with equal plans, data and initial weights give the same numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainPlan {
    /// The student's shape.
    pub shape: Shape,
    /// How often each example is seen; need not be whole.
    pub epochs: f32,
    /// Epochs of next-token prediction over inputs (and answers that are texts) before the objective. They have a
    /// learning-rate schedule of their own.
    pub warm_up_epochs: f32,
    /// Tokens of one optimizer step, about: whole rows of `shape.context` tokens are taken, one at least.
    pub batch_tokens: usize,
    /// Tokens that go through the model together, about: whole documents are taken, one at least. The gradients of a
    /// step's passes are added up, which needs the memory of one pass rather than that of a step; nothing else
    /// changes but the order of additions. All of a step at once where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_tokens: Option<usize>,
    /// Compute the activations of each block again on the way back rather than keep them: less memory, more time, the
    /// same bits.
    #[serde(skip_serializing)]
    pub recompute: bool,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Share of the steps over which the learning rate climbs to its peak.
    pub learning_rate_warm_up: f32,
    /// The learning rate that the cosine falls to, as a share of the peak.
    pub final_learning_rate: f64,
    /// Decoupled weight decay of matrices; embeddings and norms have none.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; larger ones are scaled down to it.
    pub clip: f64,
    /// Seed of initial weights, order, dropout.
    pub seed: u64,
    /// What is minimised.
    pub objective: Objective,
    /// Weight of next-token prediction over the input beside the objective; 0 for none.
    pub input_loss: f32,
    /// Share of channels dropped after the embedding and in every residual branch.
    pub dropout: f32,
    /// Share of input tokens that are replaced by random ones, drawn anew each epoch.
    pub token_dropout: f32,
    /// Share of the examples, by hash of their id, that are kept out of training to judge it.
    pub held_out: f32,
    /// Evaluations on the held-out examples per epoch.
    pub evaluations_per_epoch: u32,
    /// Return the weights with the best held-out loss rather than the last ones.
    pub keep_best: bool,
    /// Stop after this many evaluations in a row without a better held-out loss.
    pub patience: Option<u32>,
    /// Share of the steps, counted from the end, whose weights are averaged into the returned ones; 0 for none.
    /// Held-out losses of those steps are of the average.
    pub average_last: f32,
    /// Steps between checkpoints; 0 for none.
    pub checkpoint_every: usize,
    /// In what numbers products are computed; weights, sums, gradients and moments are f32 always. A run may differ
    /// from one of another precision in every bit.
    pub precision: Precision,
    /// What stays as it was initialised. No gradient of it is computed, it has no moments and no part in the norm that is
    /// clipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Part>,
    /// Where it is trained. Runs on different devices may differ in every bit.
    #[serde(skip_serializing_if = "TrainDevice::is_cpu")]
    pub device: TrainDevice,
}

impl TrainPlan {
    /// The plan with the device that this machine has for it, and the precision that is made of it there.
    pub(super) fn resolved(&self) -> Result<Self, TrainError> {
        let device = self.device.resolve()?;
        let precision = match self.precision {
            Precision::Auto if !device.is_cpu() => Precision::F32,
            asked => asked.for_training().map_err(TrainError::Precision)?,
        };
        Ok(Self {
            precision,
            device,
            ..self.clone()
        })
    }

    /// Refuses values that cannot be trained with.
    pub fn validate(&self) -> Result<(), TrainError> {
        let share = |value: f32| (0.0..1.0).contains(&value);
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let Objective {
            cross_entropy,
            forward_kl,
        } = self.objective;
        let weights = not_negative(cross_entropy.into()) && not_negative(forward_kl.into());
        let rules = [
            (self.shape.width > 0, "shape.width", "one or more"),
            (self.shape.heads > 0, "shape.heads", "one or more"),
            (
                self.shape.width.is_multiple_of(self.shape.heads.max(1)),
                "shape.heads",
                "a divisor of `shape.width`",
            ),
            (self.shape.context >= 4, "shape.context", "4 or more"),
            (positive(self.epochs.into()), "epochs", "more than 0"),
            (
                not_negative(self.warm_up_epochs.into()),
                "warm_up_epochs",
                "0 or more",
            ),
            (self.batch_tokens > 0, "batch_tokens", "one or more"),
            (self.pass_tokens != Some(0), "pass_tokens", "one or more"),
            (positive(self.learning_rate), "learning_rate", "more than 0"),
            (
                share(self.learning_rate_warm_up),
                "learning_rate_warm_up",
                "from 0 to below 1",
            ),
            (
                (0.0..=1.0).contains(&self.final_learning_rate),
                "final_learning_rate",
                "from 0 to 1",
            ),
            (not_negative(self.weight_decay), "weight_decay", "0 or more"),
            (positive(self.clip), "clip", "more than 0"),
            (
                weights && cross_entropy + forward_kl > 0.0,
                "objective",
                "weights of 0 or more that are not all 0",
            ),
            (
                not_negative(self.input_loss.into()),
                "input_loss",
                "0 or more",
            ),
            (share(self.dropout), "dropout", "from 0 to below 1"),
            (
                share(self.token_dropout),
                "token_dropout",
                "from 0 to below 1",
            ),
            (share(self.held_out), "held_out", "from 0 to below 1"),
            (
                self.evaluations_per_epoch > 0,
                "evaluations_per_epoch",
                "one or more",
            ),
            (
                share(self.average_last),
                "average_last",
                "from 0 to below 1",
            ),
            (
                self.device.is_cpu() || self.precision != Precision::Bf16,
                "precision",
                "`auto` or `f32` where `device` is not `cpu`",
            ),
            (
                self.device.is_cpu() || !self.recompute,
                "recompute",
                "`false` where `device` is not `cpu`",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            None => Part::check(&self.freeze, &self.shape),
            Some((_, field, expected)) => Err(TrainError::Plan { field, expected }),
        }
    }
}

impl Default for TrainPlan {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            epochs: 8.0,
            warm_up_epochs: 0.0,
            batch_tokens: 4096,
            pass_tokens: None,
            recompute: false,
            learning_rate: 1e-3,
            learning_rate_warm_up: 0.05,
            final_learning_rate: 0.05,
            weight_decay: 0.01,
            clip: 1.0,
            seed: 1,
            objective: Objective::default(),
            input_loss: 0.0,
            dropout: 0.0,
            token_dropout: 0.0,
            held_out: 0.05,
            evaluations_per_epoch: 2,
            keep_best: true,
            patience: None,
            average_last: 0.0,
            checkpoint_every: 200,
            precision: Precision::Auto,
            freeze: Vec::new(),
            device: TrainDevice::Cpu,
        }
    }
}

/// The dimensions of a student.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads; divides `width`.
    pub heads: usize,
    /// Key and value heads; as many as query heads where not given.
    pub key_value_heads: Option<usize>,
    /// Inner width of the feed-forward.
    pub ffn: usize,
    /// Longest sequence in tokens.
    pub context: usize,
    /// The output head is the embedding table.
    pub tied: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            layers: 2,
            width: 128,
            heads: 4,
            key_value_heads: None,
            ffn: 256,
            context: 128,
            tied: true,
        }
    }
}

/// Weights of the parts of the loss on the answer.
///
/// For labels, cross-entropy is to the teacher's most probable choice and forward KL to its distribution. For texts,
/// cross-entropy is to the text's own tokens and forward KL to the teacher's top candidates with the rest of its mass
/// in one bucket; where no candidates are known, the token itself stands for the distribution, so that both weights
/// are cross-entropy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Weight of the cross-entropy.
    #[serde(default)]
    pub cross_entropy: f32,
    /// Weight of the KL divergence from the teacher's distribution to the student's.
    #[serde(default)]
    pub forward_kl: f32,
}

impl Default for Objective {
    /// The teacher's distribution alone, where no objective is given at all.
    fn default() -> Self {
        Self {
            cross_entropy: 0.0,
            forward_kl: 1.0,
        }
    }
}
