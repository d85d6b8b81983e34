//! What a recipe says of rights, as far as persons whose word counts have signed it.

use jiff::civil::Date;
use limbeck_store::audit::{
    Area, AuditPolicy, Clarification, Code, Finding, Rule, Waiver, of_signature,
};
use limbeck_store::review::{Carried, ClarifiedThing, Purpose, Reviewers};
use limbeck_store::terms::{Declaration, Registry, TermsError, TermsRecord, Use};

use crate::recipe::Recipe;

/// What persons have signed, as what was made by it carries it on.
#[derive(Debug, Clone, Default)]
pub struct CarriedWords {
    /// What they answer for.
    pub declarations: Vec<Carried<Declaration>>,
    /// What licences things really have.
    pub clarifications: Vec<Carried<Clarification, ClarifiedThing>>,
    /// Records of terms, which are signed for any recipe.
    pub records: Vec<TermsRecord>,
    /// Exceptions for what is denied.
    pub exceptions: Vec<Carried<Rule>>,
}

/// What counts of what a recipe says. What is not signed is told in findings and counts for nothing.
#[derive(Debug)]
pub struct Reviewed {
    /// What declarations and waivers were signed for.
    pub purpose: Purpose,
    /// The records that Limbeck comes with, and the recipe's own.
    pub registry: Registry,
    /// What persons answer for.
    pub declarations: Vec<Declaration>,
    /// What licences things really have.
    pub clarifications: Vec<Clarification>,
    rules: Vec<Rule>,
    waivers: Vec<Waiver>,
    /// All of that but waivers as it was signed, for those who have not the recipe.
    pub carried: CarriedWords,
    /// What is wrong with signatures, of all areas.
    pub findings: Vec<Finding>,
}

impl Reviewed {
    /// Looks at every signature of `recipe`. `uses` are meant instead of what the recipe says, if there are any.
    pub fn of(recipe: &Recipe, reviewers: &Reviewers, uses: &[Use]) -> Result<Self, TermsError> {
        let mut reviewed = Self {
            purpose: recipe.purpose(uses),
            registry: Registry::embedded()?,
            declarations: Vec::new(),
            clarifications: Vec::new(),
            rules: Vec::new(),
            waivers: Vec::new(),
            carried: CarriedWords::default(),
            findings: Vec::new(),
        };
        let file = recipe.path().display().to_string();
        for record in recipe.own_records() {
            let signed = reviewers.look_at(record, &());
            let what = format!("the record of terms `{}`", record.id);
            // One that does not count may leave another in its place, so either area tells of it.
            let told = [Area::Terms, Area::Licences]
                .map(|area| of_signature(area, "record", &what, &signed));
            let via = format!("[[terms]] `{}`", record.id);
            if !reviewed.tell(told, &via) {
                reviewed.registry.add(&file, record.clone())?;
                reviewed.carried.records.push(record.clone());
            }
        }
        for declaration in recipe.declarations() {
            let signed = reviewers.look_at(declaration, &reviewed.purpose);
            let via = format!("declaration about `{}`", declaration.terms);
            let told = of_signature(Area::Terms, "declaration", &format!("the {via}"), &signed);
            if !reviewed.tell([told], &via) {
                reviewed.declarations.push(declaration.clone());
                let carried = Carried::new(declaration.clone(), &reviewed.purpose);
                reviewed.carried.declarations.push(carried);
            }
        }
        for clarification in recipe.clarifications() {
            let (said, thing) = recipe.clarified(clarification);
            let signed = reviewers.look_at(&said, &thing);
            let via = format!("clarification of `{}`", clarification.of);
            let told = of_signature(
                Area::Licences,
                "clarification",
                &format!("the {via}"),
                &signed,
            );
            if !reviewed.tell([told], &via) {
                reviewed.clarifications.push(clarification.clone());
                reviewed
                    .carried
                    .clarifications
                    .push(Carried::new(said, &thing));
            }
        }
        reviewed.exceptions(recipe, reviewers);
        Ok(reviewed)
    }

    fn exceptions(&mut self, recipe: &Recipe, reviewers: &Reviewers) {
        // Their codes were looked at when the recipe was read.
        let area = |code: &str| Code::named(code).map(Code::area);
        for rule in recipe.rules() {
            let signed = reviewers.look_at(rule, &self.purpose);
            let via = format!("[[audit.rule]] for `{}`", rule.code);
            let what = format!("the exception for `{}`", rule.code);
            // To be stricter, and to be told less of what denies nothing, takes nobody's word.
            let needs_a_word = rule.lowers_a_denial() || rule.signature.is_some();
            let told = area(&rule.code)
                .filter(|_| needs_a_word)
                .and_then(|area| of_signature(area, "exception", &what, &signed));
            if !self.tell([told], &via) {
                self.rules.push(rule.clone());
                if needs_a_word {
                    let carried = Carried::new(rule.clone(), &self.purpose);
                    self.carried.exceptions.push(carried);
                }
            }
        }
        for waiver in recipe.waivers() {
            let signed = reviewers.look_at(waiver, &self.purpose);
            let via = format!("waiver of `{}`", waiver.code);
            let told = area(&waiver.code)
                .and_then(|area| of_signature(area, "waiver", &format!("the {via}"), &signed));
            if !self.tell([told], &via) {
                self.waivers.push(waiver.clone());
            }
        }
    }

    /// Keeps what is wrong with one signature. Whether anything is.
    fn tell<const N: usize>(&mut self, told: [Option<Finding>; N], via: &str) -> bool {
        let before = self.findings.len();
        let told = told.into_iter().flatten();
        self.findings.extend(told.map(|finding| finding.via(via)));
        self.findings.len() > before
    }

    /// Rules and waivers, as they hold on the day `today`.
    pub fn policy(&self, today: Date) -> AuditPolicy<'_> {
        AuditPolicy {
            rules: &self.rules,
            waivers: &self.waivers,
            signatures: &self.findings,
            today,
        }
    }
}
