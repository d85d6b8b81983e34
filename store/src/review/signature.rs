//! A signature, and the text that is signed.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::attestation::pre_authentication;
use crate::identity::canonical_json;
use crate::ledger::{KeyError, PublicKey, SecretKey};
use crate::terms::Use;

/// The type of what is signed, so that it is never taken for a statement or a checkpoint.
const PAYLOAD_TYPE: &str = "application/vnd.limbeck.review+json";
/// The form of what is signed.
const FORM: &str = "review/1";

/// Why a text is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key cannot be read.
    #[error("`by` is no public key: {0}")]
    Key(#[from] KeyError),
    /// The signature cannot be read.
    #[error("`ed25519` is no signature, expected 64 bytes in base64")]
    Bytes,
}

/// A person's signature under something that a recipe says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The public key, as `limbeck keys show --reviewer` prints it. That it stands here is no reason to trust it.
    pub by: String,
    /// The signature by it over [`signed_text`], in base64.
    pub ed25519: String,
}

impl Signature {
    /// Whether both parts can be read.
    pub fn check(&self) -> Result<(), SignatureError> {
        self.parts().map(drop)
    }

    /// Name and id of the key, which is how people are told of it.
    pub fn signer(&self) -> String {
        match PublicKey::parse(&self.by) {
            Ok(key) => key.short(),
            Err(_) => "a key that cannot be read".to_owned(),
        }
    }

    /// The key, if its signature over `text` this is.
    pub(super) fn verified(&self, text: &[u8]) -> Option<PublicKey> {
        let (key, signature) = self.parts().ok()?;
        key.verifies(text, &signature).then_some(key)
    }

    fn parts(&self) -> Result<(PublicKey, [u8; 64]), SignatureError> {
        let key = PublicKey::parse(&self.by)?;
        let bytes = BASE64_STANDARD.decode(&self.ed25519).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        Ok((key, bytes.ok_or(SignatureError::Bytes)?))
    }
}

/// Something that a person signs.
pub trait Signable: Serialize {
    /// What it is called in what is signed.
    const KIND: &'static str;

    /// Its signature, if it has one.
    fn signature(&self) -> Option<&Signature>;

    /// Who answers for it by name, where it says so.
    fn reviewer(&self) -> Option<&str> {
        None
    }
}

/// What a declaration, an exception or a waiver is signed for: it holds for no other recipe and no other intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// The name of the recipe.
    pub recipe: String,
    /// What is meant to be done.
    #[serde(rename = "use")]
    pub uses: BTreeSet<Use>,
    /// The licence of the student.
    pub student_license: Option<String>,
    /// The SHA-256 of that licence's text, where the recipe names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student_license_sha256: Option<String>,
    /// Whether it is used commercially.
    pub commercial: Option<bool>,
}

/// What a clarification is signed for: the very thing that it is about.
///
/// Of paths on the signer's machine it has the names of the files alone, as the clarification itself has where it is
/// signed, so that both can go on with a model; `written_sha256` holds them to the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClarifiedThing {
    /// The name of the recipe.
    pub recipe: String,
    /// The model, where it is about a teacher.
    pub model: Option<String>,
    /// The SHA-256 of its file, where the recipe says it.
    pub sha256: Option<String>,
    /// The SHA-256 of what it is about, of its text and of the model as the recipe writes them, a canonical JSON list.
    pub written_sha256: String,
}

/// The text that is signed: `said` without its signature, and what it is signed for.
pub fn signed_text<T: Signable>(said: &T, purpose: &impl Serialize) -> Vec<u8> {
    let mut value = json!(said);
    if let Value::Object(fields) = &mut value {
        fields.remove("signature");
    }
    let payload = canonical_json(&json!({"limbeck": FORM, T::KIND: value, "for": purpose}));
    pre_authentication(PAYLOAD_TYPE, payload.as_bytes())
}

/// The signature of `key` under `said`.
pub fn sign<T: Signable>(said: &T, purpose: &impl Serialize, key: &SecretKey) -> Signature {
    let signature = key.sign(&signed_text(said, purpose));
    Signature {
        by: key.public().to_string(),
        ed25519: BASE64_STANDARD.encode(signature),
    }
}

/// What the key of the person called `reviewer` is called: a key's name has no spaces in it.
pub fn key_name(reviewer: &str) -> String {
    let words: Vec<&str> = reviewer.split_whitespace().collect();
    words.join("_")
}
