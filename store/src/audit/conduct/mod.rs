//! Conduct: how services were treated, as far as the attempts show it.
//!
//! Everything here is a function of what was kept of each request: when it began, what came back when, and the limits
//! that the recipe had declared. Requests to a teacher in the process itself are not among them.

mod account;
mod limits;
mod retry_after;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Area, Finding, Level};

/// So many findings of one code are told one by one; the others are counted.
const MOST_OF_A_CODE: usize = 100;

/// What may lie between a response on the wire and the moment at which requests are held back, and what clocks may
/// differ by. Within it of either end of a wait, a request is not held against anybody.
const GRACE: SignedDuration = SignedDuration::from_millis(250);

/// One request over the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Who was asked: a teacher's identity.
    pub teacher: String,
    /// Host and path that were asked.
    pub endpoint: String,
    /// What the user calls the key.
    pub key_alias: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When the response had come.
    pub answered: Timestamp,
    /// The status of the response, if one came.
    pub http_status: Option<u16>,
    /// The headers of the response that were kept, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Tokens read, as far as it is known.
    pub prompt_tokens: u64,
    /// Tokens written, as far as it is known.
    pub completion_tokens: u64,
    /// The limits in force, as its receipt tells them; requests without an answer have no receipt.
    pub limits: Option<Value>,
}

/// How many answers came from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `local`, or the name of a service.
    pub provider: String,
    /// The model, as it was asked for.
    pub model: String,
    /// The region, as the recipe declared it.
    pub region: Option<String>,
    /// Whether they were asked for elsewhere and came by file.
    pub is_import: bool,
    /// How many answers.
    pub answers: u64,
}

/// What a recipe holds its requests to beyond the limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConductPolicy {
    /// The account that each key belongs to, by the key's alias.
    pub accounts: BTreeMap<String, String>,
    /// Providers that must not be asked.
    pub banned_providers: BTreeSet<String>,
    /// Regions in which must not be asked. Where any is named, a region that was not declared is told.
    pub banned_regions: BTreeSet<String>,
    /// Models that must not be asked, by the names that services have for them.
    pub banned_models: BTreeSet<String>,
}

/// Everything that `requests` and `origins` show against `policy`, the limits and the waits that services asked for.
/// The order of the requests does not matter.
pub fn conduct(requests: &[Request], origins: &[Origin], policy: &ConductPolicy) -> Vec<Finding> {
    let mut requests: Vec<&Request> = requests.iter().collect();
    requests.sort_by_key(|request| request.started);
    let mut findings = few(retry_after::findings(&requests, policy));
    findings.extend(few(limits::findings(&requests, policy)));
    findings.extend(banned(origins, policy));
    findings.extend(not_seen(origins));
    findings.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.code.cmp(&b.code)));
    findings
}

/// The first of each code, and how many more there are.
fn few(all: Vec<Finding>) -> Vec<Finding> {
    let mut by_code: BTreeMap<String, (Finding, usize)> = BTreeMap::new();
    let mut kept = Vec::new();
    for finding in all {
        let (gravest, count) = by_code
            .entry(finding.code.clone())
            .or_insert_with(|| (finding.clone(), 0));
        *count += 1;
        if *count <= MOST_OF_A_CODE {
            kept.push(finding);
        } else if finding.level > gravest.level {
            *gravest = finding;
        }
    }
    for (mut rest, count) in by_code.into_values() {
        if count > MOST_OF_A_CODE {
            rest.message = format!("and {} more of these", count - MOST_OF_A_CODE);
            rest.path.clear();
            kept.push(rest);
        }
    }
    kept
}

/// Requests for imported answers were made elsewhere.
fn not_seen(origins: &[Origin]) -> Option<Finding> {
    let imported = origins.iter().filter(|origin| origin.is_import);
    let answers: u64 = imported.map(|origin| origin.answers).sum();
    let message = format!(
        "how services were treated when {answers} imported answers were asked for cannot be told: their requests were made elsewhere"
    );
    (answers > 0)
        .then(|| Finding::new(Area::Conduct, "not-seen", Level::Note, message).via("imports"))
}

fn banned(origins: &[Origin], policy: &ConductPolicy) -> Vec<Finding> {
    let same = |banned: &BTreeSet<String>, name: &str| {
        banned
            .iter()
            .any(|banned| banned.eq_ignore_ascii_case(name))
    };
    let mut findings = Vec::new();
    for origin in origins {
        let Origin {
            provider,
            model,
            region,
            answers,
            ..
        } = origin;
        let path = |finding: Finding| {
            finding
                .via(format!("{answers} traces"))
                .via(format!("provider `{provider}`"))
        };
        if same(&policy.banned_providers, provider) {
            findings.push(path(
                Finding::new(
                    Area::Conduct,
                    "banned-provider",
                    Level::Deny,
                    format!("{answers} answers came from `{provider}`, which the recipe bans"),
                )
                .help("leave its teacher out of the recipe, and harvest again elsewhere"),
            ));
        }
        if same(&policy.banned_models, model) {
            findings.push(path(
                Finding::new(
                    Area::Conduct,
                    "banned-model",
                    Level::Deny,
                    format!(
                        "{answers} answers came from the model `{model}`, which the recipe bans"
                    ),
                )
                .help("leave its teacher out of the recipe, and harvest again from another model"),
            ));
        }
        match region {
            Some(region) if same(&policy.banned_regions, region) => findings.push(path(
                Finding::new(
                    Area::Conduct,
                    "banned-region",
                    Level::Deny,
                    format!(
                        "{answers} answers of `{provider}` came from the region `{region}`, which the recipe bans"
                    ),
                )
                .help("ask an endpoint in another region"),
            )),
            None if provider != "local" && !policy.banned_regions.is_empty() => {
                findings.push(path(
                    Finding::new(
                        Area::Conduct,
                        "unknown-region",
                        Level::Warning,
                        format!(
                            "no region is declared for {answers} answers of `{provider}`, and the recipe bans some"
                        ),
                    )
                    .help("declare the `region` of the teacher"),
                ));
            }
            _ => {}
        }
    }
    findings
}
