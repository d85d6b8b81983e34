//! One file a subcommand. Each takes its arguments and its surroundings and says how it ended.

pub mod audit;
pub mod batches;
pub mod bench;
pub mod chat;
pub mod completions;
pub mod init;
pub mod keys;
pub mod probe;
mod requests_file;
pub mod sign;
pub mod stage;
pub mod teachers;
pub mod terms;
pub mod traces;
pub mod verify;
