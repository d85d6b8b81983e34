//! The key that signs exported models: ECDSA over P-256, which the tools of `OpenSSF` Model Signing take.

use std::fmt;

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use sha2::{Digest, Sha256};

/// Why a text is no key of this kind. Never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModelKeyError {
    /// It is no PEM, or of another kind of key.
    #[error("it is no P-256 key in PEM (`-----BEGIN {0} KEY-----`)")]
    Form(&'static str),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// A secret key. It prints only what everybody may know.
#[derive(Clone)]
pub struct ModelKey(SigningKey);

impl ModelKey {
    /// A new one from the system's random numbers.
    pub fn generate() -> Result<Self, ModelKeyError> {
        loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|_| ModelKeyError::NoRandomness)?;
            // Zero and what is not below the order of the curve are no keys: not one in 2^32.
            if let Ok(key) = SigningKey::from_slice(&bytes) {
                return Ok(Self(key));
            }
        }
    }

    /// Reads PKCS #8 in PEM.
    pub fn parse(text: &str) -> Result<Self, ModelKeyError> {
        SigningKey::from_pkcs8_pem(text.trim())
            .map(Self)
            .map_err(|_| ModelKeyError::Form("PRIVATE"))
    }

    /// The key as it is kept, PKCS #8 in PEM. Whoever reads it can sign.
    pub fn to_secret_text(&self) -> String {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.to_string()).unwrap_or_default()
    }

    /// The public half.
    pub fn public(&self) -> ModelPublicKey {
        ModelPublicKey(*self.0.verifying_key())
    }

    /// Signs the SHA-256 of `text`; the signature in DER. The same text gives the same signature (RFC 6979).
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(text);
        signature.to_der().as_bytes().to_vec()
    }
}

impl fmt::Debug for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModelKey")
            .field(&self.public().hint())
            .finish()
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPublicKey(VerifyingKey);

impl ModelPublicKey {
    /// Reads a SPKI in PEM.
    pub fn parse(text: &str) -> Result<Self, ModelKeyError> {
        VerifyingKey::from_public_key_pem(text.trim())
            .map(Self)
            .map_err(|_| ModelKeyError::Form("PUBLIC"))
    }

    /// The key as others read it, a SPKI in PEM.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// What stands for the key in a signature: the SHA-256 of its PEM, in hex.
    pub fn hint(&self) -> String {
        hex::encode(Sha256::digest(self.to_pem()))
    }

    /// Whether `signature`, in DER, is one by this key over `text`.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        Signature::from_der(signature)
            .is_ok_and(|signature| self.0.verify(text, &signature).is_ok())
    }
}
