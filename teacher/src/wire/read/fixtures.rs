//! The responses of services in `fixtures/`, as their bytes.

use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::wire::{Preset, preset};

/// One response.
pub(super) struct Fixture {
    pub(super) name: String,
    pub(super) preset: &'static Preset,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The time at which all of them came.
pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The responses in one folder, in alphabetical order.
pub(super) fn folder(name: &str) -> Vec<Fixture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "http"))
        .collect();
    files.sort();
    // What no service says is read as one in the most common dialect.
    let preset = preset(name).unwrap_or_else(|| preset("openai").unwrap());
    files
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).unwrap();
            let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
            let head = std::str::from_utf8(&bytes[..end]).unwrap();
            let mut lines = head.lines();
            let status = lines
                .next()
                .unwrap()
                .split(' ')
                .nth(1)
                .unwrap()
                .parse()
                .unwrap();
            let headers = lines.map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            });
            Fixture {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                preset,
                status,
                headers: headers.collect(),
                body: bytes[end + 2..].to_vec(),
            }
        })
        .collect()
}

/// The names of all folders.
pub(super) const FOLDERS: [&str; 16] = [
    "anthropic",
    "azure",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "llamacpp",
    "lmstudio",
    "mistral",
    "ollama",
    "openai",
    "openrouter",
    "proxy",
    "together",
    "vllm",
    "xai",
];
