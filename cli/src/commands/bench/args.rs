//! Arguments of `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use limbeck_model::Precision;
use limbeck_student::train::{Part, TrainDevice};

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The commands of `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Prompt processing and decoding of a model, in tokens a second
    #[command(after_help = "Example:\n  limbeck bench decode model.gguf --sequences 32")]
    Decode(BenchDecodeArgs),
    /// A model that answers requests and does nothing else: requests a second and memory
    #[command(
        after_help = "Example:\n  limbeck bench requests runs/support-sentiment/student --requests requests.jsonl --choice positive --choice negative"
    )]
    Requests(BenchRequestsArgs),
    /// The training step on generated weights and texts: tokens a second, memory and the loss of each step
    #[command(
        after_help = "Example:\n  limbeck bench train --width 256 --layers 6 --heads 4 --ffn 704 --vocab 8192 --batch 8 --sequence 256"
    )]
    Train(BenchTrainArgs),
    /// The ledger of a store: records appended, proven and audited
    #[command(after_help = "Example:\n  limbeck bench ledger --entries 1000000 --json")]
    Ledger(BenchLedgerArgs),
}

/// Arguments of `bench decode`.
#[derive(Debug, Args)]
pub struct BenchDecodeArgs {
    /// A GGUF file or a Hugging Face folder
    pub model: PathBuf,
    /// Sequences decoded at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sequences: u16,
    /// Tokens of each prompt
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub prompt: u16,
    /// Tokens decoded after it
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..))]
    pub new: u16,
    /// What matrices are multiplied in; `auto` is bf16 where the processor has it, else with AVX2 or NEON `integer` for
    /// weights in blocks of integers, else f32
    #[arg(long, value_enum, default_value_t = DecodePrecisionChoice::Auto)]
    pub precision: DecodePrecisionChoice,
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bench train`.
#[derive(Debug, Args)]
pub struct BenchTrainArgs {
    /// Width of the residual stream
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=16_384))]
    pub width: u32,
    /// Transformer blocks
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub layers: u32,
    /// Attention heads; the width divides into as many, each of an even number of channels
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub heads: u32,
    /// Inner width of the feed-forward
    #[arg(long, default_value_t = 704, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub ffn: u32,
    /// Tokens of the vocabulary
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(2..=1_048_576))]
    pub vocab: u32,
    /// Texts of one step
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Tokens of each text
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(4..=65_536))]
    pub sequence: u32,
    /// Steps that are timed, after two that are not
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
    /// What matrices are multiplied in; `auto` is bf16 where the processor has it, and `bf16` is emulated where it has not
    #[arg(long, value_enum, default_value_t = PrecisionChoice::Auto)]
    pub precision: PrecisionChoice,
    /// Where to train; `cuda` and `metal` need a build with the feature of that name, and `auto` is the one of them that
    /// is there, else `cpu`
    #[arg(long, value_enum, default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// Compute activations again on the way back rather than keep them
    #[arg(long)]
    pub recompute: bool,
    /// Parts that stay as they are: `embeddings` (tied to the head), `layers`, or one layer such as `layers.0`; several
    /// with commas between them
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub freeze: Vec<Part>,
    /// Seed of the weights and the texts
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// JSON instead of a table, with the loss of every step
    #[arg(long)]
    pub json: bool,
}

/// A [`Precision`] of decoding on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DecodePrecisionChoice {
    Auto,
    F32,
    Bf16,
    Integer,
}

impl From<DecodePrecisionChoice> for Precision {
    fn from(choice: DecodePrecisionChoice) -> Self {
        match choice {
            DecodePrecisionChoice::Auto => Self::Auto,
            DecodePrecisionChoice::F32 => Self::F32,
            DecodePrecisionChoice::Bf16 => Self::Bf16,
            DecodePrecisionChoice::Integer => Self::Integer,
        }
    }
}

/// A [`Precision`] of training on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrecisionChoice {
    Auto,
    F32,
    Bf16,
}

impl From<PrecisionChoice> for Precision {
    fn from(choice: PrecisionChoice) -> Self {
        match choice {
            PrecisionChoice::Auto => Self::Auto,
            PrecisionChoice::F32 => Self::F32,
            PrecisionChoice::Bf16 => Self::Bf16,
        }
    }
}

/// A [`TrainDevice`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DeviceChoice {
    Cpu,
    Cuda,
    Metal,
    Auto,
}

impl From<DeviceChoice> for TrainDevice {
    fn from(choice: DeviceChoice) -> Self {
        match choice {
            DeviceChoice::Cpu => Self::Cpu,
            DeviceChoice::Cuda => Self::Cuda,
            DeviceChoice::Metal => Self::Metal,
            DeviceChoice::Auto => Self::Auto,
        }
    }
}

/// Arguments of `bench ledger`.
#[derive(Debug, Args)]
pub struct BenchLedgerArgs {
    /// Records in all; the store is made in the folder for temporary files and goes away
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(2..))]
    pub entries: u64,
    /// JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bench requests`.
#[derive(Debug, Args)]
pub struct BenchRequestsArgs {
    /// A GGUF file or a Hugging Face folder
    pub model: PathBuf,
    /// JSON lines, each with an `input` that is rendered by the model's chat template
    #[arg(long, value_name = "FILE")]
    pub requests: PathBuf,
    /// One of the answers to choose from; without any, answers are written
    #[arg(long, value_name = "TEXT")]
    pub choice: Vec<String>,
    /// The most tokens of an answer that is written
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_tokens: u16,
    /// Requests answered at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrent: u16,
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
}
