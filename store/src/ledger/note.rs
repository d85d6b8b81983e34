//! Checkpoints: the size and root of a log, in the form of C2SP `tlog-checkpoint`, signed as a C2SP `signed-note`.
//!
//! ```text
//! limbeck/0f3a…            the log
//! 1200                     how many leaves it has
//! qkLd…=                   its root
//!
//! — limbeck/0f3a… 9xT1…=   who says so
//! ```

use std::fmt::{self, Write as _};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::key::{KeyError, PublicKey, SecretKey, check_name};
use super::tree::Hash;

/// What begins the line of a signature: an em dash and a space.
const SIGNATURE: &str = "\u{2014} ";
/// More signatures than this are no checkpoint, whoever sent it.
const MOST_SIGNATURES: usize = 100;

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text does not end in a newline, or holds a control character.
    #[error("a note is lines of text without control characters, each ended by a newline")]
    Text,
    /// No empty line parts the text from signatures, or none follows.
    #[error("a signed note has an empty line and signatures after its text")]
    Unsigned,
    /// A line after the empty one is no signature.
    #[error("line {line} of the signatures is none")]
    Signature {
        /// Which of them, counted from 1.
        line: usize,
    },
    /// The lines of the text are no checkpoint.
    #[error("a checkpoint is the lines origin, size and root")]
    Checkpoint,
    /// The log's name cannot stand in a signature.
    #[error("the log's name cannot be a key's: {0}")]
    Name(KeyError),
}

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Lines that others may add after the root.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        check_text(text)?;
        let mut lines = text.trim_end_matches('\n').split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let (origin, size, root) = (line(), line(), line());
        let (Some(origin), Some(size), Some(root)) = (origin, size, root) else {
            return Err(NoteError::Checkpoint);
        };
        let root = BASE64_STANDARD.decode(root).ok();
        let root = root.and_then(|root| root.try_into().ok());
        let parsed = Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or(NoteError::Checkpoint)?,
            root: root.ok_or(NoteError::Checkpoint)?,
            extensions: lines.map(str::to_owned).collect(),
        };
        // Only one text says a thing, so that two that differ are never taken for one.
        (parsed.to_string() == text)
            .then_some(parsed)
            .ok_or(NoteError::Checkpoint)
    }

    /// The checkpoint as a note with the signature of `key` under the log's name.
    pub fn signed(&self, key: &SecretKey) -> Result<SignedNote, NoteError> {
        let text = self.to_string();
        let named = key.public().named(&self.origin);
        let signature = NoteSignature {
            name: self.origin.clone(),
            key_id: named.map_err(NoteError::Name)?.id(),
            signature: key.sign(text.as_bytes()).to_vec(),
        };
        Ok(SignedNote {
            text,
            signatures: vec![signature],
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64_STANDARD.encode(self.root);
        writeln!(f, "{}\n{}\n{root}", self.origin, self.size)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A text with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// The text, with its last newline.
    pub text: String,
    /// At least one.
    pub signatures: Vec<NoteSignature>,
}

/// A line of a signed note that signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// Which key of that name.
    pub key_id: u32,
    /// The signature's own bytes: 64 of an Ed25519 key, any number of others.
    pub signature: Vec<u8>,
}

impl SignedNote {
    /// Reads a note. Whether its signatures hold is another question; see [`SignedNote::is_signed_by`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        check_text(note)?;
        // The last empty line parts them: a text may hold empty lines.
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        if lines.is_empty() || text.is_empty() {
            return Err(NoteError::Unsigned);
        }
        let signatures = lines.split('\n').enumerate().map(|(index, line)| {
            let line_number = index + 1;
            NoteSignature::parse(line)
                .filter(|_| line_number <= MOST_SIGNATURES)
                .ok_or(NoteError::Signature { line: line_number })
        });
        Ok(Self {
            text: format!("{text}\n"),
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// Whether one of the signatures is by this key under the name that the signature gives.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.signatures.iter().any(|signature| {
            key.named(&signature.name)
                .is_ok_and(|named| named.id() == signature.key_id)
                && key.verifies(self.text.as_bytes(), &signature.signature)
        })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_char('\n')?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, bytes) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
        check_name(name).ok()?;
        let bytes = BASE64_STANDARD.decode(bytes).ok()?;
        let (key_id, signature) = bytes.split_first_chunk()?;
        (!signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: u32::from_be_bytes(*key_id),
            signature: signature.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.signature);
        let bytes = BASE64_STANDARD.encode(bytes);
        write!(f, "{SIGNATURE}{} {bytes}", self.name)
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    let is_bad = |c: char| c < ' ' && c != '\n';
    if text.contains(is_bad) || !text.ends_with('\n') {
        return Err(NoteError::Text);
    }
    Ok(())
}

/// A number without sign and leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
