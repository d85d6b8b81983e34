//! All records, and which of them is in force where and when.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::embedded::EMBEDDED;
use super::expression::license_names;
use super::record::Kind;
use super::{Class, Clause, Collected, TermsError, TermsRecord, normalise_clause};

/// The plan that is meant where none is named.
const USUAL_PLAN: &str = "api";

/// A way to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// What receipts call the provider.
    pub provider: &'a str,
    /// The plan, as the recipe declares it.
    pub plan: Option<&'a str>,
    /// The region, as the recipe declares it.
    pub region: Option<&'a str>,
}

/// All records of terms that are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    /// By their ids in lower case, each with the file that it was read from.
    records: BTreeMap<String, (String, TermsRecord)>,
}

impl Registry {
    /// The records that Limbeck comes with.
    pub fn embedded() -> Result<Self, TermsError> {
        let mut registry = Self::default();
        for (file, text) in EMBEDDED {
            registry.add(file, TermsRecord::parse(file, text)?)?;
        }
        Ok(registry)
    }

    /// Adds a record that `file` holds. It must not be for the same route or licence and day as another.
    pub fn add(&mut self, file: &str, record: TermsRecord) -> Result<(), TermsError> {
        record.check(file)?;
        for (known_file, known) in self.records.values() {
            if let Some(what) = overlap(known, &record) {
                return Err(TermsError::Twice {
                    what,
                    first: known_file.clone(),
                    second: file.to_owned(),
                });
            }
        }
        let id = record.id.to_lowercase();
        self.records.insert(id, (file.to_owned(), record));
        Ok(())
    }

    /// All records, by their ids.
    pub fn records(&self) -> impl Iterator<Item = &TermsRecord> {
        self.records.values().map(|(_, record)| record)
    }

    /// The record called `id`.
    pub fn record(&self, id: &str) -> Option<&TermsRecord> {
        self.records
            .get(&id.to_lowercase())
            .map(|(_, record)| record)
    }

    /// Whether there is a record of some plan of `provider`.
    pub fn knows_provider(&self, provider: &str) -> bool {
        self.routes_of(provider).next().is_some()
    }

    /// Whether there is a record of the licence `name`, or of every one that an expression names.
    pub fn knows_license(&self, name: &str) -> bool {
        let knows = |name: &str| self.licenses_called(name).next().is_some();
        knows(name) || license_names(name).iter().all(|name| knows(name))
    }

    /// What was in force on `route` when answers were collected.
    ///
    /// Of answers whose day is known: the newest record that was in force. Of others: the strictest of all that were
    /// in force until then.
    pub fn on_route(&self, route: Route<'_>, collected: Collected) -> Option<&TermsRecord> {
        let of_plan = self.of_plan(route);
        let is_for = |record: &&&TermsRecord, region: &str| {
            record
                .regions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(region))
        };
        let regional: Vec<&TermsRecord> = match route.region {
            Some(region) => of_plan
                .iter()
                .filter(|record| is_for(record, region))
                .copied()
                .collect(),
            None => Vec::new(),
        };
        if !regional.is_empty() {
            return in_force(regional, collected);
        }
        let everywhere = of_plan
            .into_iter()
            .filter(|record| record.regions.is_empty());
        in_force(everywhere, collected)
    }

    /// The licence that is called `name`, in the version of the day.
    pub fn license(&self, name: &str, collected: Collected) -> Option<&TermsRecord> {
        let called: Vec<&TermsRecord> = self.licenses_called(name).collect();
        let exact = called
            .iter()
            .find(|record| record.id.eq_ignore_ascii_case(name.trim()));
        exact.copied().or_else(|| in_force(called, collected))
    }

    /// The licence whose clauses `text` holds; of several the one of which it holds most.
    pub fn license_of_text(&self, text: &str) -> Option<&TermsRecord> {
        let normalised = normalise_clause(text);
        let length = |record: &TermsRecord| -> usize {
            record.clauses().map(|clause: &Clause| clause.bytes).sum()
        };
        self.records()
            .filter(|record| record.kind == Kind::License && record.is_text(&normalised))
            .max_by_key(|record| length(record))
    }

    fn routes_of(&self, provider: &str) -> impl Iterator<Item = &TermsRecord> {
        self.records().filter(move |record| {
            record
                .providers
                .iter()
                .any(|known| known.eq_ignore_ascii_case(provider))
        })
    }

    fn licenses_called(&self, name: &str) -> impl Iterator<Item = &TermsRecord> {
        self.records()
            .filter(move |record| record.kind == Kind::License && record.is_called(name))
    }

    /// The records of the plan that is named; of the usual plan where none, or none that is known, is; of the only
    /// plan where there is but one.
    fn of_plan(&self, route: Route<'_>) -> Vec<&TermsRecord> {
        let all: Vec<&TermsRecord> = self.routes_of(route.provider).collect();
        let is_plan = |record: &TermsRecord, plan: &str| {
            let own = record.plan.iter().chain(&record.plan_aliases);
            own.into_iter()
                .any(|known| known.eq_ignore_ascii_case(plan))
        };
        let of = |plan: &str| -> Vec<&TermsRecord> {
            all.iter()
                .filter(|record| is_plan(record, plan))
                .copied()
                .collect()
        };
        let named = route.plan.map(of).unwrap_or_default();
        if !named.is_empty() {
            return named;
        }
        let usual = of(USUAL_PLAN);
        if !usual.is_empty() {
            return usual;
        }
        let first = all.first().and_then(|record| record.plan.clone());
        let is_only = all.iter().all(|record| record.plan == first);
        if is_only { all } else { Vec::new() }
    }
}

/// The newest of `records` that was in force on the day; the strictest until the day where it is only known to be over.
fn in_force<'a>(
    records: impl IntoIterator<Item = &'a TermsRecord>,
    collected: Collected,
) -> Option<&'a TermsRecord> {
    let day = collected.day();
    let until = records
        .into_iter()
        .filter(|record| record.effective.is_none_or(|effective| effective <= day));
    match collected {
        Collected::On(_) => until.max_by_key(|record| record.effective),
        Collected::Until(_) => {
            until.max_by_key(|record| (strictness(record.class), record.effective))
        }
    }
}

fn strictness(class: Class) -> u8 {
    match class {
        Class::Any => 0,
        Class::NoncompetingOnly => 1,
        Class::Unclear => 2,
        Class::ResearchOnly => 3,
        Class::PriorAuthorisation => 4,
        Class::SameFamilyOnly => 5,
        Class::Forbidden => 6,
    }
}

/// What both records are for, if they are for the same on the same day.
fn overlap(one: &TermsRecord, other: &TermsRecord) -> Option<String> {
    if one.id.eq_ignore_ascii_case(&other.id) {
        return Some(format!("id `{}`", one.id));
    }
    if one.kind != other.kind || one.effective != other.effective {
        return None;
    }
    let day = one.effective.map_or_else(
        || "without a date".to_owned(),
        |day: Date| format!("of {day}"),
    );
    if one.kind == Kind::License {
        let names = std::iter::once(&other.id).chain(&other.names);
        let shared = names.into_iter().find(|name| one.is_called(name))?;
        return Some(format!("licence `{shared}` {day}"));
    }
    let shared = |ones: &[String], others: &[String]| {
        ones.iter()
            .find(|name| others.iter().any(|other| other.eq_ignore_ascii_case(name)))
            .cloned()
    };
    let provider = shared(&one.providers, &other.providers)?;
    let same_region = (one.regions.is_empty() && other.regions.is_empty())
        || shared(&one.regions, &other.regions).is_some();
    let plan = one
        .plan
        .as_ref()
        .filter(|plan| Some(*plan) == other.plan.as_ref())?;
    same_region.then(|| format!("route `{provider}`, plan `{plan}`, {day}"))
}
