//! What receipts are told of the terms that were in force.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::civil::Date;

use super::Store;
use crate::StoreError;
use crate::record::{Clarified, Receipt};
use crate::terms::{Collected, Origin, Registry};

/// The records that are known, and what they said of the origins so far: answers come by the thousand from one origin.
#[derive(Debug)]
pub(super) struct Told {
    registry: Registry,
    clarifications: Vec<(ClarifiedAnswers, Clarified)>,
    known: Mutex<BTreeMap<Origin, String>>,
}

/// The answers whose licence a person clarified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClarifiedAnswers {
    /// Those that a teacher gives.
    OfModel {
        /// As receipts name it.
        provider: String,
        /// As receipts name it.
        model: String,
    },
    /// Those that are imported and say that they come from here.
    From(String),
}

impl ClarifiedAnswers {
    /// Whether answers of this origin are among them.
    pub fn hold(&self, origin: &Origin) -> bool {
        match self {
            Self::OfModel { provider, model } => {
                origin.source.is_none() && *provider == origin.provider && *model == origin.model
            }
            Self::From(source) => origin.source.as_ref() == Some(source),
        }
    }
}

impl Store {
    /// From now on receipts tell which records of `registry` were in force when their answers were kept, and what a
    /// person says of their licence. What was said first holds.
    pub fn tell_terms(
        &self,
        registry: Registry,
        clarifications: Vec<(ClarifiedAnswers, Clarified)>,
    ) {
        let told = Told {
            registry,
            clarifications,
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
        let mut origin = origin(receipt, day);
        if let Some(clarified) = &receipt.clarification {
            origin.license = Some(clarified.license.clone());
        } else if let Some(clarified) = told.clarified(&origin) {
            origin.license = Some(clarified.license.clone());
        }
        let mut known = told.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(terms) = known.get(&origin) {
            return Ok(Some(terms.clone()));
        }
        let terms = self.json(&told.registry.in_force(&origin))?;
        known.insert(origin, terms.clone());
        Ok(Some(terms))
    }
}

impl Store {
    /// The column `clarification` of a receipt.
    pub(super) fn clarification_of(&self, receipt: &Receipt) -> Result<Option<String>, StoreError> {
        if let Some(clarified) = receipt.clarification.as_deref() {
            return self.json(clarified).map(Some);
        }
        let Some(told) = self.shared.terms.get() else {
            return Ok(None);
        };
        // The day does not matter.
        let clarified = told.clarified(&origin(receipt, Date::ZERO));
        clarified.map(|clarified| self.json(clarified)).transpose()
    }
}

impl Told {
    fn clarified(&self, origin: &Origin) -> Option<&Clarified> {
        let mut clarifications = self.clarifications.iter();
        let (_, clarified) = clarifications.find(|(answers, _)| answers.hold(origin))?;
        Some(clarified)
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
        clarified: None,
        source: receipt.import.as_ref().map(|import| import.source.clone()),
        model: receipt.model.clone(),
        collected: match receipt.import {
            Some(_) => Collected::Until(day),
            None => Collected::On(day),
        },
        answers: 0,
        recorded: None,
    }
}
