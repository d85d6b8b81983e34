//! Terms: what routes and licences say of learning from answers, and what follows for an intent.
//!
//! - [`TermsRecord`]: what one text says, in our words, with digests of its clauses ([`Clause`]) and where it was read;
//!   the records that Limbeck comes with are the files in `store/terms`
//! - [`Registry`]: all records; chooses by route, plan, region and day
//! - [`Declaration`]: what a person answers for where a machine cannot decide
//! - [`Registry::judge`]: the verdict on an [`Origin`] of answers for an [`Intent`]
//!
//! A reading of public texts and no legal advice. A verdict says what the records say, not what the law does.

mod clause;
mod decide;
mod declaration;
mod duty;
mod embedded;
mod error;
mod expression;
mod intent;
mod listed;
mod origin;
mod record;
mod registry;
#[cfg(test)]
mod tests;

pub use clause::{Clause, holds, normalise_clause};
pub use decide::{Decision, OwedDuty, Verdict, decide, flow_down};
pub use declaration::{Declaration, Standing, Statement};
pub use duty::{Duty, DutyKind};
pub use error::TermsError;
pub use expression::{Licensing, license_names};
pub use intent::{Intent, Through, Use};
pub use listed::{is_listed, names_own_text};
pub use origin::{Collected, Origin, Ruling};
pub(crate) use origin::{Rules, is_own};
pub use record::{
    Basis, Class, Commercial, FlowDown, FlowDowns, Kind, Release, Source, TermsRecord,
};
pub use registry::{Registry, Route};
