//! A record of terms: what a route or a licence says, in our words.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::clause::Clause;
use super::duty::{Duty, DutyKind};
use super::{TermsError, Use};
use crate::identity::content_id;
use crate::review::{Signable, Signature};

/// What terms say of learning from answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Any model may learn from them.
    Any,
    /// Models that compete with the provider's may not.
    NoncompetingOnly,
    /// Only models that derive from the same weights may.
    SameFamilyOnly,
    /// Only for research.
    ResearchOnly,
    /// Only with an authorisation by the provider.
    PriorAuthorisation,
    /// No model may.
    Forbidden,
    /// The text leaves it open.
    Unclear,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Any,
        Self::NoncompetingOnly,
        Self::SameFamilyOnly,
        Self::ResearchOnly,
        Self::PriorAuthorisation,
        Self::Forbidden,
        Self::Unclear,
    ];

    /// The name as it is written in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::NoncompetingOnly => "noncompeting_only",
            Self::SameFamilyOnly => "same_family_only",
            Self::ResearchOnly => "research_only",
            Self::PriorAuthorisation => "prior_authorisation",
            Self::Forbidden => "forbidden",
            Self::Unclear => "unclear",
        }
    }
}

/// Whether a record is about a service or about a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A way to a service, under a contract.
    Route,
    /// The licence of weights or data.
    License,
}

/// What terms say of commercial use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Commercial {
    /// It is permitted as anything else is.
    #[default]
    Allowed,
    /// Only with consent in writing.
    ByConsent,
    /// Not at all.
    Forbidden,
}

/// What terms say of giving the answers themselves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// It is permitted as anything else is.
    #[default]
    Allowed,
    /// The text leaves it open.
    Unclear,
    /// Not at all.
    Forbidden,
}

/// What has to go on with the student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowDown {
    /// Nothing.
    #[default]
    None,
    /// Notices, which any licence leaves room for.
    Notice,
    /// Restrictions of use, by which recipients are bound.
    UseRestrictions,
    /// The same licence for what is made.
    ShareAlike,
    /// The licence itself.
    Licence,
}

/// What has to go on with the student, by the way on which the terms reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowDowns {
    /// Because it learned from answers.
    #[serde(default)]
    pub answers: FlowDown,
    /// Because it takes weights.
    #[serde(default)]
    pub weights: FlowDown,
}

/// What a record rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The text itself was read, and its clauses have digests.
    Primary,
    /// What others say of the text. It allows nothing without a declaration.
    Secondary,
}

/// Where a text was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What the text is called.
    pub name: String,
    /// Where its publisher has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The repository of the archive that it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Its path there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The commit there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The hex SHA-256 of the file, for a text that somebody saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The day on which the archive, or the one who saved it, had this text.
    pub retrieved: Date,
    /// Its clauses that matter.
    #[serde(default, rename = "clause", skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<Clause>,
}

/// What a route or a licence says, in our words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsRecord {
    /// What it is about.
    pub kind: Kind,
    /// What declarations call it. Of licences: the SPDX identifier, or that of `ScanCode`'s `LicenseDB`.
    pub id: String,
    /// What the text is called.
    pub title: String,
    /// Of a route: what receipts call the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Of a route: the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Of a route: other names of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan_aliases: Vec<String>,
    /// Of a route: the regions of customers that it is for; everywhere if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Of a licence: other names, as model files and hubs write them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Of a licence of weights: the family that they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// What it says of learning from answers.
    pub class: Class,
    /// The uses that the class is about; the others are free of it.
    #[serde(default = "all_uses")]
    pub applies_to: Vec<Use>,
    /// Whether the provider may permit what the class forbids.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifted_by_authorisation: bool,
    /// Whether classifiers that are not given to others are excepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub classifiers_excepted: bool,
    /// Whether the terms of whoever provides the model apply as well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub passes_through: bool,
    /// What it says of commercial use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub commercial: Commercial,
    /// What it says of giving the answers to others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub release: Release,
    /// What has to go on with the student.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flow_down: FlowDowns,
    /// From when on it is in force; always, if nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Date>,
    /// What the record rests on.
    pub basis: Basis,
    /// What the text says, in our words.
    pub summary: String,
    /// Of a recipe's own record: the signature of the person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What is owed.
    #[serde(default, rename = "duty", skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<Duty>,
    /// Where the texts were read.
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

impl Signable for TermsRecord {
    const KIND: &'static str = "terms";

    fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn all_uses() -> Vec<Use> {
    Use::ALL.to_vec()
}

impl TermsRecord {
    /// Reads the record in `text`, the content of `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, TermsError> {
        let record: Self = toml::from_str(text).map_err(|error| TermsError::Malformed {
            file: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        record.check(file)?;
        Ok(record)
    }

    /// What the types cannot say; `file` is where the record stands.
    pub fn check(&self, file: &str) -> Result<(), TermsError> {
        let invalid = |key: &str, problem: &str| {
            Err(TermsError::Invalid {
                file: file.to_owned(),
                key: key.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if self.id.trim().is_empty() || self.id.contains(char::is_whitespace) {
            return invalid("id", "must be a word");
        }
        let is_route = self.kind == Kind::Route;
        if is_route && self.providers.is_empty() {
            return invalid("providers", "is missing; a route has a provider");
        }
        if is_route && self.plan.is_none() {
            return invalid("plan", "is missing; `api` is the usual one");
        }
        let names_a_route = !self.providers.is_empty() || self.plan.is_some();
        if !is_route && names_a_route {
            return invalid("providers", "is for routes only");
        }
        let has_clauses = self.clauses().next().is_some();
        if self.basis == Basis::Primary && !has_clauses {
            return invalid(
                "basis",
                "is `primary`, but no clause has a digest; without one it is `secondary`",
            );
        }
        let wrong = self.clauses().find(|clause| !clause.is_well_formed());
        if let Some(clause) = wrong {
            let problem = format!("of the clause `{}` is no SHA-256 of text", clause.at);
            return invalid("source.clause.sha256", &problem);
        }
        let nameless = |duty: &&Duty| duty.kind == DutyKind::NamingPrefix && duty.show.is_none();
        if self.duties.iter().any(|duty| nameless(&duty)) {
            return invalid("duty.show", "is missing; it says what the name begins with");
        }
        Ok(())
    }

    /// All its clauses.
    pub fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.sources.iter().flat_map(|source| &source.clauses)
    }

    /// What a declaration about it rests on: changes as soon as anything does that a decision depends on, and not with
    /// our wording.
    pub fn digest(&self) -> String {
        let clauses: Vec<&str> = self
            .clauses()
            .map(|clause| clause.sha256.as_str())
            .collect();
        let duties: Vec<_> = self
            .duties
            .iter()
            .map(|duty| json!([duty.kind, duty.show, duty.through, duty.uses]))
            .collect();
        content_id(&json!({
            "id": self.id,
            "class": self.class,
            "applies_to": self.applies_to,
            "lifted_by_authorisation": self.lifted_by_authorisation,
            "classifiers_excepted": self.classifiers_excepted,
            "passes_through": self.passes_through,
            "commercial": self.commercial,
            "release": self.release,
            "flow_down": self.flow_down,
            "effective": self.effective,
            "basis": self.basis,
            "clauses": clauses,
            "duties": duties,
        }))
    }

    /// Whether it is called `name`, in any case.
    pub fn is_called(&self, name: &str) -> bool {
        std::iter::once(&self.id)
            .chain(&self.names)
            .any(|known| known.eq_ignore_ascii_case(name.trim()))
    }

    /// Whether `text`, in the spelling of [`normalise_clause`](super::normalise_clause), holds all its clauses.
    pub fn is_text(&self, normalised: &str) -> bool {
        let mut clauses = self.clauses().peekable();
        clauses.peek().is_some() && clauses.all(|clause| super::clause::holds(normalised, clause))
    }
}
