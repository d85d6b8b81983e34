//! What receipts are told of the terms that were in force.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::civil::Date;

use super::Store;
use crate::StoreError;
use crate::record::Receipt;
use crate::terms::{Collected, Origin, Registry};

/// The records that are known, and what they said of the origins so far: answers come by the thousand from one origin.
#[derive(Debug)]
pub(super) struct Told {
    registry: Registry,
    known: Mutex<BTreeMap<Origin, String>>,
}

impl Store {
    /// From now on receipts tell which records of `registry` were in force when their answers were kept. What was said
    /// first holds.
    pub fn tell_terms(&self, registry: Registry) {
        let told = Told {
            registry,
            known: Mutex::default(),
        };
        // A second registry is not taken.
        let _ = self.shared.terms.set(told);
    }

    /// The column `terms` of a receipt that is kept at `recorded_at`.
    pub(super) fn terms_of(
        &self,
        receipt: &Receipt,
        recorded_at: &str,
    ) -> Result<Option<String>, StoreError> {
        if let Some(terms) = &receipt.terms {
            return self.json(terms).map(Some);
        }
        let Some(told) = self.shared.terms.get() else {
            return Ok(None);
        };
        let day: Date = recorded_at
            .get(..10)
            .and_then(|day| day.parse().ok())
            .ok_or_else(|| self.damaged(format_args!("the time is `{recorded_at}`")))?;
        let origin = origin(receipt, day);
        let mut known = told.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(terms) = known.get(&origin) {
            return Ok(Some(terms.clone()));
        }
        let terms = self.json(&told.registry.in_force(&origin))?;
        known.insert(origin, terms.clone());
        Ok(Some(terms))
    }
}

/// Where an answer came from, as the audit of terms reads it out of the store.
fn origin(receipt: &Receipt, day: Date) -> Origin {
    let service = receipt.service.as_deref();
    Origin {
        provider: receipt.provider.clone(),
        route: receipt.route.clone(),
        plan: service.and_then(|service| service.plan.clone()),
        region: service.and_then(|service| service.region.clone()),
        endpoint: service.map(|service| service.endpoint.clone()),
        license: receipt.license.clone(),
        model: receipt.model.clone(),
        collected: match receipt.import {
            Some(_) => Collected::Until(day),
            None => Collected::On(day),
        },
        answers: 0,
        recorded: None,
    }
}
