//! What can go wrong with model files, tokenizers, templates and shapes.

use std::path::PathBuf;

/// An error from this crate; each variant carries what a person needs to act.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error("cannot access `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
