//! The decoder that the local teacher and the student share.

pub mod config;
pub mod error;
pub mod weights;

pub use config::ModelConfig;
pub use error::ModelError;
pub use weights::{WeightMap, WeightSource, WeightTensor};
