//! The ledger: a log of everything that is kept, in which nothing can be changed, taken out, put in or moved without
//! being seen.
//!
//! Pure functions, in the forms that others read: the Merkle tree of RFC 6962 ([`Frontier`]), its inclusion and
//! consistency proofs ([`verify_inclusion`], [`verify_consistency`]), and checkpoints ([`Checkpoint`], [`SignedNote`])
//! with the keys that sign them ([`SecretKey`], [`PublicKey`]). The parsers take any input without panicking.

mod key;
mod note;
mod proof;
#[cfg(test)]
mod tests;
mod tree;

pub use key::{KeyError, PublicKey, SecretKey};
pub use note::{Checkpoint, NoteError, NoteSignature, SignedNote};
pub use proof::{
    ProofError, consistency_runs, inclusion_runs, verify_consistency, verify_inclusion,
};
pub use tree::{Frontier, Hash, Subtree, empty_root, fold, leaf_hash, node_hash, subtrees};
