//! GGUF, the file format of llama.cpp: our own reader and writer.
//!
//! The reader takes nothing on trust: every count and length is checked against the bytes that are left before
//! anything is allocated, so a hostile file ends in an error and not in an abort. Weights pass through candle's block
//! formats and leave in Hugging Face's names and layout.

mod cursor;
mod kind;
mod names;
mod read;
mod rotary;
mod value;

pub use kind::GgufKind;
pub use read::{GgufFile, TensorInfo};
pub use value::{MetadataArray, MetadataValue};
