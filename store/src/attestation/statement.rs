//! Statements about files, as in-toto has them (Statement v1).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::FileDigest;
use super::dsse::{DsseError, Envelope, IN_TOTO};
use crate::identity::canonical_json;
use crate::ledger::SecretKey;

/// The type of every statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// Why an envelope holds no statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The envelope cannot be read.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// The payload is something else.
    #[error("its payload is `{0}`, and no statement of in-toto")]
    Payload(String),
    /// The payload is no JSON, or has other fields.
    #[error("it is no statement of in-toto: {0}")]
    Form(#[from] serde_json::Error),
    /// The statement is of another version.
    #[error("it is a statement of the type `{0}`, expected `{STATEMENT}`")]
    Type(String),
}

/// Something said about files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Says that this is a statement, and of which version.
    #[serde(rename = "_type")]
    kind: String,
    /// The files.
    pub subject: Vec<Subject>,
    /// What kind of thing is said, as a URI.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

/// A file that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its path in the folder.
    pub name: String,
    /// Digests of its content by their algorithm.
    pub digest: std::collections::BTreeMap<String, String>,
}

impl Subject {
    /// The SHA-256, in hex.
    pub fn sha256(&self) -> Option<&str> {
        self.digest.get("sha256").map(String::as_str)
    }
}

impl Statement {
    /// What `predicate` says about `files`.
    pub fn about<'a>(
        files: impl IntoIterator<Item = &'a FileDigest>,
        predicate_type: &str,
        predicate: Value,
    ) -> Self {
        let subject = files.into_iter().map(|file| Subject {
            name: file.path.clone(),
            digest: [("sha256".to_owned(), file.sha256.clone())].into(),
        });
        Self {
            kind: STATEMENT.to_owned(),
            subject: subject.collect(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// The statement as it is signed.
    pub fn to_payload(&self) -> Vec<u8> {
        canonical_json(&json!(self)).into_bytes()
    }

    /// The statement in an envelope that the ledger's key signs.
    pub fn signed(&self, key: &SecretKey) -> Envelope {
        Envelope::signed(&self.to_payload(), IN_TOTO, key)
    }

    /// Reads what an envelope holds.
    pub fn of(envelope: &Envelope) -> Result<Self, StatementError> {
        if envelope.payload_type != IN_TOTO {
            return Err(StatementError::Payload(envelope.payload_type.clone()));
        }
        let statement: Self = serde_json::from_slice(&envelope.payload()?)?;
        if statement.kind != STATEMENT {
            return Err(StatementError::Type(statement.kind));
        }
        Ok(statement)
    }
}
