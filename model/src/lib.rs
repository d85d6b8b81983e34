//! The decoder that the local teacher and the student share.

mod atomic_file;
pub mod bench;
mod block_tensor;
pub mod chat_template;
pub mod config;
pub mod decoder;
pub mod differentiable;
pub mod error;
pub mod generate;
pub mod gguf;
pub mod hugging_face;
mod kernels;
mod mapped_file;
mod model_files;
pub mod optimizer;
mod precision;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tokenizer;
pub mod weights;

pub use block_tensor::{BlockFormat, BlockTensor};
pub use chat_template::{ChatMessage, ChatTemplate};
pub use config::ModelConfig;
pub use decoder::{DecodeError, Decoder, Prefix};
pub use error::ModelError;
pub use generate::{
    Batcher, FinishReason, GeneratedToken, Output, OutputResult, Request, Sampling, Task,
    text_before_stop,
};
pub use gguf::{GgufDescription, GgufFile, GgufKind, MetadataArray, MetadataValue, write_gguf};
pub use hugging_face::{
    SafetensorsFile, write_described_folder, write_hugging_face_folder, write_safetensors,
};
pub use kernels::allocator::{Allocator, FreedMemoryKept};
pub use kernels::candle_threads::keep_candle_on_one_thread;
pub use kernels::simd::{InstructionSetError, use_instruction_set};
pub use model_files::ModelFiles;
pub use precision::Precision;
pub use tokenizer::{PreTokenizer, Tokenizer, TokenizerParts};
pub use weights::{WeightMap, WeightSource, WeightTensor};
