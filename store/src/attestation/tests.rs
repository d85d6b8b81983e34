//! Forms that others read, and input that means harm.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ledger::{Checkpoint, Frontier, SecretKey, leaf_hash};

fn file(path: &str, content: u8) -> FileDigest {
    FileDigest {
        path: path.to_owned(),
        bytes: 1,
        sha256: hex::encode([content; 32]),
    }
}

/// Key and signature were made by `model_signing` 1.1.1 over files that hold `hello\n`, `x\n` and `g\n`.
const OTHER_KEY: &str = include_str!("fixtures/model.pub");
const OTHER_SIGNATURE: &str = include_str!("fixtures/model.sig");

#[test]
fn an_envelope_is_signed_over_its_type_and_its_payload() {
    // The example of the DSSE protocol.
    let encoded = dsse::pre_authentication("http://example.com/HelloWorld", b"hello world");
    assert_eq!(
        encoded,
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    let key = SecretKey::generate("limbeck").unwrap();
    let other = SecretKey::generate("limbeck").unwrap();
    let envelope = Envelope::signed(b"hello", "text/plain", &key);
    assert!(envelope.is_signed_by(&key.public()));
    assert!(!envelope.is_signed_by(&other.public()));
    let text = serde_json::to_string(&envelope).unwrap();
    assert_eq!(Envelope::parse(text.as_bytes()).unwrap(), envelope);
    let mut renamed = envelope;
    renamed.payload_type = "text/html".to_owned();
    assert!(!renamed.is_signed_by(&key.public()));
    for wrong in [
        r#"{"payload": "", "payloadType": "a", "signatures": []}"#,
        r#"{"payload": "!", "payloadType": "a", "signatures": [{"sig": ""}]}"#,
        r#"{"payload": "", "payloadType": "a", "signatures": [{"sig": "!"}]}"#,
        "{}",
    ] {
        assert!(Envelope::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_statement_says_what_it_is() {
    let key = SecretKey::generate("limbeck").unwrap();
    let statement = Statement::about([&file("a", 1)], "urn:x-limbeck:test", json!({"b": 1}));
    let envelope = statement.signed(&key);
    assert_eq!(Statement::of(&envelope).unwrap(), statement);
    assert_eq!(statement.subject[0].sha256(), Some(&*"01".repeat(32)));
    let other = Envelope::signed(&statement.to_payload(), "text/plain", &key);
    assert!(matches!(
        Statement::of(&other),
        Err(StatementError::Payload(_))
    ));
    let text = String::from_utf8(statement.to_payload()).unwrap();
    let newer = text.replace("Statement/v1", "Statement/v2");
    let newer = Envelope::signed(newer.as_bytes(), IN_TOTO, &key);
    assert!(matches!(
        Statement::of(&newer),
        Err(StatementError::Type(_))
    ));
}

#[test]
fn a_key_reads_back_and_signs_the_same_text_the_same_way() {
    let key = ModelKey::generate().unwrap();
    let again = ModelKey::parse(&key.to_secret_text()).unwrap();
    assert_eq!(again.public(), key.public());
    let public = ModelPublicKey::parse(&key.public().to_pem()).unwrap();
    assert!(public.verifies(b"text", &key.sign(b"text")));
    assert!(!public.verifies(b"text", &key.sign(b"texts")));
    assert!(!public.verifies(b"text", b""));
    assert_eq!(key.sign(b"text"), again.sign(b"text"));
    let secret = key.to_secret_text();
    assert!(!format!("{key:?}").contains(secret.lines().nth(1).unwrap()));
    for wrong in ["", "hunter2", &secret] {
        let error = ModelPublicKey::parse(wrong).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
    assert!(ModelKey::parse(&key.public().to_pem()).is_err());
}

#[test]
fn a_signature_of_the_tool_that_others_use_verifies() {
    let key = ModelPublicKey::parse(OTHER_KEY).unwrap();
    let signed = SignedModel::verify(OTHER_SIGNATURE.as_bytes(), &key).unwrap();
    let paths: Vec<&str> = signed.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, [".hidden", "a.txt", "sub/b.bin"]);
    let hello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert_eq!(signed.files[1].1, hello);
    let other = ModelKey::generate().unwrap().public();
    assert!(matches!(
        SignedModel::verify(OTHER_SIGNATURE.as_bytes(), &other),
        Err(ModelSignatureError::OtherKey)
    ));
}

#[test]
fn a_signature_names_every_file_but_its_own_in_order() {
    let key = ModelKey::generate().unwrap();
    let files = [
        file("b", 2),
        file(SIGNATURE, 9),
        file("a/c", 3),
        file("a", 1),
    ];
    let text = sign_model("m", &files, &key).unwrap();
    let signed = SignedModel::verify(text.as_bytes(), &key.public()).unwrap();
    let paths: Vec<&str> = signed.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["a", "a/c", "b"]);
    let mut no_digest = file("a", 1);
    no_digest.sha256 = "00".to_owned();
    assert!(sign_model("m", &[no_digest], &key).is_err());
}

/// A ledger of some records, that of an export, a model, a dataset and a curation among them, and a folder of it.
fn folder() -> (Folder, SecretKey, Checkpoint) {
    let key = SecretKey::generate("limbeck").unwrap();
    let files = vec![file("README.md", 1), file("model.safetensors", 2)];
    let records = [
        json!({"kind": "curation", "subject": "c"}),
        json!({"kind": "dataset", "subject": "d"}),
        json!({"kind": "model", "subject": "m", "dataset": "d", "curation": "c"}),
        json!({"kind": "export", "subject": "e", "model": "m", "files": files}),
    ];
    let texts: Vec<String> = records.iter().map(Value::to_string).collect();
    let leaves: Vec<_> = texts
        .iter()
        .map(|text| leaf_hash(text.as_bytes()))
        .collect();
    let mut frontier = Frontier::new(0, Vec::new()).unwrap();
    for leaf in &leaves {
        frontier.append(*leaf);
    }
    let checkpoint = Checkpoint {
        origin: "limbeck/test".to_owned(),
        size: 4,
        root: frontier.root(),
        extensions: Vec::new(),
    };
    let entries = texts.iter().enumerate().map(|(index, record)| {
        let pair = index ^ 1;
        let other = if index < 2 { [2, 3] } else { [0, 1] };
        let node = crate::ledger::node_hash(&leaves[other[0]], &leaves[other[1]]);
        EntryEvidence {
            index: index as u64,
            record: record.clone(),
            proof: vec![hex::encode(leaves[pair]), hex::encode(node)],
        }
    });
    let evidence = Evidence {
        limbeck: EVIDENCE_FORM.to_owned(),
        key: Some(key.public().to_string()),
        entries: entries.collect(),
        consistency: Vec::new(),
    };
    let note = checkpoint.signed(&key).unwrap().to_string();
    let documents = [
        (LEDGER.to_owned(), serde_json::to_vec(&evidence).unwrap()),
        (CHECKPOINT.to_owned(), note.into_bytes()),
    ];
    let mut files = files;
    files.extend([file(LEDGER, 3), file(CHECKPOINT, 4)]);
    let folder = Folder {
        files,
        others: Vec::new(),
        documents: documents.into(),
    };
    (folder, key, checkpoint)
}

#[test]
fn a_folder_is_held_to_its_record() {
    let (folder, key, _) = folder();
    let trust = Trust {
        keys: vec![key.public()],
        ..Trust::default()
    };
    let found = inspect(&folder, &trust).unwrap();
    assert_eq!(found.wrong, []);
    assert_eq!(found.checked.len(), 3, "{found:#?}");
    let check = |change: &dyn Fn(&mut Folder), file: &str, what: &str| {
        let mut folder = folder.clone();
        change(&mut folder);
        let found = inspect(&folder, &trust).unwrap();
        let is_it = |wrong: &&Wrong| wrong.file == file && wrong.what.contains(what);
        assert!(
            found.wrong.iter().any(|wrong| is_it(&wrong)),
            "{file}: {found:#?}"
        );
    };
    check(
        &|folder| folder.files[0].bytes += 1,
        "README.md",
        "not the file",
    );
    check(
        &|folder| drop(folder.files.remove(0)),
        "README.md",
        "missing",
    );
    check(
        &|folder| folder.files.push(file("more", 1)),
        "more",
        "added",
    );
    check(
        &|folder| folder.others.push("link".to_owned()),
        "link",
        "neither",
    );
    check(
        &|folder| drop(folder.documents.remove(CHECKPOINT)),
        CHECKPOINT,
        "too large",
    );
    check(
        &|folder| drop(folder.documents.insert(LEDGER.to_owned(), b"{}".to_vec())),
        LEDGER,
        "no evidence",
    );
    check(
        &|folder| folder.files.push(file(SIGNATURE, 1)),
        SIGNATURE,
        "no key",
    );
}

#[test]
fn a_record_that_leads_out_of_the_folder_or_names_a_file_twice_is_refused() {
    let (folder, _, _) = folder();
    for (files, what) in [
        (
            json!([file("../../etc/passwd", 1)]),
            "which no export holds",
        ),
        (json!([file("/etc/passwd", 1)]), "which no export holds"),
        (json!([file(LEDGER, 1)]), "which no export holds"),
        (json!([file("a", 1), file("a", 2)]), "twice"),
        (json!("a"), "names no files"),
    ] {
        let record = json!({"kind": "export", "subject": "e", "model": "m", "files": files});
        let record = record.to_string();
        let checkpoint = Checkpoint {
            origin: "limbeck/test".to_owned(),
            size: 1,
            root: leaf_hash(record.as_bytes()),
            extensions: Vec::new(),
        };
        let evidence = json!({
            "limbeck": EVIDENCE_FORM,
            "entries": [{"index": 0, "record": record, "proof": []}],
            "consistency": [],
        });
        let mut folder = folder.clone();
        let documents = &mut folder.documents;
        documents.insert(LEDGER.to_owned(), evidence.to_string().into_bytes());
        documents.insert(CHECKPOINT.to_owned(), checkpoint.to_string().into_bytes());
        let found = inspect(&folder, &Trust::default()).unwrap();
        assert!(
            found.wrong.iter().any(|wrong| wrong.what.contains(what)),
            "{what}: {found:#?}"
        );
    }
}

#[test]
fn what_was_kept_elsewhere_must_be_of_the_same_history() {
    let (folder, key, checkpoint) = folder();
    let inspected = |checkpoint: &Checkpoint| {
        let trust = Trust {
            keys: vec![key.public()],
            checkpoint: Some(checkpoint.to_string()),
            ..Trust::default()
        };
        inspect(&folder, &trust).unwrap()
    };
    assert_eq!(inspected(&checkpoint).wrong, []);
    let mut other = checkpoint.clone();
    other.root = [0; 32];
    assert_eq!(inspected(&other).wrong.len(), 1);
    let mut elsewhere = checkpoint.clone();
    elsewhere.origin = "limbeck/other".to_owned();
    assert_eq!(inspected(&elsewhere).wrong.len(), 1);
    for size in [2, 9] {
        let mut unknown = checkpoint.clone();
        unknown.size = size;
        let found = inspected(&unknown);
        assert_eq!((found.wrong.len(), found.unanswered.len()), (0, 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_documents_are_inspected_without_a_panic(
        ledger in "\\PC*", checkpoint in "\\PC*", signature in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut folder, key, _) = folder();
        folder.files.push(file(SIGNATURE, 1));
        for (name, text) in [
            (SIGNATURE, signature.clone()),
            (TRAINING, signature),
            (CHECKPOINT, checkpoint.into_bytes()),
        ] {
            let mut changed = folder.clone();
            changed.files.push(file(name, 7));
            changed.documents.insert(name.to_owned(), text);
            let trust = Trust { keys: vec![key.public()], ..Trust::default() };
            prop_assert!(inspect(&changed, &trust).is_ok_and(|found| !found.wrong.is_empty()));
        }
        folder.documents.insert(LEDGER.to_owned(), ledger.into_bytes());
        prop_assert!(inspect(&folder, &Trust::default()).is_ok_and(|found| !found.wrong.is_empty()));
    }
}
