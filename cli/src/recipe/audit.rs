//! `[audit]` and `[[waiver]]`: what a recipe holds itself to, and where it does not.

use std::collections::{BTreeMap, BTreeSet};

use limbeck_store::audit::conduct::ConductPolicy;
use limbeck_store::audit::{Rule, Waiver};
use serde::{Deserialize, Serialize};

use super::Recipe;

/// `[audit]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// Providers whose answers must not be among the traces.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub banned_providers: BTreeSet<String>,
    /// Regions in which must not be asked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub banned_regions: BTreeSet<String>,
    /// Models that must not be asked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub banned_models: BTreeSet<String>,
    /// The keys of each account, by what receipts call them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, BTreeSet<String>>,
    /// How grave findings are, by their code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<Rule>,
}

impl AuditSection {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Recipe {
    /// What requests are held to.
    pub fn conduct(&self) -> ConductPolicy {
        let section = &self.document.audit;
        let keys = section.accounts.iter().flat_map(|(account, keys)| {
            let keys = keys.iter();
            keys.map(|key| (key.clone(), account.clone()))
        });
        ConductPolicy {
            accounts: keys.collect(),
            banned_providers: section.banned_providers.clone(),
            banned_regions: section.banned_regions.clone(),
            banned_models: section.banned_models.clone(),
        }
    }

    /// Every `[[audit.rule]]`, signed or not.
    pub fn rules(&self) -> &[Rule] {
        &self.document.audit.rule
    }

    /// Every `[[waiver]]`, signed or not.
    pub fn waivers(&self) -> &[Waiver] {
        &self.document.waiver
    }
}
