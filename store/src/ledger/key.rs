//! Keys that sign checkpoints: Ed25519, written as C2SP `signed-note` writes them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The byte that says Ed25519 in a key and in a key's id.
const ED25519: u8 = 1;
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// Why a text is no key. Never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has not the parts of a key.
    #[error("a public key is NAME+ID+BASE64 and a secret one PRIVATE+KEY+NAME+ID+BASE64")]
    Form,
    /// The name is empty, or has a space, a plus or a control character in it.
    #[error("the name of a key has no spaces, no `+` and no control characters")]
    Name,
    /// The id is not the one that name and key give.
    #[error("the id in it does not belong to its name and key, so a part of it was changed")]
    Id,
    /// It is of another kind, or of another length, or no point of the curve.
    #[error("it is no Ed25519 key")]
    Kind,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// A public key with the name that it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads a verifier key (`NAME+ID+BASE64`).
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, bytes) = read(text.trim())?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Kind)?;
        if key.is_weak() {
            return Err(KeyError::Kind);
        }
        let public = Self { name, key };
        // An id over another name or key says that the text was put together from two.
        let (_, id) = id_of(text.trim()).ok_or(KeyError::Form)?;
        (public.id() == id).then_some(public).ok_or(KeyError::Id)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same key under another name.
    pub fn named(&self, name: &str) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            key: self.key,
        })
    }

    /// Whether both are one key, whatever they are called.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The first four bytes of the SHA-256 over name, newline, kind and key.
    pub fn id(&self) -> u32 {
        id(&self.name, self.key.as_bytes())
    }

    /// Name and id, `NAME+ID`, which is how people are told of it.
    pub fn short(&self) -> String {
        format!("{}+{:08x}", self.name, self.id())
    }

    /// Whether `signature` is one by this key over `text`.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        self.key.verify_strict(text, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = encoded(self.key.as_bytes());
        write!(f, "{}+{:08x}+{key}", self.name, self.id())
    }
}

/// A secret key. It prints only what everybody may know.
#[derive(Clone)]
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

impl SecretKey {
    /// A new one from the system's random numbers.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        check_name(name)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| KeyError::NoRandomness)?;
        Ok(Self::from_seed(name, &seed))
    }

    /// Reads what [`SecretKey::to_secret_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim().strip_prefix(SECRET_PREFIX);
        let rest = rest.ok_or(KeyError::Form)?;
        let (name, seed) = read(rest)?;
        let secret = Self::from_seed(&name, &seed);
        let (_, id) = id_of(rest).ok_or(KeyError::Form)?;
        (secret.public().id() == id)
            .then_some(secret)
            .ok_or(KeyError::Id)
    }

    /// The key as it is kept. Whoever reads it can sign.
    pub fn to_secret_text(&self) -> String {
        let seed = encoded(&self.key.to_bytes());
        format!(
            "{SECRET_PREFIX}{}+{:08x}+{seed}",
            self.name,
            self.public().id()
        )
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signs.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.key.sign(text).to_bytes()
    }

    fn from_seed(name: &str, seed: &[u8; 32]) -> Self {
        Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(seed),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey")
            .field(&self.public().to_string())
            .finish()
    }
}

/// A name that a signature's line can carry.
pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(is_bad) {
        return Err(KeyError::Name);
    }
    Ok(())
}

fn id(name: &str, key: &[u8; 32]) -> u32 {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key)
        .finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

fn encoded(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    BASE64_STANDARD.encode(bytes)
}

/// Name and id of `NAME+ID+BASE64`.
fn id_of(text: &str) -> Option<(&str, u32)> {
    let mut parts = text.splitn(3, '+');
    let (name, id) = (parts.next()?, parts.next()?);
    let is_plain = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u32::from_str_radix(id, 16).ok().filter(|_| is_plain)?;
    Some((name, id))
}

/// Name and 32 bytes of `NAME+ID+BASE64`.
fn read(text: &str) -> Result<(String, [u8; 32]), KeyError> {
    let (name, _) = id_of(text).ok_or(KeyError::Form)?;
    check_name(name)?;
    let key = text.splitn(3, '+').nth(2).ok_or(KeyError::Form)?;
    let bytes = BASE64_STANDARD.decode(key).map_err(|_| KeyError::Form)?;
    match bytes.split_first() {
        Some((&ED25519, key)) => {
            let key = key.try_into().map_err(|_| KeyError::Kind)?;
            Ok((name.to_owned(), key))
        }
        _ => Err(KeyError::Kind),
    }
}
