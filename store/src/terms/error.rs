//! Records of terms that cannot be used.

/// A mistake in a record of terms, or between two of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// The file is not a record.
    #[error("the record of terms `{file}` cannot be read: {message}")]
    Malformed {
        /// The file, or what stands for one.
        file: String,
        /// Where and what, with the key.
        message: String,
    },
    /// A record that says too little, too much, or what cannot be.
    #[error("the record of terms `{file}` cannot be used: `{key}` {problem}")]
    Invalid {
        /// The file, or what stands for one.
        file: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two records claim the same.
    #[error("two records of terms are for the same {what}: `{first}` and `{second}`")]
    Twice {
        /// What both are for.
        what: String,
        /// The file of the one.
        first: String,
        /// The file of the other.
        second: String,
    },
}

impl TermsError {
    /// What a person can do about it, if there is anything to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Twice { .. } => Some(
                "of two records for one route or licence, each needs an `effective` date of its own",
            ),
            Self::Malformed { .. } => {
                Some("`limbeck terms show ID` prints a record as it is to be written")
            }
            Self::Invalid { .. } => None,
        }
    }
}
