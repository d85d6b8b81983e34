//! Any text is a note, a checkpoint, a key, or an error; what was read is written and read again without a change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limbeck_store::ledger::{Checkpoint, PublicKey, SecretKey, SignedNote};

fuzz_target!(|text: &str| {
    if let Ok(note) = SignedNote::parse(text) {
        let again = SignedNote::parse(&note.to_string()).expect("what is written reads back");
        assert_eq!(again, note);
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(key) = PublicKey::parse(text) {
        assert_eq!(PublicKey::parse(&key.to_string()), Ok(key));
    }
    let _ = SecretKey::parse(text);
});
