//! What goes with an exported model so that a machine that has only its folder can check where it came from.
//!
//! Pure functions, in the forms that others read: statements of in-toto ([`Statement`]) in signed envelopes of DSSE
//! ([`Envelope`]), the signature of a model as `OpenSSF` Model Signing has it ([`sign_model`]) with its own kind of key
//! ([`ModelKey`]), and the records of the ledger with their proofs ([`Evidence`]). [`inspect`] holds a folder against
//! all of them. The parsers take any input without panicking.

mod dsse;
mod evidence;
mod files;
mod inspect;
mod inspect_ledger;
mod inspect_reviews;
mod model_key;
mod model_signature;
mod statement;
#[cfg(test)]
mod tests;

pub(crate) use dsse::pre_authentication;
pub use dsse::{DsseError, Envelope, EnvelopeSignature, IN_TOTO};
pub use evidence::{ConsistencyEvidence, EntryEvidence, Evidence, EvidenceError};
pub use files::{FileDigest, is_inside};
pub use inspect::{Folder, InspectError, Inspection, Trust, Wrong, inspect};
pub use model_key::{ModelKey, ModelKeyError, ModelPublicKey};
pub use model_signature::{IGNORED, ModelSignatureError, SignedModel, sign_model};
pub use statement::{Statement, StatementError, Subject};

/// The newest checkpoint of the ledger that the folder was noted in.
pub const CHECKPOINT: &str = "checkpoint.txt";
/// The records of the ledger that are about the folder, with their proofs.
pub const LEDGER: &str = "ledger.json";
/// The signature over every other file.
pub const SIGNATURE: &str = "model.sig";
/// The key that it verifies with.
pub const SIGNING_KEY: &str = "model.pub";
/// How the model was trained.
pub const TRAINING: &str = "training.intoto.json";
/// What the audit said.
pub const VERDICT: &str = "verdict.intoto.json";
/// What is written after the folder was noted, and so is in no record.
pub const AFTERWARDS: [&str; 3] = [CHECKPOINT, LEDGER, SIGNATURE];
/// What begins the names of records' kinds in [`Evidence`]; another number is another form.
pub const EVIDENCE_FORM: &str = "ledger-evidence/1";
