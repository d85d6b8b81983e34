//! Everything that learns: a teacher's answers go in, a small dense model comes out, judged and exported.
//!
//! - [`example`]: what the student is shown and what it should answer
//! - [`vocabulary`]: the teacher's tokenizer cut down to a pool of texts, or one trained on the pool
//! - [`embeddings`]: starting embeddings projected from the teacher's
//! - [`packing`]: documents of many lengths in rows of one length
//! - [`train`]: the differentiable decoder, objectives, the optimizer, the loop, checkpoints
//! - [`evaluate`]: metrics, intervals, floors
//! - [`mod@export`]: files for devices, checked after writing
//!
//! Invariants: nothing here awaits, prints or reads the environment. The same plan, data and seed give the same
//! weights bit for bit. The loss covers the answer and its end token, never the input unless the plan asks for it.

pub mod embeddings;
pub mod evaluate;
pub mod example;
pub mod export;
pub mod packing;
pub mod train;
pub mod vocabulary;

pub use example::{Example, STUDENT_CHAT_TEMPLATE, Target, TeacherToken};
pub use train::{InitialWeights, TrainData, TrainPlan, Trained, train};
