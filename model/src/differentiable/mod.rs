//! Fused tensor operations with true backward passes, for training.
//!
//! candle's composed operations allocate and walk memory once per elementary step, and several of its fused ones cut
//! the gradient without a word. The operations here do one pass each way over contiguous rows, on the processor, in
//! f32. Rows are independent documents' tokens: `[tokens, width]`, nothing is padded.
//!
//! Results are the same bits each time: work is divided over outputs, and where many rows add into one output the
//! partial sums are formed over fixed blocks and added in order.
//!
//! - [`linear`], [`linear_add`]: matrix products, with or without a residual
//! - [`rms_norm`], [`swiglu`], [`select_rows`]: what stands between them
//! - [`Attention`]: rotary positions and causal attention inside documents
//! - [`head_loss`]: output head and sparse-target loss, without keeping the logits
//! - [`dropout`]: seeded dropout
//! - [`embed`]: a table of parameters that is looked up in
//! - [`composed`]: the same out of candle's own operations, for other devices than the processor
//!
//! Any of them can be put together with candle's own operations. What a model spends its time in is one operation of
//! its own, [`layers`], over layers that go both ways on plain slices ([`Layer`]) and write the gradients of their weights
//! to [`Gradients`]; [`TransformerBlock`] is one. They decide what they keep between the two ways.

mod access;
mod attention;
mod block;
pub mod composed;
mod dropout;
mod gradients;
mod head_loss;
mod layers;
mod linear;
mod rms_norm;
mod select_rows;
mod swiglu;
#[cfg(test)]
mod test_support;

pub use attention::{Attention, AttentionShape, Rotary};
pub use block::{BlockDropout, BlockWeights, TransformerBlock};
pub use dropout::dropout;
pub use gradients::Gradients;
pub use head_loss::{HeadTarget, TargetTerm, head_loss, head_losses};
pub use layers::{Kept, Layer, Retention, layers};
pub use linear::{linear, linear_add};
pub use rms_norm::rms_norm;
pub use select_rows::{embed, select_rows};
pub use swiglu::swiglu;
