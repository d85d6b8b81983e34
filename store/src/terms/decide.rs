//! What follows from one record for an intent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::duty::DutyKind;
use super::record::{Basis, Class, Commercial, FlowDown, Release};
use super::{Intent, Registry, Statement, TermsRecord, Through, Use};

/// What may be done as far as the records say, the most permissive first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing stands against it.
    Allow,
    /// Nothing stands against it if duties are met.
    AllowWithDuties,
    /// A person has to answer for something first.
    NeedsDeclaration,
    /// No record says anything about it.
    Unknown,
    /// A record stands against it.
    Deny,
}

impl Verdict {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowWithDuties => "allow_with_duties",
            Self::NeedsDeclaration => "needs_declaration",
            Self::Unknown => "unknown",
            Self::Deny => "deny",
        }
    }

    /// Whether one may go on.
    pub fn permits(self) -> bool {
        self <= Self::AllowWithDuties
    }
}

/// Something that is owed, and under which record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwedDuty {
    /// The record's id.
    pub terms: String,
    /// What it is.
    pub kind: DutyKind,
    /// What to do.
    pub text: String,
    /// The words to display, or what the student's name begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<String>,
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What may be done.
    pub verdict: Verdict,
    /// What is owed.
    pub duties: BTreeSet<OwedDuty>,
    /// What a person has to declare, with the record that it is to be declared about.
    pub needs: BTreeSet<(String, Statement)>,
    /// Why it is not permitted without more, a sentence each.
    pub reasons: BTreeSet<String>,
}

impl Decision {
    /// Nothing stands against it.
    pub fn allow() -> Self {
        Self {
            verdict: Verdict::Allow,
            duties: BTreeSet::new(),
            needs: BTreeSet::new(),
            reasons: BTreeSet::new(),
        }
    }

    /// No record says anything about it.
    pub fn unknown(reason: impl Into<String>) -> Self {
        let mut decision = Self::allow();
        decision.worsen(Verdict::Unknown, reason);
        decision
    }

    /// Both at once: the stricter verdict, and the duties, needs and reasons of both.
    #[must_use]
    pub fn meet(mut self, other: Self) -> Self {
        self.verdict = self.verdict.max(other.verdict);
        self.duties.extend(other.duties);
        self.needs.extend(other.needs);
        self.reasons.extend(other.reasons);
        self
    }

    fn worsen(&mut self, verdict: Verdict, reason: impl Into<String>) {
        self.verdict = self.verdict.max(verdict);
        self.reasons.insert(reason.into());
    }

    pub(super) fn need(
        &mut self,
        record: &TermsRecord,
        statement: Statement,
        reason: impl Into<String>,
    ) {
        self.needs.insert((record.id.clone(), statement));
        self.worsen(Verdict::NeedsDeclaration, reason);
    }
}

/// What `record` says of `intent` where it reaches the student on the way `through`, with what is `declared` about it.
/// What has to go on with the student is [`flow_down`]'s.
pub fn decide(
    record: &TermsRecord,
    through: Through,
    intent: &Intent,
    declared: &BTreeSet<Statement>,
) -> Decision {
    let mut decision = Decision::allow();
    let id = &record.id;
    if record.basis == Basis::Secondary && !declared.contains(&Statement::Reviewed) {
        let reason = format!("`{id}` rests on what others say of the text");
        decision.need(record, Statement::Reviewed, reason);
    }
    let uses = intent.uses();
    if record.applies_to.iter().any(|usage| uses.contains(usage)) {
        judge_class(&mut decision, record, through, intent, declared);
    }
    judge_commercial(&mut decision, record, intent, declared);
    if uses.contains(&Use::ReleaseData) && through == Through::Answers {
        match record.release {
            Release::Allowed => {}
            Release::Unclear if declared.contains(&Statement::Reviewed) => {}
            Release::Unclear => {
                let reason = format!("`{id}` leaves open whether answers may be given to others");
                decision.need(record, Statement::Reviewed, reason);
            }
            Release::Forbidden => {
                let reason = format!("`{id}` does not let answers be given to others");
                decision.worsen(Verdict::Deny, reason);
            }
        }
    }
    decision.duties = owed(record, through, &uses);
    if !decision.duties.is_empty() {
        decision.verdict = decision.verdict.max(Verdict::AllowWithDuties);
    }
    decision
}

fn judge_class(
    decision: &mut Decision,
    record: &TermsRecord,
    through: Through,
    intent: &Intent,
    declared: &BTreeSet<Statement>,
) {
    let id = &record.id;
    let is_declared = |statement| declared.contains(&statement);
    match record.class {
        Class::Any => {}
        Class::NoncompetingOnly => {
            if !is_declared(Statement::NotCompeting) && !is_excepted(record, intent) {
                let reason = format!(
                    "`{id}` bars models that compete, and whether the student does is for a person to say"
                );
                decision.need(record, Statement::NotCompeting, reason);
            }
        }
        Class::SameFamilyOnly => {
            let family = record.family.as_deref().unwrap_or(id);
            if through == Through::Answers && !intent.derives_from.contains(family) {
                let reason = format!(
                    "`{id}` lets only models of the family `{family}` learn from answers, and the student takes no weights of it"
                );
                decision.worsen(Verdict::Deny, reason);
            }
        }
        Class::ResearchOnly => {
            if intent.commercial == Some(true) {
                let reason = format!("`{id}` is for research, and the intent is commercial");
                decision.worsen(Verdict::Deny, reason);
            } else if !is_declared(Statement::Research) {
                let reason = format!("`{id}` is for research only");
                decision.need(record, Statement::Research, reason);
            }
        }
        Class::PriorAuthorisation => {
            if !is_declared(Statement::Authorised) {
                let reason = format!("`{id}` asks for an authorisation before a model learns");
                decision.need(record, Statement::Authorised, reason);
            }
        }
        Class::Forbidden => {
            if !(record.lifted_by_authorisation && is_declared(Statement::Authorised)) {
                decision.worsen(Verdict::Deny, format!("`{id}` forbids it"));
            }
        }
        Class::Unclear => {
            if !is_declared(Statement::Reviewed) {
                let reason = format!("`{id}` leaves open whether models may learn from answers");
                decision.need(record, Statement::Reviewed, reason);
            }
        }
    }
}

/// Classifiers that stay where they are made.
fn is_excepted(record: &TermsRecord, intent: &Intent) -> bool {
    let uses = intent.uses();
    let stays = !uses.contains(&Use::ReleaseModel) && !uses.contains(&Use::ReleaseData);
    record.classifiers_excepted && intent.classifier && stays && intent.commercial == Some(false)
}

fn judge_commercial(
    decision: &mut Decision,
    record: &TermsRecord,
    intent: &Intent,
    declared: &BTreeSet<Statement>,
) {
    let id = &record.id;
    match (record.commercial, intent.commercial) {
        (Commercial::Allowed, _) | (_, Some(false)) => {}
        (Commercial::ByConsent, _) => {
            if !declared.contains(&Statement::Authorised) {
                let reason = format!("`{id}` asks for consent before anything commercial");
                decision.need(record, Statement::Authorised, reason);
            }
        }
        (Commercial::Forbidden, Some(true)) => {
            let reason = format!("`{id}` forbids commercial use");
            decision.worsen(Verdict::Deny, reason);
        }
        (Commercial::Forbidden, None) => {
            let reason = format!(
                "`{id}` forbids commercial use, and `intent.commercial` does not rule it out"
            );
            decision.worsen(Verdict::NeedsDeclaration, reason);
        }
    }
}

fn owed(record: &TermsRecord, through: Through, uses: &BTreeSet<Use>) -> BTreeSet<OwedDuty> {
    let is_owed = |duty: &&super::Duty| {
        duty.through.contains(&through) && duty.uses.iter().any(|usage| uses.contains(usage))
    };
    let duties = record.duties.iter().filter(is_owed);
    duties
        .map(|duty| OwedDuty {
            terms: record.id.clone(),
            kind: duty.kind,
            text: duty.text.clone(),
            show: duty.show.clone(),
        })
        .collect()
}

/// Whether the student's licence leaves room for what `record` makes go on with it.
pub fn flow_down(
    registry: &Registry,
    record: &TermsRecord,
    through: Through,
    intent: &Intent,
    declared: &BTreeSet<Statement>,
) -> Decision {
    let mut decision = Decision::allow();
    let goes_on = match through {
        Through::Answers => record.flow_down.answers,
        Through::Weights => record.flow_down.weights,
        Through::Prompts => FlowDown::None,
    };
    if !intent.releases_model() || goes_on <= FlowDown::Notice {
        return decision;
    }
    let id = &record.id;
    let what = match goes_on {
        FlowDown::UseRestrictions => "binds whoever gets the student to restrictions of use",
        _ => "keeps the student under the same licence",
    };
    let way = through.name();
    match &intent.student_license {
        Some(license) if record.is_called(license) => {}
        Some(license) if registry.knows_license(license) => {
            let reason =
                format!("`{id}` {what} (through {way}), and `{license}` has no room for that");
            decision.worsen(Verdict::Deny, reason);
        }
        _ if declared.contains(&Statement::Reviewed) => {}
        given => {
            let license = given.as_deref().map_or_else(
                || "the student's licence is not said".to_owned(),
                |license| format!("whether `{license}` does that is for a person to say"),
            );
            let reason = format!("`{id}` {what} (through {way}), and {license}");
            decision.need(record, Statement::Reviewed, reason);
        }
    }
    decision
}
