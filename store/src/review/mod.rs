//! Reviews: what persons sign of what a recipe says of rights, and how a signature is held to it.
//!
//! A signature is Ed25519 over the pre-authentication encoding of DSSE of a canonical JSON text ([`signed_text`]) that
//! holds the thing itself, of which kind it is, and what it was signed for, so that nothing that is signed can be taken
//! for something else, or for another recipe or intent. It carries its public key, which tells whether anything was
//! changed since; whether the key is to be trusted is said by [`Reviewers`], which come from elsewhere.

mod carried;
mod reviewers;
mod signature;
#[cfg(test)]
mod tests;

pub use carried::Carried;
pub use reviewers::{Reviewers, Signed};
pub use signature::{
    ClarifiedThing, Purpose, Signable, Signature, SignatureError, key_name, sign, signed_text,
};
