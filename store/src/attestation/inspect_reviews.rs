//! What persons have signed, as the verdict carries it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Inspection, VERDICT};
use crate::audit::Waiver;
use crate::review::{Carried, Reviewers, Signable, Signed};
use crate::terms::Declaration;

/// Holds every declaration and waiver of a verdict to its signature.
pub(super) fn reviews(verdict: &Value, reviewers: &Reviewers, found: &mut Inspection) {
    let about = |declaration: &Declaration| {
        format!(
            "the declaration about `{}` by `{}`",
            declaration.terms, declaration.reviewer
        )
    };
    each(&verdict["declarations"], about, reviewers, found);
    let about =
        |waiver: &Waiver| format!("the waiver of `{}` by `{}`", waiver.code, waiver.reviewer);
    each(&verdict["waivers"], about, reviewers, found);
}

fn each<T: Signable + DeserializeOwned>(
    list: &Value,
    about: impl Fn(&T) -> String,
    reviewers: &Reviewers,
    found: &mut Inspection,
) {
    if list.is_null() {
        return;
    }
    let carried: Vec<Carried<T>> = match serde_json::from_value(list.clone()) {
        Ok(carried) => carried,
        Err(error) => {
            let what = format!("a {} in it cannot be read: {error}", T::KIND);
            return found.wrong(VERDICT, what);
        }
    };
    for Carried { said, signed_for } in carried {
        let what = about(&said);
        let signed = match &signed_for {
            Some(purpose) => reviewers.look_at(&said, purpose),
            // Older versions wrote names alone.
            None => Signed::Missing,
        };
        match signed {
            Signed::Holds => found
                .checked
                .push(format!("{what} is signed with a key that you trust")),
            Signed::Missing if reviewers.is_empty() => {
                found.open.push(format!("{what} is not signed"));
            }
            Signed::Missing => found.wrong(VERDICT, format!("{what} is not signed")),
            Signed::Changed => found.wrong(VERDICT, format!("{what} is not what was signed")),
            Signed::ByAnother(key) => {
                let key = key.short();
                found.wrong(VERDICT, format!("{what} is signed with the key of another, `{key}`"));
            }
            Signed::Unknown(key) if reviewers.is_empty() => found.open.push(format!(
                "{what} is as it was signed with `{}`; that the key is that person's only you can tell, with `--reviewer-key`",
                key.short()
            )),
            Signed::Unknown(key) => found.wrong(
                VERDICT,
                format!("{what} is signed with `{}`, which you do not trust", key.short()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ledger::SecretKey;
    use crate::review::{Purpose, sign};

    /// A verdict with a waiver that `key` signed.
    fn verdict(key: &SecretKey) -> Value {
        let purpose = Purpose {
            recipe: "tiny".to_owned(),
            uses: [crate::terms::Use::Train].into(),
            student_license: None,
            commercial: None,
        };
        let waiver = json!({
            "code": "terms::denied", "reviewer": "R. Viewer", "reason": "so", "expires": "2027-01-01",
        });
        let mut waiver: Waiver = serde_json::from_value(waiver).unwrap();
        waiver.signature = Some(sign(&waiver, &purpose, key));
        json!({"declarations": [], "waivers": [Carried::new(waiver, &purpose)]})
    }

    #[test]
    fn what_was_changed_in_a_verdict_after_it_was_signed_is_wrong_whoever_signs_the_verdict() {
        let key = SecretKey::generate("R._Viewer").unwrap();
        let trusted = Reviewers::new(vec![key.public()]);
        let nobody = Reviewers::default();
        let found = |verdict: &Value, reviewers: &Reviewers| {
            let mut found = Inspection::default();
            reviews(verdict, reviewers, &mut found);
            (found.checked.len(), found.wrong.len(), found.open.len())
        };
        let whole = verdict(&key);
        assert_eq!(found(&whole, &trusted), (1, 0, 0));
        assert_eq!(found(&whole, &nobody), (0, 0, 1));
        let other = SecretKey::generate("R._Viewer").unwrap();
        assert_eq!(found(&verdict(&other), &trusted), (0, 1, 0));
        assert_eq!(found(&json!({}), &trusted), (0, 0, 0));
        let mut changes = Vec::new();
        for (field, value) in [
            ("code", json!("terms::unknown")),
            ("reason", json!("because")),
            ("expires", json!("2028-01-01")),
            ("about", json!("all of it")),
            ("reviewer", json!("S. Viewer")),
        ] {
            let mut other = whole.clone();
            other["waivers"][0][field] = value;
            changes.push(other);
        }
        let mut for_more = whole.clone();
        for_more["waivers"][0]["signed_for"]["use"] = json!(["train", "release-model"]);
        changes.push(for_more);
        let mut no_waiver = whole.clone();
        no_waiver["waivers"][0] = json!(1);
        changes.push(no_waiver);
        for changed in changes {
            for reviewers in [&trusted, &nobody] {
                assert_eq!(found(&changed, reviewers), (0, 1, 0), "{changed:#}");
            }
        }
        // As older versions wrote it.
        let mut unsigned = whole;
        unsigned["waivers"][0]["signature"] = Value::Null;
        assert_eq!(found(&unsigned, &trusted), (0, 1, 0));
        assert_eq!(found(&unsigned, &nobody), (0, 0, 1));
    }
}
