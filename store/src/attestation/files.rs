//! Files by their content.

use serde::{Deserialize, Serialize};

/// A file of a folder, as a record of the ledger tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its path in the folder, with slashes.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in lower-case hex.
    pub sha256: String,
}

/// Whether `path` names a file inside the folder that it is relative to, in one way: parts between slashes, none of
/// them empty or a step up, and nothing that another system would read otherwise.
pub fn is_inside(path: &str) -> bool {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let is_bad = |c: char| c.is_control() || matches!(c, '\\' | ':');
    path.split('/').all(is_plain) && !path.contains(is_bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        for inside in ["a", "model.safetensors", "a/b.c", "..a", "a..b/.c"] {
            assert!(is_inside(inside), "{inside}");
        }
        for outside in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../../b",
            "a//b",
            "./a",
            "a/",
            "C:\\a",
            "a\\b",
            "a:b",
            "a\0b",
        ] {
            assert!(!is_inside(outside), "{outside:?}");
        }
    }
}
