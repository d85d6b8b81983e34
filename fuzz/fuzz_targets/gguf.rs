//! Any bytes are a GGUF file or an error; what opens can be read through.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limbeck_model::{GgufFile, Tokenizer, WeightSource};

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = GgufFile::from_bytes(bytes, "fuzz") else {
        return;
    };
    let _ = Tokenizer::from_gguf(&file);
    if let Ok(config) = file.config() {
        let _ = file.check_tensors(&config);
        for name in [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.q_proj.weight",
        ] {
            let _ = file.load(name);
        }
    }
});
