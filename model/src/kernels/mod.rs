//! The inner loops: matrix products, attention and row operations over plain f32 slices.
//!
//! One binary serves every processor: each kernel is compiled for several instruction sets and picks one at run time.
//! The order in which the terms of an output element are added depends only on the shapes of the weights, never on how
//! many rows are computed together, so an answer does not change with the company it is computed in.
//!
//! - [`simd`]: instruction sets and the vector type that the f32 tile is written over
//! - [`tile`]: the small f32 product that matrices and attention share
//! - [`bf16`]: the same product over bfloat16 pairs, where the processor has dot products for them
//! - [`quantised`]: products with weights in blocks of small integers, as quantised files hold them
//! - [`matrix`]: packed weights of a linear layer, in the layout of one of these
//! - [`product`]: products of the training step, whose both sides are new each time
//! - [`attention`]: one tile of queries against blocks of keys and values
//! - [`document_attention`]: attention over whole documents for training, both ways
//! - [`rows`]: norms, activations, softmax statistics; [`row_gradients`]: the ways back through them
//! - [`optimizer`]: the update of a parameter
//! - [`fill`]: new buffers that parallel tasks fill; [`allocator`]: where they are from, and what becomes of
//!   old ones
//! - [`candle_threads`]: what candle may take of the processor
//! - [`softmax`]: the passes over a row of logits that the training loss takes
//! - [`rotary`]: rotary positions

pub(crate) mod allocator;
pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
pub(crate) mod bf16;
pub(crate) mod candle_threads;
pub(crate) mod document_attention;
pub(crate) mod fill;
pub(crate) mod matrix;
pub(crate) mod optimizer;
pub(crate) mod product;
pub(crate) mod quantised;
pub(crate) mod rotary;
pub(crate) mod row_gradients;
pub(crate) mod rows;
pub(crate) mod simd;
pub(crate) mod softmax;
pub(crate) mod tile;
