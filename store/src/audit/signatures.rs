//! What there is to tell of signatures under what a recipe says.

use super::{Area, Finding, Level};
use crate::review::Signed;

/// What there is to tell of the signature under `what`, which stands in the recipe as a `kind` (`declaration`, …), if it
/// does not hold. What is not signed never counts.
pub fn of_signature(area: Area, kind: &str, what: &str, signed: &Signed) -> Option<Finding> {
    let found = |name: &str, message: String| {
        Finding::new(area, &format!("{kind}-{name}"), Level::Deny, message).via("recipe")
    };
    Some(match signed {
        Signed::Holds => return None,
        Signed::Missing => found("unsigned", format!("{what} is not signed"))
            .help("the person who answers for it signs it with `limbeck sign RECIPE`"),
        Signed::ByAnother(key) => {
            let message = format!(
                "{what} is signed by `{}`, and not by the person who is said to answer for it",
                key.short()
            );
            found("unsigned", message)
                .help("its reviewer signs it with `limbeck sign RECIPE`, with a key of their own")
        }
        Signed::Changed => {
            let message = format!(
                "{what} is not what was signed: it, or what it was signed for, was changed since"
            );
            found("changed", message)
                .help("have it reviewed again, and signed with `limbeck sign RECIPE`")
        }
        Signed::Unknown(key) => {
            let message = format!(
                "{what} is signed by `{}`, whom nobody trusts here",
                key.short()
            );
            found("signer-unknown", message).help(
                "have the reviewer's public key from the reviewer, not from the recipe, and let it count with `limbeck keys trust KEY`",
            )
        }
    })
}
