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
//! - [`recomputed`]: parts whose activations are computed again rather than kept

mod access;
mod attention;
mod composed;
mod dropout;
mod head_loss;
mod linear;
mod recompute;
mod rms_norm;
mod select_rows;
mod swiglu;
#[cfg(test)]
mod test_support;

pub use access::with_values;
pub use attention::{Attention, AttentionShape, Rotary};
pub use dropout::dropout;
pub use head_loss::{HeadTarget, TargetTerm, head_loss, head_losses};
pub use linear::{linear, linear_add};
pub use recompute::{CapturedGradients, recomputed};
pub use rms_norm::rms_norm;
pub use select_rows::select_rows;
pub use swiglu::swiglu;
