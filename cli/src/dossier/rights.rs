//! What the records of terms say of a model, and where its answers came from, in figures.

use std::collections::BTreeSet;

use jiff::civil::Date;
use limbeck_store::Clarified;
use limbeck_store::audit::{Area, Code, Finding, Level, RightsInput};
use limbeck_store::terms::{Decision, Origin, OwedDuty, TermsRecord, Through, Verdict, decide};

/// What may be done with a model as far as the records say, and what an audit finds of it.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The strictest of all verdicts on terms and licences.
    pub terms: Verdict,
    /// The same, or a denial where the audit denies anything else.
    pub verdict: Verdict,
    /// What is owed.
    pub duties: BTreeSet<OwedDuty>,
    /// The records that it rests on, by id and digest.
    pub records: BTreeSet<(String, String)>,
    /// What the audit found in each area.
    pub areas: Vec<(Area, Vec<Finding>)>,
    /// The day that it was judged on.
    pub day: Date,
}

/// Answers that came in one way, over some days.
#[derive(Clone, Debug)]
pub struct Way {
    /// `local`, or the name of a service.
    pub provider: String,
    /// Such as `in-process`, `api` or `import`.
    pub route: String,
    /// As the recipe declares it.
    pub plan: Option<String>,
    /// As the recipe declares it.
    pub region: Option<String>,
    /// The model that answered.
    pub model: String,
    /// The licence that it, or what was imported, declares; or that a person says it really is.
    pub license: Option<String>,
    /// That person's word, where it stands for what is declared.
    pub clarified: Option<Clarified>,
    /// The first day.
    pub first: Date,
    /// The last day. Of imports both are those of the import.
    pub last: Date,
    /// How many answers.
    pub answers: u64,
    /// The ids of the records in force.
    pub records: BTreeSet<String>,
}

impl Rights {
    /// Everything that was found.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.areas.iter().flat_map(|(_, found)| found)
    }

    /// The same, to be shown otherwise.
    pub fn findings_mut(&mut self) -> impl Iterator<Item = &mut Finding> {
        self.areas.iter_mut().flat_map(|(_, found)| found)
    }

    /// How many findings of an area are of a level.
    pub fn count(&self, area: Area, level: Level) -> usize {
        let of_area = self.findings().filter(|finding| finding.area == area);
        of_area.filter(|finding| finding.level == level).count()
    }

    /// Whether nothing in an area is denied.
    pub fn passes(&self, area: Area) -> bool {
        self.count(area, Level::Deny) == 0
    }

    /// What could not be looked at or is not known, by area, each once.
    pub fn open(&self) -> Vec<(Area, String)> {
        let is_open = |finding: &&Finding| Code::named(&finding.code).is_some_and(Code::is_open);
        let mut open: Vec<(Area, String)> = self
            .findings()
            .filter(is_open)
            .map(|finding| (finding.area, finding.message.clone()))
            .collect();
        // An export is entered into the ledger when its files are written, this statement among them.
        open.push((
            Area::Provenance,
            "the record of this export itself, which is made after this was written; `limbeck verify` looks at it"
                .to_owned(),
        ));
        open.dedup();
        open
    }
}

/// Judges everything that bears on the student; `areas` is what the audit found.
pub fn judge(input: &RightsInput<'_>, areas: Vec<(Area, Vec<Finding>)>) -> Rights {
    let mut decision = Decision::allow();
    let mut ids = BTreeSet::new();
    for origin in input.origins {
        let ruling = input
            .registry
            .judge(origin, input.intent, input.declarations, input.today);
        decision = decision.meet(ruling.decision);
        ids.extend(ruling.records);
    }
    for (list, through) in [
        (input.weights, Through::Weights),
        (input.prompts, Through::Prompts),
    ] {
        let licenses = list
            .iter()
            .filter_map(|licensed| licensed.license.as_deref());
        for license in licenses {
            for record in input.records_of(license, through) {
                let declared = input
                    .registry
                    .declared(record, input.declarations, input.today);
                decision = decision.meet(decide(record, through, input.intent, &declared));
                ids.insert(record.id.clone());
            }
        }
    }
    let records = ids.iter().filter_map(|id| input.registry.record(id));
    let mut rights = Rights {
        terms: decision.verdict,
        verdict: decision.verdict,
        duties: decision.duties,
        records: records
            .map(|record| (record.id.clone(), TermsRecord::digest(record)))
            .collect(),
        areas,
        day: input.today,
    };
    // Whatever the audit denies is no permission, though no single record says so.
    let passes = |areas: &[Area]| areas.iter().all(|area| rights.passes(*area));
    let (of_terms, of_all) = (passes(&[Area::Terms, Area::Licences]), passes(&Area::ALL));
    if rights.terms.permits() && !of_terms {
        rights.terms = Verdict::Deny;
    }
    rights.verdict = rights.terms;
    if rights.verdict.permits() && !of_all {
        rights.verdict = Verdict::Deny;
    }
    rights
}

/// The origins by way, with the first and the last day of each.
pub fn ways(input: &RightsInput<'_>) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for origin in input.origins {
        let day = origin.collected.day();
        let ruling = input
            .registry
            .judge(origin, input.intent, input.declarations, input.today);
        match ways.iter_mut().find(|way| way.is_of(origin)) {
            Some(way) => {
                way.first = way.first.min(day);
                way.last = way.last.max(day);
                way.answers += origin.answers;
                way.records.extend(ruling.records);
            }
            None => ways.push(Way {
                provider: origin.provider.clone(),
                route: origin.route.clone(),
                plan: origin.plan.clone(),
                region: origin.region.clone(),
                model: origin.model.clone(),
                license: origin.license.clone(),
                clarified: origin.clarified.clone(),
                first: day,
                last: day,
                answers: origin.answers,
                records: ruling.records,
            }),
        }
    }
    ways
}

impl Way {
    fn is_of(&self, origin: &Origin) -> bool {
        (
            &self.provider,
            &self.route,
            &self.plan,
            &self.region,
            &self.model,
            &self.license,
            &self.clarified,
        ) == (
            &origin.provider,
            &origin.route,
            &origin.plan,
            &origin.region,
            &origin.model,
            &origin.license,
            &origin.clarified,
        )
    }

    /// Provider, route, plan and region in a few words.
    pub fn describe(&self) -> String {
        let mut words = format!("{} ({})", self.provider, self.route);
        for (what, value) in [("plan", &self.plan), ("region", &self.region)] {
            if let Some(value) = value {
                words.extend([", ", what, " ", value]);
            }
        }
        words
    }
}
