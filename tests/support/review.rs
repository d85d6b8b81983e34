//! Persons who sign what a recipe says.

use std::collections::BTreeSet;
use std::fs;

use limbeck_store::ledger::{PublicKey, SecretKey};
use limbeck_store::review::{Purpose, Signable, key_name, sign};
use limbeck_store::terms::Use;
use serde::de::DeserializeOwned;

use super::Project;

/// Who answers for everything in these recipes.
pub const REVIEWER: &str = "R. Viewer";

impl Project {
    /// Signs as the reviewer what the recipe declares, waives, clarifies and excepts; this machine trusts the key.
    pub fn sign(&self) -> &Self {
        self.reviewer();
        let sign = self.limbeck().args(["sign", "recipe.toml"]);
        sign.run().succeeds();
        self
    }

    /// The reviewer's public key, which is made where there is none.
    pub fn reviewer(&self) -> String {
        let key = self.path().join("config/reviewer.key");
        let command = if key.exists() {
            self.limbeck().args(["keys", "show", "--reviewer"])
        } else {
            let new = self.limbeck().args(["keys", "new", "--reviewer"]);
            new.arg(REVIEWER)
        };
        command.run().succeeds().stdout.trim().to_owned()
    }

    /// Name and id of the reviewer's key, which is how people are told of it.
    pub fn signer(&self) -> String {
        // Not to be cut at a `+`: the rest of the key may have some as well.
        PublicKey::parse(&self.reviewer()).unwrap().short()
    }

    /// Adds to the recipe one thing that the reviewer signs, though `limbeck sign` would not: it ended since.
    pub fn add_signed<T: Signable + DeserializeOwned>(&self, kind: &str, fields: &str) {
        self.reviewer();
        let secret = fs::read_to_string(self.path().join("config/reviewer.key")).unwrap();
        let key = SecretKey::parse(&secret).unwrap();
        assert_eq!(key.public().name(), key_name(REVIEWER));
        let said: T = toml::from_str(fields).unwrap();
        // As the recipes of these tests begin.
        let purpose = Purpose {
            recipe: "tiny".to_owned(),
            uses: BTreeSet::from([Use::Train, Use::ReleaseModel]),
            student_license: Some("apache-2.0".to_owned()),
            student_license_sha256: None,
            commercial: None,
        };
        let signature = sign(&said, &purpose, &key);
        let (by, ed25519) = (signature.by, signature.ed25519);
        let text = format!(
            "[[{kind}]]\n{fields}signature = {{ by = \"{by}\", ed25519 = \"{ed25519}\" }}\n\n[harvest]\n"
        );
        self.edit("[harvest]\n", &text);
    }
}
