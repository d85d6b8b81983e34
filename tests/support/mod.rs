//! What the tests are written in: projects to run, the binary to run them with, and eyes for what is left.

pub mod batch_server;
pub mod command;
pub mod fault_server;
pub mod project;
pub mod review;
pub mod service;
pub mod store;
pub mod teacher;

pub use command::{Finished, Limbeck, Running, wait_until};
pub use project::{Project, names};
pub use service::{KEY, Service};

/// Says why a test did nothing: this machine does not allow what it needs.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
