//! Keys, notes and checkpoints, held to `signed_note`.

use proptest::prelude::*;
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::ledger::*;

fn key() -> SecretKey {
    SecretKey::generate("limbeck").unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "limbeck/0f3a".to_owned(),
        size: 1200,
        root: leaf_hash(b"root"),
        extensions: Vec::new(),
    }
}

/// Whether the other implementation takes the note for one by this key.
fn is_accepted_elsewhere(note: &str, key: &str) -> bool {
    let verifier = StandardVerifier::new(key).unwrap();
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .is_ok()
}

#[test]
fn a_signed_checkpoint_is_one_for_another_implementation() {
    let (key, checkpoint) = (key(), checkpoint());
    let note = checkpoint.signed(&key).unwrap().to_string();
    let public = key.public().named("limbeck/0f3a").unwrap();
    assert!(is_accepted_elsewhere(&note, &public.to_string()));
    let read = SignedNote::parse(&note).unwrap();
    assert_eq!(Checkpoint::parse(&read.text).unwrap(), checkpoint);
    assert!(
        read.is_signed_by(&key.public()),
        "whatever the key is called"
    );
    assert!(!read.is_signed_by(&self::key().public()));
}

#[test]
fn a_note_of_another_implementation_is_one_here() {
    // From the documentation of Go's `golang.org/x/mod/sumdb/note`.
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let key = PublicKey::parse(key).unwrap();
    let parsed = SignedNote::parse(note).unwrap();
    assert!(parsed.is_signed_by(&key));
    assert_eq!(parsed.to_string(), note);
    let changed = SignedNote::parse(&note.replace("answer", "Answer")).unwrap();
    assert!(!changed.is_signed_by(&key));
}

#[test]
fn keys_are_read_back_and_a_changed_one_is_not() {
    let secret = key();
    let text = secret.to_secret_text();
    let read = SecretKey::parse(&format!("{text}\n")).unwrap();
    assert_eq!(read.public(), secret.public());
    let public = secret.public().to_string();
    assert_eq!(PublicKey::parse(&public).unwrap(), secret.public());
    assert_eq!(
        PublicKey::parse(&public.replace("limbeck+", "another+")),
        Err(KeyError::Id)
    );
    assert_eq!(PublicKey::parse(&text), Err(KeyError::Form));
    assert_eq!(PublicKey::parse("limbeck"), Err(KeyError::Form));
    let shown = format!("{secret:?}");
    assert!(
        shown.contains(&public) && !shown.contains("PRIVATE"),
        "{shown}"
    );
    assert_eq!(
        SecretKey::generate("two words").unwrap_err(),
        KeyError::Name
    );
}

#[test]
fn other_notes_are_none() {
    let note = checkpoint().signed(&key()).unwrap().to_string();
    let text = checkpoint().to_string();
    for (note, expected) in [
        (text.clone(), NoteError::Unsigned),
        (format!("{text}\n"), NoteError::Unsigned),
        (note.trim_end().to_owned(), NoteError::Text),
        (note.replace("0f3a", "0f\t3a"), NoteError::Text),
        (format!("{note}more\n"), NoteError::Signature { line: 2 }),
        (note.replace("— ", "- "), NoteError::Signature { line: 1 }),
    ] {
        assert_eq!(SignedNote::parse(&note), Err(expected), "{note}");
    }
    for changed in [
        text.replace("1200", "01200"),
        text.replace("1200", "-1"),
        text.replace("1200\n", ""),
        text.replace("1200", "99999999999999999999"),
        text.replace('=', ""),
        format!("{text}\n"),
        format!("\n{text}"),
    ] {
        assert_eq!(
            Checkpoint::parse(&changed),
            Err(NoteError::Checkpoint),
            "{changed}"
        );
    }
    let extended = format!("{text}another line\n");
    assert_eq!(Checkpoint::parse(&extended).unwrap().extensions.len(), 1);
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in ".{0,200}", lines in "[—a+0-9=\n /]{0,120}") {
        for text in [&text, &lines, &format!("{lines}\n")] {
            if let Ok(note) = SignedNote::parse(text) {
                prop_assert_eq!(SignedNote::parse(&note.to_string()), Ok(note));
            }
            if let Ok(checkpoint) = Checkpoint::parse(text) {
                prop_assert_eq!(&checkpoint.to_string(), text);
            }
            let _ = (PublicKey::parse(text), SecretKey::parse(text));
        }
    }

    #[test]
    fn what_both_read_they_read_alike(changed in 0usize..150, to in "[ -~\n—]") {
        let key = SecretKey::parse(SECRET).unwrap();
        let note = checkpoint().signed(&key).unwrap().to_string();
        let mut characters: Vec<char> = note.chars().collect();
        let place = changed % characters.len();
        characters[place] = to.chars().next().unwrap();
        let note: String = characters.into_iter().collect();
        let ours = SignedNote::parse(&note);
        prop_assert_eq!(ours.is_ok(), Note::from_bytes(note.as_bytes()).is_ok(), "{}", note);
        if let Ok(ours) = ours {
            let public = key.public().named("limbeck/0f3a").unwrap().to_string();
            // Their verifier looks only for a signature under its own name.
            prop_assert!(!is_accepted_elsewhere(&note, &public) || ours.is_signed_by(&key.public()));
        }
    }
}

/// The key of Go's documentation whose public half is above.
const SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
