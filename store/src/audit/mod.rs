//! The audit: what a person who answers for the data must know, as findings with codes that never change.
//!
//! An audit reads; it never repairs. Each of its areas is a function from what is kept to [`Finding`]s, and every
//! finding says what it is about, by which way that came in, and what to do. Nothing here calls anything lawful.

mod clarifications;
mod codes;
pub mod conduct;
mod finding;
pub(crate) mod integrity;
mod licences;
mod lineage;
mod policy;
#[cfg(test)]
mod policy_tests;
pub mod privacy;
pub mod provenance;
mod rights;
#[cfg(test)]
mod rights_tests;
mod signatures;
mod terms;

pub use clarifications::Clarification;
pub use codes::{CODES, Code};
pub use finding::{Area, Finding, Level};
pub use integrity::IntegrityOptions;
pub use licences::licences;
pub use lineage::Lineage;
pub use policy::{AppliedRule, AuditPolicy, Rule, RuleLevel, Waiver};
pub use rights::{LicenseTags, LicenseText, Licensed, RightsInput};
pub use signatures::of_signature;
pub use terms::terms;

/// The gravest first, and each but once.
fn gravest_first(findings: Vec<Finding>) -> Vec<Finding> {
    let mut unique: Vec<Finding> = Vec::new();
    for finding in findings {
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    unique.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.code.cmp(&b.code)));
    unique
}
