//! `[curate]`, `[student]` and `[train]`: what is learnt from, by what, and how.

use limbeck_store::{Check, PriorCorrection};
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

fn tied() -> bool {
    true
}

/// `[train]`. What is not given is left to the trainer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// The loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<ObjectiveSection>,
    /// Passes over the dataset; parts of one are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f32>,
    /// Passes over the bare inputs before that, to learn their language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model_epochs: Option<f32>,
    /// Tokens of one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_tokens: Option<u32>,
    /// The highest learning rate of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Share of the steps in which the learning rate rises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<f64>,
    /// `AdamW`'s decay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// The greatest norm of a step's gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Another seed gives other first weights and another order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Share of the dataset that is kept out of training, to watch the loss on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// Steps between checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<u32>,
    /// Whether the weights with the least held-out loss are taken rather than the last ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_best: Option<bool>,
}

/// `objective` of `[train]`: the parts of the loss and their weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSection {
    /// On the teacher's answer.
    #[serde(default)]
    pub cross_entropy: f32,
    /// To the teacher's distribution, over labels or tokens.
    #[serde(default)]
    pub forward_kl: f32,
}
