//! The command line, as clap reads it. Each command's arguments are turned once into what the command needs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::audit::AuditArgs;
use crate::commands::bench::args::BenchArgs;
use crate::commands::chat::ChatArgs;
use crate::commands::sign::SignArgs;
use crate::commands::teachers::TeachersArgs;
use crate::commands::terms::TermsArgs;
use crate::commands::traces::export::ExportArgs;
use crate::commands::traces::import::ImportArgs;
use crate::commands::verify::VerifyArgs;
use crate::progress::ProgressChoice;

/// Distils the answers of a teacher model into a small one that runs on the device.
#[derive(Debug, Parser)]
#[command(
    name = "limbeck",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How progress is shown: bars on a terminal and plain lines elsewhere, unless said otherwise
    #[arg(long, global = true, value_enum, default_value_t = ProgressChoice::Auto)]
    pub progress: ProgressChoice,
    /// Use only what is in the cache or on this machine; a download that would be needed is an error
    #[arg(long, global = true)]
    pub offline: bool,
    /// Where downloads are kept (default: `limbeck` in the user's cache folder)
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LIMBECK_CACHE_DIR",
        hide_env_values = true
    )]
    pub cache_dir: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented recipe that runs as it is
    #[command(after_help = "Example:\n  limbeck init my-task && limbeck run my-task/recipe.toml")]
    Init(InitArgs),
    /// Do everything that a recipe says, from the prompts to the report; what is done already is not done again
    #[command(
        after_help = "Example:\n  limbeck run recipes/support-sentiment/recipe.toml --workdir runs/first"
    )]
    Run(RunArgs),
    /// Ask the teachers and keep the answers
    #[command(
        after_help = "Examples:\n  limbeck harvest recipe.toml --dry-run\n  limbeck harvest recipe.toml --no-wait\n  limbeck harvest recipe.toml --retry-failed policy"
    )]
    Harvest(HarvestArgs),
    /// Judge the answers and choose those that the student learns from
    #[command(after_help = "Example:\n  limbeck curate recipe.toml")]
    Curate(StageArgs),
    /// Train the student
    #[command(after_help = "Example:\n  limbeck train recipe.toml --progress json")]
    Train(StageArgs),
    /// Measure teacher, student and floors on the held-out suites
    #[command(after_help = "Example:\n  limbeck evaluate recipe.toml --json")]
    Evaluate(StageArgs),
    /// Write the student as files for devices, and check each by loading it back
    #[command(after_help = "Example:\n  limbeck export recipe.toml")]
    Export(StageArgs),
    /// Write `report.html` and `report.json` of what is done so far
    #[command(after_help = "Example:\n  limbeck report recipe.toml --json | jq .evaluate")]
    Report(StageArgs),
    /// Look at the teachers of a recipe
    Teachers(TeachersArgs),
    /// What the terms of services and the licences of weights and data say, and what follows for a recipe
    Terms(TermsArgs),
    /// Look at the answers in the store, bring others in by file, or write them to one
    Traces(TracesArgs),
    /// Sign what a recipe declares, waives, clarifies and excepts, with a key of your own
    #[command(
        after_help = "Examples:\n  limbeck keys new --reviewer 'R. Viewer' && limbeck sign recipe.toml\n  limbeck sign recipe.toml --print\n\nExit codes: 0 everything that wants a signature has one; 1 something could not be signed, and is named; 2 an error"
    )]
    Sign(SignArgs),
    /// The keys that sign the ledger's checkpoints, exported models and what persons declare
    Keys(KeysArgs),
    /// Check an exported folder against what goes with it, with nothing else at hand
    #[command(
        after_help = "Examples:\n  limbeck verify runs/support-sentiment/export\n  limbeck verify export --key \"$(cat trusted.key)\" --checkpoint kept-elsewhere.txt\n\nExit codes: 0 all is well; 1 something is wrong, and is named; 2 it could not be told"
    )]
    Verify(VerifyArgs),
    /// Find what one who answers for the data must know; exit code: the sum of terms 1, licences 2, provenance 4,
    /// integrity 8, conduct 16 and privacy 32 where one denies something, 64 if it cannot look
    #[command(
        after_help = "Examples:\n  limbeck audit runs/support-sentiment\n  limbeck audit terms licences recipes/support-sentiment/recipe.toml --intent release-model\n  limbeck audit integrity runs/mine --key KEY --checkpoint kept-elsewhere.txt\n  limbeck audit provenance runs/mine/export"
    )]
    Audit(AuditArgs),
    /// Talk to a student or a teacher
    #[command(
        after_help = "Example:\n  echo 'The parcel never came' | limbeck chat runs/support-sentiment/student"
    )]
    Chat(ChatArgs),
    /// Measure the speed of this machine
    Bench(BenchArgs),
    /// Print what a model computes for given requests, to compare with other runtimes
    #[command(
        after_help = "Example:\n  limbeck probe model.gguf --requests requests.jsonl > probe.jsonl"
    )]
    Probe(ProbeArgs),
    /// Print a shell's completion script
    #[command(after_help = "Example:\n  limbeck completions bash > /etc/bash_completion.d/limbeck")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to write; made if it is not there, and must be empty
    pub dir: PathBuf,
}

/// Arguments of `run` and of the commands of single stages.
#[derive(Debug, Args)]
pub struct StageArgs {
    /// The recipe
    pub recipe: PathBuf,
    /// Where everything of the run is kept (default: `runs/NAME`)
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Take at most N prompts and N rows of each suite, for a trial
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Stop at the first malformed row of a data file instead of skipping it
    #[arg(long)]
    pub strict: bool,
    /// Report the gates, but do not fail when one is missed
    #[arg(long)]
    pub no_gates: bool,
    /// Print the report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What every stage takes
    #[command(flatten)]
    pub stage: StageArgs,
    /// Send nothing; print how many requests, tokens, hours and dollars the asking may take
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `harvest`.
#[derive(Debug, Args)]
pub struct HarvestArgs {
    /// What every stage takes
    #[command(flatten)]
    pub stage: StageArgs,
    /// Send nothing; print how many requests, tokens, hours and dollars it may take
    #[arg(long, conflicts_with = "retry_failed")]
    pub dry_run: bool,
    /// Ask again what failed in this way, also if the harvest is done or the failure would repeat itself; may be given
    /// several times (`limbeck traces failures` shows the kinds)
    #[arg(long, value_name = "KIND")]
    pub retry_failed: Vec<String>,
    /// Hand over what is asked in batches, collect what has ended, and do not wait for the rest; ends with 75 while
    /// something is left
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
}

/// Arguments of `traces`.
#[derive(Debug, Args)]
pub struct TracesArgs {
    /// What to do with the traces
    #[command(subcommand)]
    pub command: TracesCommand,
}

/// The commands of `traces`.
#[derive(Debug, Subcommand)]
pub enum TracesCommand {
    /// List traces, a line each
    #[command(
        after_help = "Example:\n  limbeck traces list --workdir runs/support-sentiment --dropped"
    )]
    List {
        /// The work folder of a run
        #[arg(long, value_name = "DIR")]
        workdir: PathBuf,
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Skip this many
        #[arg(long, default_value_t = 0)]
        offset: u32,
        /// Only those that every check kept
        #[arg(long, conflicts_with = "dropped")]
        kept: bool,
        /// Only those that a check dropped
        #[arg(long)]
        dropped: bool,
        /// JSON lines instead of a table
        #[arg(long)]
        json: bool,
    },
    /// List the questions that got no answer, with the reason of each
    #[command(
        after_help = "Example:\n  limbeck traces failures --workdir runs/support-sentiment --kind timeout"
    )]
    Failures {
        /// The work folder of a run
        #[arg(long, value_name = "DIR")]
        workdir: PathBuf,
        /// Only those of this kind
        #[arg(long)]
        kind: Option<String>,
        /// At most this many
        #[arg(long)]
        limit: Option<u32>,
        /// JSON lines instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Bring in answers that were asked for elsewhere; importing twice doubles nothing
    #[command(
        after_help = "Examples:\n  limbeck traces import alpaca_data.json --workdir runs/alpaca --format alpaca --source tatsu-lab/alpaca --license cc-by-nc-4.0\n  limbeck traces import output.jsonl --requests input.jsonl --workdir runs/mine --format openai-batch --source batch_68f1 --license proprietary --provider openai"
    )]
    Import(ImportArgs),
    /// Write answers with their verdicts and receipts for other programs
    #[command(
        after_help = "Examples:\n  limbeck traces export --workdir runs/support-sentiment --kept | head -1 | jq .messages\n  limbeck traces export --workdir runs/support-sentiment --format parquet --output traces.parquet --croissant croissant.json --license cc0-1.0"
    )]
    Export(ExportArgs),
    /// Take an answer out of the store for good; that it was there, and the reason, stay in the ledger
    #[command(
        after_help = "Example:\n  limbeck traces erase 3fa9 --workdir runs/support-sentiment --reason 'asked by the customer'"
    )]
    Erase {
        /// The trace's id, or its first characters
        id: String,
        /// The work folder of a run
        #[arg(long, value_name = "DIR")]
        workdir: PathBuf,
        /// Why; it is kept, so name nobody in it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Show one trace with its prompt, verdicts and receipt
    #[command(after_help = "Example:\n  limbeck traces show 3fa9 --workdir runs/support-sentiment")]
    Show {
        /// The trace's id, or its first characters
        id: String,
        /// The work folder of a run
        #[arg(long, value_name = "DIR")]
        workdir: PathBuf,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do with the key
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The commands of `keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key, where there is none, and print its public half
    #[command(
        after_help = "Examples:\n  limbeck keys new > limbeck.vkey\n  limbeck keys new --reviewer 'R. Viewer'"
    )]
    New {
        /// Make the key with which the person of this name signs declarations and waivers instead
        #[arg(long, value_name = "NAME")]
        reviewer: Option<String>,
    },
    /// Print the public half of the key, which an audit takes as the one to trust
    #[command(
        after_help = "Examples:\n  limbeck keys show > limbeck.vkey\n  limbeck keys show --workdir runs/support-sentiment\n  limbeck keys show --model > model.pub\n  limbeck keys show --reviewer"
    )]
    Show {
        /// The key that signs exported models instead, in the form (PEM) that other tools take
        #[arg(long, conflicts_with = "workdir")]
        model: bool,
        /// The key with which a person signs declarations and waivers instead
        #[arg(long, conflicts_with_all = ["workdir", "model"])]
        reviewer: bool,
        /// Name the key as the checkpoints of this work folder do, for other programs that verify signed notes
        #[arg(long, value_name = "DIR")]
        workdir: Option<PathBuf>,
    },
    /// Let the signatures of these persons count on this machine
    #[command(after_help = "Example:\n  limbeck keys trust R._Viewer+0f3a1b2c+AVx…")]
    Trust {
        /// Their public keys, as `limbeck keys show --reviewer` prints them where they sign
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// A GGUF file or a Hugging Face folder
    pub model: PathBuf,
    /// JSON lines, each with an `input` that is rendered by the model's chat template
    #[arg(long, value_name = "FILE")]
    pub requests: PathBuf,
    /// Tokens of each greedy answer
    #[arg(long, default_value_t = 32)]
    pub max_tokens: usize,
}
