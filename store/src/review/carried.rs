//! What was signed, for who has not the recipe.

use serde::{Deserialize, Serialize};

use super::Purpose;

/// Something signed that goes on with what was made by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried<T> {
    /// The thing, with its signature.
    #[serde(flatten)]
    pub said: T,
    /// What it was signed for; older versions did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_for: Option<Purpose>,
}

impl<T> Carried<T> {
    /// With what it was signed for.
    pub fn new(said: T, purpose: &Purpose) -> Self {
        Self {
            said,
            signed_for: Some(purpose.clone()),
        }
    }
}
