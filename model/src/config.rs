//! The shape of a Llama-family decoder.

use serde::{Deserialize, Serialize};

/// Everything about a decoder that is not a weight: a dense Llama-shaped transformer with grouped-query attention,
/// rotary positions (rotate-half layout), RMS norm and a SwiGLU feed-forward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream (`hidden_size`).
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub key_value_heads: usize,
    /// Channels of one head; even.
    pub head_dim: usize,
    /// Inner width of the feed-forward (`intermediate_size`).
    pub feed_forward: usize,
    /// Longest sequence in tokens (`max_position_embeddings`).
    pub context_length: usize,
    /// Base of the rotary frequencies (`rope_theta`).
    pub rope_base: f32,
    /// Epsilon of every RMS norm.
    pub rms_norm_epsilon: f32,
    /// The output head is the embedding table.
    pub tied_embeddings: bool,
}
