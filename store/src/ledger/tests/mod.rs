//! The ledger's pure part, held to implementations by others.

mod notes;
mod proofs;
