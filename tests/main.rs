//! End-to-end tests: they run the built binary as a person or a program would, and look at what it leaves.
//!
//! - `road`: a recipe from its prompts to the report, and what a second run does
//! - `kill`, `interrupt`: a run that is killed or asked to stop loses nothing and asks nothing twice
//! - `bad_recipe`, `bad_model`, `bad_store`, `bad_disk`: wrong input ends with code 2 and says what is wrong
//! - `prompts`: which prompts a harvest makes of a source, and in which order
//! - `sharing`: several processes on one work folder or one cache
//! - `cli`, `progress`, `traces`, `chat`, `bench_train`: what each command prints
//! - `audit`: its exit codes; `audit_forms`: JSON, SARIF and `JUnit`; `audit_policy`: what a recipe says about findings,
//!   and what training and export refuse; `audit_rights`: terms and licences of what a store holds;
//!   `audit_model`: one model, and what its export says of itself; `audit_provenance`: a work folder tampered with in every way that it has a code for
//! - `licences`: licences that nobody knows
//! - `signatures`: what persons sign of a recipe, and whose signatures count
//! - `verify`: an export held to what it carries, whole and tampered with; `export_documents`: what these documents say
//! - `declared`: a recipe that is denied until a person declares something, all the way to its model
//! - `terms`: what the records of terms say of a recipe
//! - `import_export`: traces in and out by file; `imported`: recipes that learn from such a file
//! - `redact`: personal data replaced before anything is asked or learned
//! - `instruction_sets`: training and decoding on each path that the processor can take
//! - `hostile`: text of a teacher that means harm
//! - `service`, `service_faults`, `service_waits`, `service_kill`, `service_input`: a teacher over HTTP, by a server that
//!   misbehaves; `service_pace`: five minutes by the clock
//! - `batch`: a teacher that is asked in batches
//! - `ledger`: the key, and what a run leaves in the ledger
//! - `support`: what they are written in
//!
//! None of them needs a network, a teacher, Python or a free port. The teacher has about a hundred thousand random
//! weights and is made by `support/teacher.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::needless_raw_string_hashes,
    reason = "tests; `expect_test` writes its snapshots with hashes"
)]

mod audit;
mod audit_forms;
mod audit_model;
mod audit_policy;
mod audit_provenance;
mod audit_rights;
mod bad_disk;
mod bad_model;
mod bad_recipe;
mod bad_store;
mod batch;
mod batch_fate;
mod bench_train;
mod chat;
mod cli;
mod declared;
mod export_documents;
mod hostile;
mod import_export;
mod imported;
mod instruction_sets;
#[cfg(unix)]
mod interrupt;
mod kill;
mod ledger;
mod licences;
mod progress;
mod prompts;
mod redact;
mod road;
mod service;
mod service_faults;
mod service_input;
mod service_kill;
mod service_pace;
mod service_waits;
#[cfg(unix)]
mod sharing;
mod signatures;
mod support;
mod terms;
mod traces;
mod verify;
