//! What is owed under terms.

use serde::{Deserialize, Serialize};

use super::{Through, Use};

/// What is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DutyKind {
    /// Notices go on.
    Notice,
    /// A copy of the licence goes on.
    LicenceCopy,
    /// Authors are named.
    Attribution,
    /// Words are displayed.
    Display,
    /// The student's name begins in some way.
    NamingPrefix,
    /// Recipients are bound to restrictions of use.
    AcceptableUse,
    /// Above a number of users something else applies.
    UserLimit,
    /// Some regions are left out.
    RegionLimit,
    /// Rate limits are kept.
    KeepLimits,
    /// A paid plan is needed.
    PaidPlan,
    /// Guardrails stay.
    Guardrails,
}

impl DutyKind {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::LicenceCopy => "licence-copy",
            Self::Attribution => "attribution",
            Self::Display => "display",
            Self::NamingPrefix => "naming-prefix",
            Self::AcceptableUse => "acceptable-use",
            Self::UserLimit => "user-limit",
            Self::RegionLimit => "region-limit",
            Self::KeepLimits => "keep-limits",
            Self::PaidPlan => "paid-plan",
            Self::Guardrails => "guardrails",
        }
    }
}

/// Something that is owed under terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duty {
    /// What it is.
    pub kind: DutyKind,
    /// What to do, in our words.
    pub text: String,
    /// The words to display, or what the student's name begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<String>,
    /// The ways on which the terms reach the student for it to be owed.
    #[serde(default = "answers")]
    pub through: Vec<Through>,
    /// The uses for which it is owed.
    pub uses: Vec<Use>,
}

fn answers() -> Vec<Through> {
    vec![Through::Answers]
}
