//! Where answers came from, and the verdict on them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::expression::Licensing;
use super::{
    Decision, Declaration, Intent, Registry, Route, Standing, Statement, TermsRecord, Through,
    decide, flow_down, license_names,
};
use crate::record::{Clarified, TermsInForce};

/// The provider that is this process.
const LOCAL: &str = "local";
/// Providers behind which stands one's own machine: the licence of the weights is all that binds.
const SELF_HOSTED: [&str; 5] = [LOCAL, "llamacpp", "vllm", "ollama", "lmstudio"];
/// Any server that speaks `OpenAI`'s dialect; one's own machine if its address is.
const ANY_SERVER: &str = "compatible";
/// The route of answers that were asked for elsewhere.
const IMPORT: &str = "import";
/// What stands for a provider that nobody names.
const UNKNOWN: &str = "unknown";
/// What those who import their own answers give as the licence: it adds nothing to the route's terms.
const OWN: [&str; 2] = ["proprietary", "own"];

/// Whether `license` says that data are one's own.
pub(crate) fn is_own(license: &str) -> bool {
    OWN.contains(&license.to_lowercase().as_str())
}

/// When answers were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collected {
    /// On that day.
    On(Date),
    /// On that day or before; nobody knows when.
    Until(Date),
}

impl Collected {
    /// The day, or the last day on which it can have been.
    pub fn day(self) -> Date {
        match self {
            Self::On(day) | Self::Until(day) => day,
        }
    }
}

/// Where answers came from, as their receipts say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// `local`, or the name of a service.
    pub provider: String,
    /// The way to the model, such as `in-process` or `import`.
    pub route: String,
    /// The plan, as the recipe declares it.
    pub plan: Option<String>,
    /// The region, as the recipe declares it.
    pub region: Option<String>,
    /// Host and path that were asked.
    pub endpoint: Option<String>,
    /// The licence that the model, or the imported data, declares; or that a person says it really is.
    pub license: Option<String>,
    /// That person's word, where it stands for what is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clarified: Option<Clarified>,
    /// Of imported answers, where they are said to come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The model.
    pub model: String,
    /// When.
    pub collected: Collected,
    /// How many answers.
    pub answers: u64,
    /// The records that the receipts say were in force, with their digests; `None` where they do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Vec<TermsInForce>>,
}

impl Origin {
    /// In a few words, as a step of the way by which something came in.
    pub fn describe(&self) -> String {
        let plan = self.plan.as_ref().map(|plan| format!(", plan `{plan}`"));
        let region = self
            .region
            .as_ref()
            .map(|region| format!(", region `{region}`"));
        format!(
            "route `{}` over `{}`{}{}",
            self.provider,
            self.route,
            plan.unwrap_or_default(),
            region.unwrap_or_default()
        )
    }

    /// Whether a model in the process itself gave them.
    pub fn is_local(&self) -> bool {
        self.provider == LOCAL
    }

    fn as_route(&self) -> Route<'_> {
        Route {
            provider: &self.provider,
            plan: self.plan.as_deref(),
            region: self.region.as_deref(),
        }
    }

    fn is_self_hosted(&self) -> bool {
        SELF_HOSTED.contains(&self.provider.as_str())
            || (self.provider == ANY_SERVER
                && self.endpoint.as_deref().is_some_and(is_this_machine))
    }
}

/// Whether `endpoint`, host and path with or without a scheme, is at a loopback address.
fn is_this_machine(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let host = authority.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback();
    }
    let name = authority
        .split_once(':')
        .map_or(authority, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

/// A verdict on answers of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The verdict.
    pub decision: Decision,
    /// The ids of the records that it rests on.
    pub records: BTreeSet<String>,
}

/// Terms that bind an origin.
pub(crate) enum Binding<'a> {
    /// A record says what.
    Record(&'a TermsRecord),
    /// No record does.
    Missing(String),
    /// A licence expression, of whose sides the intent decides which binds.
    Expression {
        /// The expression.
        license: String,
        /// What is under it.
        of: String,
    },
    /// A person has to say what, about a record that is known.
    Open(&'a TermsRecord, String),
}

impl Registry {
    /// What may be done with answers of `origin`, with the declarations that hold on the day `today`.
    pub fn judge(
        &self,
        origin: &Origin,
        intent: &Intent,
        declarations: &[Declaration],
        today: Date,
    ) -> Ruling {
        let mut ruling = Ruling {
            decision: Decision::allow(),
            records: BTreeSet::new(),
        };
        let through = Through::Answers;
        for binding in self.bindings(origin) {
            let decision = match binding {
                Binding::Record(record) => {
                    ruling.records.insert(record.id.clone());
                    let declared = self.declared(record, declarations, today);
                    decide(record, through, intent, &declared)
                }
                Binding::Expression { license, of } => {
                    let rules = Rules {
                        registry: self,
                        intent,
                        declarations,
                        today,
                    };
                    let (decision, records) = rules.expression(&license, &of, origin.collected);
                    ruling.records.extend(records);
                    decision
                }
                Binding::Missing(reason) => Decision::unknown(reason),
                Binding::Open(record, reason) => {
                    ruling.records.insert(record.id.clone());
                    let declared = self.declared(record, declarations, today);
                    let mut open = Decision::allow();
                    if !declared.contains(&Statement::Reviewed) {
                        open.need(record, Statement::Reviewed, reason);
                    }
                    open
                }
            };
            ruling.decision = ruling.decision.meet(decision);
        }
        ruling
    }

    /// The records that bound answers of `origin` when they were given, by their ids.
    pub fn in_force(&self, origin: &Origin) -> Vec<TermsInForce> {
        let bindings = self.bindings(origin).into_iter();
        let records = bindings.flat_map(|binding| match binding {
            Binding::Record(record) | Binding::Open(record, _) => vec![record],
            Binding::Missing(_) => Vec::new(),
            Binding::Expression { license, .. } => {
                let names = license_names(&license).into_iter();
                names
                    .filter_map(|name| self.license(&name, origin.collected))
                    .collect()
            }
        });
        let named: BTreeSet<TermsInForce> = records
            .map(|record| TermsInForce {
                id: record.id.clone(),
                sha256: record.digest(),
            })
            .collect();
        named.into_iter().collect()
    }

    /// What is declared about `record` and holds.
    pub fn declared(
        &self,
        record: &TermsRecord,
        declarations: &[Declaration],
        today: Date,
    ) -> BTreeSet<Statement> {
        declarations
            .iter()
            .filter(|declaration| record.id.eq_ignore_ascii_case(&declaration.terms))
            .filter(|declaration| declaration.standing(self, today) == Standing::Valid)
            .flat_map(|declaration| declaration.says.iter().copied())
            .collect()
    }

    /// Everything that binds answers of `origin`.
    pub(crate) fn bindings<'a>(&'a self, origin: &Origin) -> Vec<Binding<'a>> {
        if origin.is_self_hosted() {
            return vec![self.license_binding(origin, "the model")];
        }
        if origin.route == IMPORT {
            return self.import_bindings(origin);
        }
        self.route_bindings(origin)
    }

    fn import_bindings<'a>(&'a self, origin: &Origin) -> Vec<Binding<'a>> {
        let is_named = origin.provider != UNKNOWN;
        let mut bindings = Vec::new();
        if !(is_named && origin.license.as_deref().is_some_and(is_own)) {
            bindings.push(self.license_binding(origin, "the imported data"));
        }
        if is_named {
            bindings.extend(self.route_bindings(origin));
        } else if let Some(Binding::Record(record)) = bindings.first() {
            let reason = format!(
                "nobody says who answered what was imported under `{}`",
                record.id
            );
            let open = Binding::Open(record, reason);
            bindings.push(open);
        }
        bindings
    }

    fn route_bindings<'a>(&'a self, origin: &Origin) -> Vec<Binding<'a>> {
        let Some(record) = self.on_route(origin.as_route(), origin.collected) else {
            let day = origin.collected.day();
            let reason = format!("no record of terms of {} on {day}", origin.describe());
            return vec![Binding::Missing(reason)];
        };
        let mut bindings = vec![Binding::Record(record)];
        if record.passes_through {
            bindings.push(self.behind(record, origin));
        }
        bindings
    }

    /// What stands behind a route that passes requests on: the licence of the weights, or the terms of the provider
    /// that the model's name begins with.
    fn behind<'a>(&'a self, router: &'a TermsRecord, origin: &Origin) -> Binding<'a> {
        if origin.license.is_some() {
            return self.license_binding(origin, "the model");
        }
        let provider = origin.model.split_once('/').map(|(provider, _)| provider);
        let route = provider.map(|provider| Route {
            provider,
            plan: None,
            region: origin.region.as_deref(),
        });
        let behind = route.and_then(|route| self.on_route(route, origin.collected));
        match behind {
            Some(record) if !record.passes_through => Binding::Record(record),
            _ => {
                let reason = format!(
                    "`{}` passes requests on, and the licence of `{}` is not declared",
                    router.id, origin.model
                );
                Binding::Open(router, reason)
            }
        }
    }

    fn license_binding<'a>(&'a self, origin: &Origin, of: &str) -> Binding<'a> {
        let Some(name) = &origin.license else {
            let reason = format!("the licence of {of} `{}` is not declared", origin.model);
            return Binding::Missing(reason);
        };
        match self.license(name, origin.collected) {
            Some(record) => Binding::Record(record),
            None => Binding::Expression {
                license: name.clone(),
                of: format!("{of} `{}`", origin.model),
            },
        }
    }
}

/// What decides which side of a licence expression is the most permissive.
pub(crate) struct Rules<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) intent: &'a Intent,
    pub(crate) declarations: &'a [Declaration],
    pub(crate) today: Date,
}

impl<'a> Rules<'a> {
    /// What binds something that reaches the student `through` a licence expression.
    pub(crate) fn licensing(
        &self,
        license: &str,
        through: Through,
        collected: Collected,
    ) -> Licensing<'a> {
        let verdict = |record: &TermsRecord| {
            let declared = self
                .registry
                .declared(record, self.declarations, self.today);
            let goes_on = flow_down(self.registry, record, through, self.intent, &declared);
            decide(record, through, self.intent, &declared)
                .meet(goes_on)
                .verdict
        };
        self.registry.licensing(license, collected, &verdict)
    }

    /// The decision on answers under a licence expression, and the records that it rests on.
    fn expression(&self, license: &str, of: &str, collected: Collected) -> (Decision, Vec<String>) {
        let through = Through::Answers;
        let licensing = self.licensing(license, through, collected);
        let mut decision = Decision::allow();
        for record in &licensing.records {
            let declared = self
                .registry
                .declared(record, self.declarations, self.today);
            decision = decision.meet(decide(record, through, self.intent, &declared));
        }
        for name in &licensing.missing {
            let reason = format!("no record of the licence `{name}` of {of}");
            decision = decision.meet(Decision::unknown(reason));
        }
        let ids = licensing.records.iter().map(|record| record.id.clone());
        (decision, ids.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::is_this_machine;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        for own in [
            "127.0.0.1:8080/v1/chat/completions",
            "http://localhost:1234/v1",
            "localhost/v1",
            "[::1]:8080/v1",
            "http://[::1]/v1",
            "127.0.0.53",
        ] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in [
            "127.0.0.1.example.org/v1",
            "127.example.org:80",
            "localhost.example.org",
            "https://api.openai.com/v1",
            "user@127.0.0.1:80",
            "10.0.0.1:8080",
            "",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }
}
