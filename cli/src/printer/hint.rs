//! What the reader of an error can do about it.

use std::error::Error;
use std::fmt::{self, Display};

use limbeck_store::StoreError;
use limbeck_store::terms::TermsError;
use limbeck_teacher::{AskError, HarvestError, TeacherError};

/// An error together with what its reader can do about it.
#[derive(Debug)]
pub struct Hint {
    pub(super) hint: String,
    source: anyhow::Error,
}

impl Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.source, f)
    }
}

impl Error for Hint {
    // The wrapped error itself, not its cause: it stays findable by its type. `Explained` skips the wrapper.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Attaches hints to errors.
pub trait WithHint<T> {
    /// What the reader can do about the error; printed as `hint: …` after the causes.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| {
            let source = error.into();
            let hint = hint.into();
            anyhow::Error::new(Hint { hint, source })
        })
    }
}

/// What the library says that an error comes from.
pub(super) fn of_library<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e str> {
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        error.hint()
    } else if let Some(error) = cause.downcast_ref::<TermsError>() {
        error.hint()
    } else if let Some(error) = cause.downcast_ref::<HarvestError>() {
        error.hint()
    } else if let Some(error) = cause.downcast_ref::<TeacherError>() {
        error.hint()
    } else if let Some(error) = cause.downcast_ref::<AskError>() {
        error.hint()
    } else {
        None
    }
}
