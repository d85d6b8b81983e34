//! What persons have signed, as the verdict carries it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Inspection, VERDICT};
use crate::audit::{Clarification, Rule, Waiver};
use crate::review::{Carried, ClarifiedThing, Purpose, Reviewers, Signable, Signed};
use crate::terms::{Declaration, TermsRecord};

/// Holds everything that a verdict says in persons' names to its signature.
pub(super) fn reviews(verdict: &Value, reviewers: &Reviewers, found: &mut Inspection) {
    let about = |declaration: &Declaration| {
        format!(
            "the declaration about `{}` by `{}`",
            declaration.terms, declaration.reviewer
        )
    };
    each::<_, Purpose>(&verdict["declarations"], about, reviewers, found);
    let about =
        |waiver: &Waiver| format!("the waiver of `{}` by `{}`", waiver.code, waiver.reviewer);
    each::<_, Purpose>(&verdict["waivers"], about, reviewers, found);
    let about = |said: &Clarification| {
        format!(
            "the clarification that `{}` is under `{}`",
            said.of, said.license
        )
    };
    each::<_, ClarifiedThing>(&verdict["clarifications"], about, reviewers, found);
    let about = |rule: &Rule| format!("the exception for `{}`", rule.code);
    let exceptions = each::<Rule, Purpose>(&verdict["exceptions"], about, reviewers, found);
    missing_exceptions(verdict, &exceptions, reviewers, found);
    for record in list::<TermsRecord>(&verdict["records"], found) {
        let what = format!("the record of terms `{}`", record.id);
        one(&what, &reviewers.look_at(&record, &()), reviewers, found);
        judged_by(verdict, &record, &what, found);
    }
}

/// What stands in a list of the verdict; nothing where there is none.
fn list<T: Signable + DeserializeOwned>(list: &Value, found: &mut Inspection) -> Vec<T> {
    of_kind(list, T::KIND, found)
}

fn of_kind<T: DeserializeOwned>(list: &Value, kind: &str, found: &mut Inspection) -> Vec<T> {
    if list.is_null() {
        return Vec::new();
    }
    serde_json::from_value(list.clone()).unwrap_or_else(|error| {
        let what = format!("a {kind} in it cannot be read: {error}");
        found.wrong(VERDICT, what);
        Vec::new()
    })
}

/// Looks at all of a list, and gives them back.
fn each<T, P>(
    list: &Value,
    about: impl Fn(&T) -> String,
    reviewers: &Reviewers,
    found: &mut Inspection,
) -> Vec<T>
where
    T: Signable + DeserializeOwned,
    P: Serialize + DeserializeOwned,
{
    let carried: Vec<Carried<T, P>> = of_kind(list, T::KIND, found);
    let looked_at = carried.into_iter().map(|Carried { said, signed_for }| {
        let signed = match &signed_for {
            Some(purpose) => reviewers.look_at(&said, purpose),
            // Older versions wrote names alone.
            None => Signed::Missing,
        };
        one(&about(&said), &signed, reviewers, found);
        said
    });
    looked_at.collect()
}

/// Tells how the signature under `what` stands.
fn one(what: &str, signed: &Signed, reviewers: &Reviewers, found: &mut Inspection) {
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

/// Tells of findings that are less grave by somebody's word which is not there.
fn missing_exceptions(
    verdict: &Value,
    exceptions: &[Rule],
    reviewers: &Reviewers,
    found: &mut Inspection,
) {
    let findings = verdict["findings"].as_array().into_iter().flatten();
    let signed = findings.filter(|finding| finding["rule"]["signer"].is_string());
    let mut codes: Vec<&str> = signed
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        if !exceptions.iter().any(|rule| rule.code == code) {
            let what = format!("the exception for `{code}`, by which a finding is less grave,");
            one(&what, &Signed::Missing, reviewers, found);
        }
    }
}

/// A record that is carried is the one that was judged by.
fn judged_by(verdict: &Value, record: &TermsRecord, what: &str, found: &mut Inspection) {
    let policy = verdict["verifier"]["policy"].as_array();
    let mut policy = policy.into_iter().flatten();
    let named = policy.find(|named| named["name"].as_str() == Some(&record.id));
    if named.is_some_and(|named| named["digest"]["sha256"].as_str() != Some(&record.digest())) {
        found.wrong(
            VERDICT,
            format!("{what} is another than the one that it was judged by"),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ledger::SecretKey;
    use crate::review::{Purpose, sign};
    use crate::terms::Registry;

    /// A verdict with a waiver that `key` signed.
    fn verdict(key: &SecretKey) -> Value {
        let purpose = purpose();
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

    fn purpose() -> Purpose {
        Purpose {
            recipe: "tiny".to_owned(),
            uses: [crate::terms::Use::Train].into(),
            student_license: None,
            student_license_sha256: None,
            commercial: None,
        }
    }

    /// A verdict with a clarification, a record and an exception that `key` signed.
    fn of_the_rest(key: &SecretKey) -> Value {
        let mut rule: Rule = serde_json::from_value(json!({
            "code": "privacy::secret-by-prefix", "level": "warn", "reason": "looked at",
        }))
        .unwrap();
        rule.signature = Some(sign(&rule, &purpose(), key));
        let thing = ClarifiedThing {
            recipe: "tiny".to_owned(),
            model: Some("tiny.gguf".to_owned()),
            sha256: None,
            written_sha256: "cd".repeat(32),
        };
        let mut said: Clarification = serde_json::from_value(json!({
            "of": "tiny", "license": "mit", "text": "LICENSE", "sha256": "ab".repeat(32),
        }))
        .unwrap();
        said.signature = Some(sign(&said, &thing, key));
        let mut record = Registry::embedded()
            .unwrap()
            .record("openai-api-2026-01-01")
            .unwrap()
            .clone();
        record.id = "acme".to_owned();
        record.signature = Some(sign(&record, &(), key));
        json!({
            "clarifications": [Carried::new(said, &thing)],
            "exceptions": [Carried::new(rule, &purpose())],
            "records": [record],
            "verifier": {"policy": [{"name": "acme", "digest": {"sha256": record.digest()}}]},
            "findings": [{"code": "privacy::secret-by-prefix", "rule": {"signer": "R._Viewer+1"}}],
        })
    }

    #[test]
    fn clarifications_records_and_exceptions_are_held_to_their_signatures_as_well() {
        let key = SecretKey::generate("R._Viewer").unwrap();
        let trusted = Reviewers::new(vec![key.public()]);
        let found = |verdict: &Value, reviewers: &Reviewers| {
            let mut found = Inspection::default();
            reviews(verdict, reviewers, &mut found);
            (found.checked.len(), found.wrong.len(), found.open.len())
        };
        let whole = of_the_rest(&key);
        assert_eq!(found(&whole, &trusted), (3, 0, 0));
        assert_eq!(found(&whole, &Reviewers::default()), (0, 0, 3));
        let changed = [
            ("/clarifications/0/license", json!("apache-2.0")),
            ("/clarifications/0/sha256", json!("ef".repeat(32))),
            ("/clarifications/0/signed_for/model", json!("other.gguf")),
            ("/clarifications/0/signed_for/written_sha256", json!("00")),
            ("/exceptions/0/level", json!("allow")),
            ("/exceptions/0/signed_for/recipe", json!("other")),
            ("/records/0/class", json!("any")),
            ("/verifier/policy/0/digest/sha256", json!("00")),
        ];
        for (at, value) in changed {
            let mut other = whole.clone();
            *other.pointer_mut(at).unwrap() = value;
            let (checked, wrong, _) = found(&other, &trusted);
            // Of a record that was changed both are told: the signature, and that it was not judged by it.
            assert!(checked >= 2 && wrong >= 1, "{at}: {checked}, {wrong}");
        }
        // A word that was taken out is missed where something was made less grave by it.
        let mut without = whole.clone();
        without["exceptions"] = json!([]);
        assert_eq!(found(&without, &trusted), (2, 1, 0));
        assert_eq!(found(&without, &Reviewers::default()), (0, 0, 3));
        let mut unsigned = whole;
        unsigned["records"][0]["signature"] = Value::Null;
        assert_eq!(found(&unsigned, &trusted), (2, 1, 0));
    }
}
