//! The signature of a whole model folder, as `OpenSSF` Model Signing 1.0 has it: a bundle of Sigstore with a DSSE
//! envelope, in it a statement of in-toto that names every file with its SHA-256.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::dsse::{DsseError, Envelope, IN_TOTO, pre_authentication};
use super::statement::{Statement, StatementError, Subject};
use super::{FileDigest, ModelKey, ModelPublicKey, SIGNATURE};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PREDICATE: &str = "https://model_signing/signature/v1.0";
/// What a signature leaves out besides itself: what git and hubs put beside a model.
pub const IGNORED: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// Why a text is no signature of a model, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ModelSignatureError {
    /// It is no JSON, or has other fields.
    #[error("it is no signature of a model: {0}")]
    Form(#[from] serde_json::Error),
    /// The envelope cannot be read.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// The statement cannot be read.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The statement is about something else.
    #[error("it signs `{0}`, expected `{PREDICATE}`")]
    Predicate(String),
    /// A digest is of another algorithm, or no digest.
    #[error("its digest of `{0}` is no SHA-256")]
    Digest(String),
    /// The digest over all digests is another.
    #[error("its digest over all files does not belong to the files that it names")]
    Root,
    /// Another key was used, or the statement was changed.
    #[error("it is not by the key that it is checked with")]
    OtherKey,
}

/// The bundle that the signature file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: VerificationMaterial,
    dsse_envelope: Envelope,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    public_key: PublicKeyHint,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PublicKeyHint {
    hint: String,
}

#[derive(Debug, Deserialize)]
struct Predicate {
    resources: Vec<Resource>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

/// The text of the signature of a model called `name` that has these files. They are named in the order of their
/// paths, and the signature's own file is none of them.
pub fn sign_model(
    name: &str,
    files: &[FileDigest],
    key: &ModelKey,
) -> Result<String, ModelSignatureError> {
    let mut files: Vec<&FileDigest> = files.iter().filter(|file| file.path != SIGNATURE).collect();
    files.sort();
    let resources = files.iter().map(|file| Resource {
        name: file.path.clone(),
        algorithm: "sha256".to_owned(),
        digest: file.sha256.clone(),
    });
    let resources: Vec<Resource> = resources.collect();
    let ignored = [&[SIGNATURE][..], &IGNORED].concat();
    let predicate = json!({
        "resources": resources,
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": false,
            "ignore_paths": ignored,
        },
    });
    let all = FileDigest {
        path: name.to_owned(),
        bytes: 0,
        sha256: root(&resources)?,
    };
    let payload = Statement::about([&all], PREDICATE, predicate).to_payload();
    let signature = key.sign(&pre_authentication(IN_TOTO, &payload));
    let bundle = Bundle {
        media_type: BUNDLE.to_owned(),
        verification_material: VerificationMaterial {
            public_key: PublicKeyHint {
                hint: key.public().hint(),
            },
            tlog_entries: Vec::new(),
        },
        dsse_envelope: Envelope::new(&payload, IN_TOTO, "", &signature),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&bundle)?))
}

/// What a signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedModel {
    /// Path and SHA-256 of every file, in the order of the signature.
    pub files: Vec<(String, String)>,
}

impl SignedModel {
    /// Reads a signature and verifies it with `key`. Whether a folder has these files is another question.
    pub fn verify(text: &[u8], key: &ModelPublicKey) -> Result<Self, ModelSignatureError> {
        let bundle: Bundle = serde_json::from_slice(text)?;
        let envelope = &bundle.dsse_envelope;
        envelope.check()?;
        if bundle.verification_material.public_key.hint != key.hint()
            || !envelope.verifies(|text, signature| key.verifies(text, signature))
        {
            return Err(ModelSignatureError::OtherKey);
        }
        let statement = Statement::of(envelope)?;
        if statement.predicate_type != PREDICATE {
            return Err(ModelSignatureError::Predicate(statement.predicate_type));
        }
        let predicate: Predicate = serde_json::from_value(statement.predicate)?;
        let root = root(&predicate.resources)?;
        match &statement.subject[..] {
            [all] if Subject::sha256(all) == Some(&root) => {}
            _ => return Err(ModelSignatureError::Root),
        }
        let files = predicate.resources.into_iter();
        Ok(Self {
            files: files.map(|file| (file.name, file.digest)).collect(),
        })
    }
}

/// The digest over all digests, in their order.
fn root(resources: &[Resource]) -> Result<String, ModelSignatureError> {
    let mut hash = Sha256::new();
    for resource in resources {
        let wrong = || ModelSignatureError::Digest(resource.name.clone());
        let digest = hex::decode(&resource.digest).map_err(|_| wrong())?;
        if resource.algorithm != "sha256" || digest.len() != 32 {
            return Err(wrong());
        }
        hash.update(digest);
    }
    Ok(hex::encode(hash.finalize()))
}
