//! What each field of a receipt rests on.

use std::collections::BTreeMap;
use std::fmt;

use super::{Ground, Receipt};

/// Of an answer that was asked for here. The recipe, or the model's own file, declares; what went out and what came
/// back is observed.
const ASKED_HERE: [(&str, Ground); 20] = [
    ("provider", Ground::Declared),
    ("model", Ground::Declared),
    ("model_sha256", Ground::Computed),
    ("route", Ground::Declared),
    ("license", Ground::Declared),
    ("clarification", Ground::Declared),
    ("limits", Ground::Declared),
    ("limbeck_version", Ground::Observed),
    ("request_sha256", Ground::Computed),
    ("response_sha256", Ground::Computed),
    ("terms", Ground::Computed),
    ("endpoint", Ground::Observed),
    ("plan", Ground::Declared),
    ("region", Ground::Declared),
    ("retention", Ground::Declared),
    ("contracting_entity", Ground::Declared),
    ("key_alias", Ground::Declared),
    ("request_id", Ground::Observed),
    ("answered_model", Ground::Observed),
    ("system_fingerprint", Ground::Observed),
];

/// Of an answer from elsewhere, where its import does not say otherwise.
const IMPORTED: [(&str, Ground); 4] = [
    ("route", Ground::Observed),
    ("limbeck_version", Ground::Observed),
    ("terms", Ground::Computed),
    ("clarification", Ground::Declared),
];

impl Receipt {
    /// The fields that it has, each as text and with what it rests on.
    pub fn fields(&self) -> Vec<(&'static str, String, Ground)> {
        let grounds = self.grounds();
        let service = self.service.as_deref();
        let of_service = |field: fn(&super::ServiceReceipt) -> &Option<String>| {
            service.and_then(|service| field(service).clone())
        };
        let fields = [
            ("provider", Some(self.provider.clone())),
            ("model", Some(self.model.clone())),
            (
                "answered_model",
                of_service(|service| &service.answered_model),
            ),
            ("model_sha256", self.model_sha256.clone()),
            ("route", Some(self.route.clone())),
            ("endpoint", service.map(|service| service.endpoint.clone())),
            ("license", self.license.clone()),
            (
                "clarification",
                self.clarification.as_deref().map(ToString::to_string),
            ),
            ("plan", of_service(|service| &service.plan)),
            ("region", of_service(|service| &service.region)),
            ("retention", of_service(|service| &service.retention)),
            (
                "contracting_entity",
                of_service(|service| &service.contracting_entity),
            ),
            ("terms", self.terms.as_deref().map(in_words)),
            ("key_alias", of_service(|service| &service.key_alias)),
            ("request_id", of_service(|service| &service.request_id)),
            (
                "system_fingerprint",
                of_service(|service| &service.system_fingerprint),
            ),
            (
                "limits",
                (!self.limits.is_null()).then(|| self.limits.to_string()),
            ),
            ("request_sha256", Some(self.request_sha256.clone())),
            ("response_sha256", Some(self.response_sha256.clone())),
            ("limbeck_version", Some(self.limbeck_version.clone())),
        ];
        let told = fields.into_iter().filter_map(|(name, value)| {
            let ground = grounds.get(name).copied().unwrap_or(Ground::Unknown);
            Some((name, value?, ground))
        });
        told.collect()
    }

    /// What its fields rest on, by their names.
    pub fn grounds(&self) -> BTreeMap<&str, Ground> {
        let Some(import) = self.import.as_deref() else {
            let mut grounds = BTreeMap::from(ASKED_HERE);
            // The way to a model in this process is no declaration.
            if self.service.is_none() {
                grounds.insert("route", Ground::Observed);
            }
            return grounds;
        };
        let mut grounds = BTreeMap::from(IMPORTED);
        if let Some(service) = import.grounds.get("service") {
            for field in [
                "endpoint",
                "answered_model",
                "request_id",
                "system_fingerprint",
            ] {
                grounds.insert(field, *service);
            }
        }
        for (field, ground) in &import.grounds {
            grounds.insert(field, *ground);
        }
        grounds
    }
}

impl fmt::Display for super::Clarified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest: String = self.sha256.chars().take(12).collect();
        let (license, reviewer, text) = (&self.license, &self.reviewer, &self.text);
        write!(
            f,
            "{license}, as {reviewer} declares by `{text}` ({digest}…)"
        )
    }
}

fn in_words(terms: &[super::TermsInForce]) -> String {
    if terms.is_empty() {
        return "no record was in force".to_owned();
    }
    let named = terms.iter().map(|one| {
        let digest: String = one.sha256.chars().take(12).collect();
        format!("{} ({digest}…)", one.id)
    });
    named.collect::<Vec<_>>().join(", ")
}
