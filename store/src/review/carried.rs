//! What was signed, for who has not the recipe.

use serde::{Deserialize, Serialize};

use super::Purpose;

/// Something signed that goes on with what was made by it. `P` is what such a thing is signed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried<T, P = Purpose> {
    /// The thing, with its signature.
    #[serde(flatten)]
    pub said: T,
    /// What it was signed for; older versions did not tell.
    #[serde(default = "not_told", skip_serializing_if = "Option::is_none")]
    pub signed_for: Option<P>,
}

impl<T, P: Clone> Carried<T, P> {
    /// With what it was signed for.
    pub fn new(said: T, purpose: &P) -> Self {
        Self {
            said,
            signed_for: Some(purpose.clone()),
        }
    }
}

fn not_told<P>() -> Option<P> {
    None
}
