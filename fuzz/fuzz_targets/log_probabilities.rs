//! Any bytes are token log-probabilities or an error; what was read is written and read again without a change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limbeck_store::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokens) = decode(bytes) {
        let again = decode(&encode(&tokens)).expect("what is written reads back");
        assert_eq!(again, tokens);
    }
});
