//! Any documents of an exported folder are held against each other, or are named as wrong; what was read of them is
//! written and read again without a change.
//!
//! The first byte says which two documents there are; 0xff, which is in no text, stands between them.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use limbeck_store::attestation::{
    Envelope, Evidence, FileDigest, Folder, ModelPublicKey, SignedModel, Statement, Trust, inspect,
};

fuzz_target!(|input: &[u8]| {
    let Some((which, input)) = input.split_first() else {
        return;
    };
    let mut parts = input.splitn(2, |byte| *byte == 0xff);
    let (first, second) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
    if let Ok(envelope) = Envelope::parse(first) {
        let text = serde_json::to_vec(&envelope).expect("is written");
        let again = Envelope::parse(&text).expect("what is written reads back");
        assert_eq!(again, envelope);
        let _ = Statement::of(&envelope);
    }
    if let Ok(evidence) = Evidence::parse(first) {
        let text = serde_json::to_vec(&evidence).expect("is written");
        let again = Evidence::parse(&text).expect("what is written reads back");
        assert_eq!(again, evidence);
    }
    if let Ok(text) = std::str::from_utf8(second)
        && let Ok(key) = ModelPublicKey::parse(text)
    {
        assert_eq!(ModelPublicKey::parse(&key.to_pem()), Ok(key.clone()));
        let _ = SignedModel::verify(first, &key);
    }
    let names = Folder::DOCUMENTS;
    let (one, other) = (names[*which as usize % 6], names[*which as usize / 6 % 6]);
    let documents: BTreeMap<String, Vec<u8>> = [
        (one.to_owned(), first.to_vec()),
        (other.to_owned(), second.to_vec()),
    ]
    .into();
    let files = documents.keys().map(|path| FileDigest {
        path: path.clone(),
        bytes: 1,
        sha256: "00".repeat(32),
    });
    let folder = Folder {
        files: files.collect(),
        others: Vec::new(),
        documents,
    };
    let _ = inspect(&folder, &Trust::default());
});
