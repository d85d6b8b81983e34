//! What is signed, by whom, and what of it can be changed without being seen: nothing.

use std::collections::BTreeSet;

use jiff::civil::date;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::{Clarification, Rule, Waiver};
use crate::ledger::SecretKey;
use crate::terms::{Declaration, Registry, Statement, TermsRecord, Use};

fn purpose() -> Purpose {
    Purpose {
        recipe: "tiny".to_owned(),
        uses: BTreeSet::from([Use::Train, Use::ReleaseModel]),
        student_license: Some("apache-2.0".to_owned()),
        student_license_sha256: None,
        commercial: None,
    }
}

fn declaration() -> Declaration {
    Declaration {
        terms: "openai-api-2026-01-01".to_owned(),
        says: vec![Statement::NotCompeting],
        reviewer: "R. Viewer".to_owned(),
        reason: "it sorts our own mail".to_owned(),
        expires: date(2027, 1, 1),
        terms_sha256: "ab".repeat(32),
        signature: None,
    }
}

fn signed(key: &SecretKey) -> Declaration {
    let mut declaration = declaration();
    declaration.signature = Some(sign(&declaration, &purpose(), key));
    declaration
}

fn key(name: &str) -> SecretKey {
    SecretKey::generate(&key_name(name)).unwrap()
}

#[test]
fn a_signature_counts_if_it_is_of_the_reviewer_and_the_key_is_trusted() {
    let (own, other) = (key("R. Viewer"), key("R. Viewer"));
    let trusted = Reviewers::new(vec![own.public()]);
    assert_eq!(trusted.look_at(&signed(&own), &purpose()), Signed::Holds);
    assert_eq!(trusted.look_at(&declaration(), &purpose()), Signed::Missing);
    assert_eq!(
        trusted.look_at(&signed(&other), &purpose()),
        Signed::Unknown(other.public())
    );
    assert_eq!(
        Reviewers::default().look_at(&signed(&own), &purpose()),
        Signed::Unknown(own.public())
    );
    // Somebody who is trusted for themselves signs in the name of another.
    let somebody = key("Some Body");
    let trusted = Reviewers::new(vec![own.public(), somebody.public()]);
    assert_eq!(
        trusted.look_at(&signed(&somebody), &purpose()),
        Signed::ByAnother(somebody.public())
    );
    // And so under the name of another on their own key.
    let mut renamed = signed(&somebody);
    let public = somebody.public().named("R._Viewer").unwrap();
    renamed.signature.as_mut().unwrap().by = public.to_string();
    assert_eq!(
        trusted.look_at(&renamed, &purpose()),
        Signed::Unknown(public)
    );
}

#[test]
fn nothing_of_what_was_signed_can_be_changed() {
    let key = key("R. Viewer");
    let trusted = Reviewers::new(vec![key.public()]);
    let whole = json!(signed(&key));
    for (field, other) in [
        ("terms", json!("openai-api-2025-01-01")),
        ("says", json!(["not-competing", "reviewed"])),
        ("reviewer", json!("R. Viewer, counsel")),
        ("reason", json!("it sorts our own mail.")),
        ("expires", json!("2028-01-01")),
        ("terms_sha256", json!("cd".repeat(32))),
    ] {
        let mut changed = whole.clone();
        assert_ne!(changed[field], other);
        changed[field] = other;
        let changed: Declaration = serde_json::from_value(changed).unwrap();
        let found = trusted.look_at(&changed, &purpose());
        assert_eq!(found, Signed::Changed, "{field}");
    }
    let other = [
        Purpose {
            recipe: "other".to_owned(),
            ..purpose()
        },
        Purpose {
            uses: BTreeSet::from([Use::Train]),
            ..purpose()
        },
        Purpose {
            student_license: None,
            ..purpose()
        },
        Purpose {
            student_license_sha256: Some("ab".repeat(32)),
            ..purpose()
        },
        Purpose {
            commercial: Some(true),
            ..purpose()
        },
    ];
    for other in other {
        let found = trusted.look_at(&signed(&key), &other);
        assert_eq!(found, Signed::Changed, "{other:?}");
    }
}

fn with<T: Signable + Clone>(said: &T, key: &SecretKey, keep: fn(&mut T, Signature)) -> T {
    let mut signed = said.clone();
    keep(&mut signed, sign(said, &purpose(), key));
    signed
}

#[test]
fn one_kind_is_never_taken_for_another() {
    let key = key("R. Viewer");
    let trusted = Reviewers::new(vec![key.public()]);
    let waiver: Waiver = serde_json::from_value(json!({
        "code": "terms::denied", "reviewer": "R. Viewer", "reason": "so", "expires": "2027-01-01",
    }))
    .unwrap();
    let rule: Rule = serde_json::from_value(json!({
        "code": "terms::denied", "level": "allow", "reason": "so", "expires": "2027-01-01",
    }))
    .unwrap();
    let clarification: Clarification = serde_json::from_value(json!({
        "of": "tiny", "license": "mit", "text": "LICENSE", "sha256": "ab".repeat(32),
    }))
    .unwrap();
    let record = Registry::embedded().unwrap().record("mit").unwrap().clone();
    let waiver = with(&waiver, &key, |waiver, by| waiver.signature = Some(by));
    let rule = with(&rule, &key, |rule, by| rule.signature = Some(by));
    let clarification = with(&clarification, &key, |it, by| it.signature = Some(by));
    let record = with(&record, &key, |record: &mut TermsRecord, by| {
        record.signature = Some(by);
    });
    for found in [
        trusted.look_at(&waiver, &purpose()),
        trusted.look_at(&rule, &purpose()),
        trusted.look_at(&clarification, &purpose()),
        trusted.look_at(&record, &purpose()),
    ] {
        assert_eq!(found, Signed::Holds);
    }
    let mut moved = rule;
    moved.signature = waiver.signature;
    assert_eq!(trusted.look_at(&moved, &purpose()), Signed::Changed);
    // Nor what the same key has signed as a checkpoint or a statement.
    let text = signed_text(&declaration(), &purpose());
    let begins = b"DSSEv1 35 application/vnd.limbeck.review+json ";
    assert!(
        text.starts_with(begins),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

#[test]
fn what_is_carried_on_can_be_checked_again() {
    let key = key("R. Viewer");
    let carried = Carried::new(signed(&key), &purpose());
    let value = json!(carried);
    assert_eq!(value["terms"], "openai-api-2026-01-01");
    assert_eq!(value["signed_for"]["recipe"], "tiny");
    let again: Carried<Declaration> = serde_json::from_value(value).unwrap();
    assert_eq!(again, carried);
    let trusted = Reviewers::new(vec![key.public()]);
    let found = trusted.look_at(&again.said, &again.signed_for.unwrap());
    assert_eq!(found, Signed::Holds);
    // As an older version wrote it.
    let mut older = json!(declaration());
    assert!(older.get("signature").is_none());
    let older: Carried<Declaration> = serde_json::from_value(older.take()).unwrap();
    assert_eq!(older.signed_for, None);
}

#[test]
fn a_signature_that_cannot_be_read_says_why() {
    let good = signed(&key("R. Viewer")).signature.unwrap();
    assert_eq!(good.check(), Ok(()));
    assert!(good.signer().starts_with("R._Viewer+"), "{}", good.signer());
    let mut short = good.clone();
    short.ed25519.truncate(80);
    assert_eq!(short.check(), Err(SignatureError::Bytes));
    let mut other = good;
    other.by = other.by.replace("R._Viewer", "S._Viewer");
    assert!(matches!(other.check(), Err(SignatureError::Key(_))));
    assert_eq!(other.signer(), "a key that cannot be read");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_signature_holds_that_was_not_made(by in "\\PC{0,80}", ed25519 in "[A-Za-z0-9+/]{0,90}=?=?", other in any::<[u8; 64]>()) {
        use base64::Engine;
        let key = key("R. Viewer");
        let trusted = Reviewers::new(vec![key.public()]);
        let mut declaration = declaration();
        let bytes = base64::prelude::BASE64_STANDARD.encode(other);
        for (by, ed25519) in [(by, ed25519), (key.public().to_string(), bytes)] {
            declaration.signature = Some(Signature { by, ed25519 });
            prop_assert_eq!(trusted.look_at(&declaration, &purpose()), Signed::Changed);
        }
        let value: Value = json!(declaration);
        prop_assert!(value["signature"].is_object());
    }
}
