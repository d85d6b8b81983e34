//! `[curate]`, `[student]` and `[train]`: what is learnt from, by what, and how.

use limbeck_model::Precision;
use limbeck_store::{Check, PriorCorrection};
use limbeck_student::train::{Objective, Part, Shape, TrainDevice, TrainPlan};
use serde::{Deserialize, Serialize};

/// `[curate]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurateSection {
    /// Whether the teacher's leaning to some answers is taken out of label probabilities.
    pub prior_correction: PriorCorrection,
    /// The checks, in the order in which they judge.
    pub check: Vec<Check>,
}

/// `[student]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentSection {
    /// What the weights start from.
    #[serde(default)]
    pub init: Init,
    /// How text becomes tokens.
    pub tokenizer: TokenizerChoice,
    /// The size of the model.
    pub shape: ShapeSection,
}

impl StudentSection {
    /// The teachers whose tokenizer or weights it takes.
    pub fn teachers(&self) -> impl Iterator<Item = &str> {
        let tokenizer = match &self.tokenizer {
            TokenizerChoice::Trim(name) => Some(name.as_str()),
            TokenizerChoice::TrainBpe(_) => None,
        };
        let embeddings = match &self.init {
            Init::Embeddings(name) => Some(name.as_str()),
            Init::Scratch => None,
        };
        tokenizer.into_iter().chain(embeddings)
    }
}

/// `init` of `[student]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Random weights.
    #[default]
    Scratch,
    /// Random weights, but for embeddings that are projected from those of the teacher of this name.
    Embeddings(String),
}

/// `tokenizer` of `[student]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerChoice {
    /// That of the teacher of this name, cut to what the texts use.
    Trim(String),
    /// A byte-level BPE of so many tokens, trained on the texts.
    TrainBpe(u32),
}

/// `shape` of `[student]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeSection {
    /// Transformer blocks.
    pub layers: u32,
    /// Width of the residual stream; a multiple of `heads`.
    pub width: u32,
    /// Attention heads of the queries.
    pub heads: u32,
    /// Attention heads of keys and values, a divisor of `heads`; as many as `heads` if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<u32>,
    /// Width inside the feed-forward networks.
    pub ffn: u32,
    /// The most tokens of one text, answer included.
    pub context: u32,
    /// Whether the output head shares the embeddings' weights.
    #[serde(default = "tied")]
    pub tied: bool,
}

impl ShapeSection {
    pub(super) fn to_shape(&self) -> Shape {
        Shape {
            layers: self.layers as usize,
            width: self.width as usize,
            heads: self.heads as usize,
            key_value_heads: self.key_value_heads.map(|heads| heads as usize),
            ffn: self.ffn as usize,
            context: self.context as usize,
            tied: self.tied,
        }
    }
}

fn tied() -> bool {
    true
}

/// `[train]`. What is not given is left to the trainer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// The parts of the loss and their weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Passes over the dataset; need not be whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f32>,
    /// Passes of plain next-token prediction before that, to learn the language of the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_epochs: Option<f32>,
    /// Tokens of one step, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<usize>,
    /// Tokens that go through the student together, about, where a whole step would need too much memory. The mean
    /// over a step's supervised tokens stays what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_tokens: Option<usize>,
    /// Whether activations are computed a second time rather than kept: less memory, about a quarter more time, the
    /// same student. Not a part of what a stage is known by.
    #[serde(default, skip_serializing)]
    pub recompute: Option<bool>,
    /// The highest learning rate of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Share of the steps in which the learning rate climbs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate_warm_up: Option<f32>,
    /// What the learning rate falls to, as a share of the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_learning_rate: Option<f64>,
    /// `AdamW`'s decay of matrices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// The greatest norm of a step's gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Another seed gives other first weights and another order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Weight of next-token prediction over the input beside the objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_loss: Option<f32>,
    /// Share of channels dropped in every block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f32>,
    /// Share of input tokens that are replaced by random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_dropout: Option<f32>,
    /// Share of the dataset that is kept out of training, to judge it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f32>,
    /// How often an epoch is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations_per_epoch: Option<u32>,
    /// Whether the weights with the least held-out loss are taken rather than the last ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_best: Option<bool>,
    /// Stop after so many judgements in a row without a lower held-out loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Share of the last steps whose weights are averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_last: Option<f32>,
    /// Steps between checkpoints; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<usize>,
    /// In what numbers matrices are multiplied: `f32`, `bf16` (no faster than f32 on a processor without it), or `auto`
    /// for bf16 where the processor has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Parts of the student that stay as they were initialised: `embeddings` (and with them a tied head), `head`,
    /// `layers`, or one layer such as `layers.0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Part>,
    /// Where the student is trained: `cpu`; `cuda` or `metal` in a build with the feature of that name; `auto` for the
    /// one of these that is there, else `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<TrainDevice>,
}

impl TrainSection {
    /// The plan for a student of `shape`: what is given here, and the trainer's own choice of the rest.
    pub fn plan(&self, shape: &ShapeSection) -> TrainPlan {
        let rest = TrainPlan::default();
        TrainPlan {
            shape: shape.to_shape(),
            objective: self.objective.clone().unwrap_or(rest.objective),
            epochs: self.epochs.unwrap_or(rest.epochs),
            warm_up_epochs: self.warm_up_epochs.unwrap_or(rest.warm_up_epochs),
            batch_tokens: self.batch_tokens.unwrap_or(rest.batch_tokens),
            pass_tokens: self.pass_tokens.or(rest.pass_tokens),
            recompute: self.recompute.unwrap_or(rest.recompute),
            learning_rate: self.learning_rate.unwrap_or(rest.learning_rate),
            learning_rate_warm_up: self
                .learning_rate_warm_up
                .unwrap_or(rest.learning_rate_warm_up),
            final_learning_rate: self.final_learning_rate.unwrap_or(rest.final_learning_rate),
            weight_decay: self.weight_decay.unwrap_or(rest.weight_decay),
            clip: self.clip.unwrap_or(rest.clip),
            seed: self.seed.unwrap_or(rest.seed),
            input_loss: self.input_loss.unwrap_or(rest.input_loss),
            dropout: self.dropout.unwrap_or(rest.dropout),
            token_dropout: self.token_dropout.unwrap_or(rest.token_dropout),
            held_out: self.held_out.unwrap_or(rest.held_out),
            evaluations_per_epoch: self
                .evaluations_per_epoch
                .unwrap_or(rest.evaluations_per_epoch),
            keep_best: self.keep_best.unwrap_or(rest.keep_best),
            patience: self.patience.or(rest.patience),
            average_last: self.average_last.unwrap_or(rest.average_last),
            checkpoint_every: self.checkpoint_every.unwrap_or(rest.checkpoint_every),
            precision: self.precision.unwrap_or(rest.precision),
            freeze: self.freeze.clone(),
            device: self.device.unwrap_or(rest.device),
        }
    }
}
