//! Whose signatures count.

use serde::Serialize;

use super::{Signable, key_name, signed_text};
use crate::ledger::PublicKey;

/// The public keys of the persons whose word counts. They never come from what they have signed.
#[derive(Debug, Clone, Default)]
pub struct Reviewers {
    keys: Vec<PublicKey>,
}

/// How the signature of something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// A person who is trusted signed this very thing.
    Holds,
    /// There is no signature.
    Missing,
    /// What is said now is not what was signed.
    Changed,
    /// It was signed with another key than that of the person who is said to answer for it.
    ByAnother(PublicKey),
    /// It was signed with a key that nobody trusts here.
    Unknown(PublicKey),
}

impl Reviewers {
    /// Those with these keys, each under its name.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How the signature of `said` stands, which must have been given for `purpose`.
    pub fn look_at<T: Signable>(&self, said: &T, purpose: &impl Serialize) -> Signed {
        let Some(signature) = said.signature() else {
            return Signed::Missing;
        };
        let Some(key) = signature.verified(&signed_text(said, purpose)) else {
            return Signed::Changed;
        };
        let is_by_another = said
            .reviewer()
            .is_some_and(|reviewer| key_name(reviewer) != key.name());
        if is_by_another {
            Signed::ByAnother(key)
        } else if self.keys.contains(&key) {
            // Under the name that it is trusted by: the same key under another is another person's word.
            Signed::Holds
        } else {
            Signed::Unknown(key)
        }
    }
}
