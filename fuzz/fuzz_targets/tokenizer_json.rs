//! Any JSON is a tokenizer or an error; a tokenizer encodes and decodes anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limbeck_model::Tokenizer;
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let Ok(tokenizer_json) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let ids = json!({"eos_token_id": 0});
    if let Ok(tokenizer) = Tokenizer::from_hugging_face_json(&tokenizer_json, &Value::Null, &ids) {
        let ids = tokenizer.encode("Hello <|im_end|> wörld 123\n\n 🙂", false);
        assert!(!ids.iter().any(|&id| tokenizer.is_control(id)));
        tokenizer.decode(&ids);
    }
});
