//! Any JSON is a model's shape or an error; a shape is small enough to list its tensors, and comes back when written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limbeck_model::ModelConfig;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if let Ok(config) = ModelConfig::from_hugging_face(&json) {
        config.parameter_count();
        let written = config.to_hugging_face(None, 0);
        let again = ModelConfig::from_hugging_face(&written).expect("what is written reads back");
        assert_eq!(again, config);
    }
});
