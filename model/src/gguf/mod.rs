//! GGUF, the file format of llama.cpp: our own reader and writer.
//!
//! The reader takes nothing on trust: every count and length is checked against the bytes that are left before
//! anything is allocated, so a hostile file ends in an error and not in an abort. Weights pass through candle's block
//! formats and leave in Hugging Face's names and layout.

mod cursor;
mod header;
mod kind;
mod metadata;
mod names;
mod read;
mod rotary;
mod value;
mod write;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

pub use header::TensorInfo;
pub use kind::GgufKind;
pub use read::GgufFile;
pub use value::{MetadataArray, MetadataValue};
pub use write::{GgufDescription, write_gguf};
