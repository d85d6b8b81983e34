//! Signed envelopes, as DSSE 1.0 has them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::ledger::{PublicKey, SecretKey};

/// The type of a payload that is a statement of in-toto.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// More signatures than this are no envelope, whoever sent it.
const MOST_SIGNATURES: usize = 100;

/// Why a text is no envelope.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// It is no JSON, or has other fields.
    #[error("it is no DSSE envelope: {0}")]
    Form(#[from] serde_json::Error),
    /// The payload or a signature is no base64.
    #[error("its {0} is no base64")]
    Base64(&'static str),
    /// Nothing signs it, or more than anybody needs.
    #[error("it has {0} signatures")]
    Signatures(usize),
}

/// A payload with signatures over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The payload in base64.
    payload: String,
    /// What the payload is.
    pub payload_type: String,
    /// At least one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// Which key, as a hint.
    #[serde(default)]
    pub keyid: String,
    /// The signature in base64.
    pub sig: String,
}

impl Envelope {
    /// A payload signed by the ledger's key.
    pub fn signed(payload: &[u8], payload_type: &str, key: &SecretKey) -> Self {
        let signature = key.sign(&pre_authentication(payload_type, payload));
        Self::new(payload, payload_type, &key.public().to_string(), &signature)
    }

    /// A payload with one signature over its [`pre_authentication`] encoding.
    pub(super) fn new(payload: &[u8], payload_type: &str, keyid: &str, signature: &[u8]) -> Self {
        Self {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: keyid.to_owned(),
                sig: BASE64_STANDARD.encode(signature),
            }],
        }
    }

    /// Reads an envelope. Whether its signatures hold is another question; see [`Envelope::is_signed_by`].
    pub fn parse(text: &[u8]) -> Result<Self, DsseError> {
        let envelope: Self = serde_json::from_slice(text)?;
        envelope.check()?;
        Ok(envelope)
    }

    /// Whether all parts can be read.
    pub(super) fn check(&self) -> Result<(), DsseError> {
        if self.signatures.is_empty() || self.signatures.len() > MOST_SIGNATURES {
            return Err(DsseError::Signatures(self.signatures.len()));
        }
        self.payload()?;
        self.signature_bytes().map(|_| ())
    }

    /// What is signed.
    pub fn payload(&self) -> Result<Vec<u8>, DsseError> {
        BASE64_STANDARD
            .decode(&self.payload)
            .map_err(|_| DsseError::Base64("payload"))
    }

    /// Whether one of the signatures is by this key of a ledger.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.verifies(|text, signature| key.verifies(text, signature))
    }

    /// Whether `verifies` says so of one signature and what it is over.
    pub(super) fn verifies(&self, verifies: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let (Ok(payload), Ok(signatures)) = (self.payload(), self.signature_bytes()) else {
            return false;
        };
        let text = pre_authentication(&self.payload_type, &payload);
        signatures
            .iter()
            .any(|signature| verifies(&text, signature))
    }

    fn signature_bytes(&self) -> Result<Vec<Vec<u8>>, DsseError> {
        let decode = |signature: &EnvelopeSignature| BASE64_STANDARD.decode(&signature.sig);
        let decoded = self.signatures.iter().map(decode);
        decoded
            .collect::<Result<_, _>>()
            .map_err(|_| DsseError::Base64("signature"))
    }
}

/// What is signed in place of the payload, so that a payload of one type is never taken for one of another
/// (DSSE 1.0, "PAE").
pub(crate) fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    text.extend_from_slice(payload);
    text
}
