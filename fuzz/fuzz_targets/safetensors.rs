//! Any bytes are a safetensors file or an error; what opens can be read through.
//!
//! The input is the JSON header, a byte 0xFF, the data, and perhaps another 0xFF and the index of a folder of several
//! files. The length in front of the header is written here, for a fuzzer would rarely guess it.
#![no_main]

use std::cell::LazyCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use limbeck_model::{SafetensorsFile, WeightSource};
use serde_json::Value;
use tempfile::TempDir;

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| tempfile::tempdir().expect("a temporary folder"));
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        let folder = folder.path();
        // Never in UTF-8, so it cannot be part of the header.
        let mut parts = bytes.splitn(3, |&byte| byte == 0xFF);
        let [header, data, index] = [(); 3].map(|()| parts.next().unwrap_or_default());
        let file = [&(header.len() as u64).to_le_bytes(), header, data].concat();
        fs::write(folder.join("model.safetensors"), file).expect("room for the file");
        let index_path = folder.join("model.safetensors.index.json");
        if index.is_empty() {
            let _ = fs::remove_file(index_path);
        } else {
            fs::write(index_path, index).expect("room for the index");
        }
        let Ok(weights) = SafetensorsFile::open_folder(folder) else {
            return;
        };
        let names: Value = serde_json::from_slice(header).unwrap_or_default();
        for name in names
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            if let Ok(weight) = weights.load(name) {
                assert_eq!(weight.data.len(), weight.shape.iter().product::<usize>());
            }
        }
    });
});
