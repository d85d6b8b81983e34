//! Licences: what weights, answers and prompts require of the student, its name and its licence.

use std::collections::BTreeSet;

use super::{Area, Finding, Level, LicenseTags, LicenseText, Licensed, RightsInput};
use crate::terms::{
    Collected, Decision, DutyKind, OwedDuty, Rules, TermsRecord, Through, Verdict, decide,
    flow_down, is_listed, is_own, license_names, names_own_text,
};

/// Everything in which the student's licence, its name and what goes with it fall short of what is required.
pub fn licences(input: &RightsInput<'_>) -> Vec<Finding> {
    let mut findings = student(input);
    let mut duties = BTreeSet::new();
    for (name, record, through) in bound(input, &mut findings) {
        let way = Way {
            input,
            name: &name,
            through,
            record,
        };
        findings.extend(way.findings());
        duties.extend(way.duties());
    }
    findings.extend(naming(input, &duties));
    findings.extend(
        input
            .texts
            .iter()
            .filter_map(|text| disagreement(input, text)),
    );
    findings.extend(input.tags.iter().filter_map(|tags| said_twice(input, tags)));
    super::gravest_first(findings)
}

/// What is said, and known, of the student's own licence.
fn student(input: &RightsInput<'_>) -> Vec<Finding> {
    let about = format!("student `{}`", input.student);
    let found = |name: &str, level: Level, message: String| {
        Finding::new(Area::Licences, name, level, message).via(about.clone())
    };
    match &input.intent.student_license {
        None if input.intent.releases_model() => vec![
            found(
                "student-unlicensed",
                Level::Deny,
                "the student is given to others, and its licence is not said".to_owned(),
            )
            .help("say `student_license` in `[intent]`"),
        ],
        None => Vec::new(),
        Some(license) => {
            let mut findings: Vec<Finding> = names_without_record(input, license)
                .iter()
                .filter_map(|name| own_license(input, name))
                .map(|finding| finding.via(about.clone()))
                .collect();
            findings.extend(input.student_text.and_then(|text| other_text(input, text)));
            findings
        }
    }
}

/// The names of a licence, or of those that an expression names, that no record is about.
fn names_without_record(input: &RightsInput<'_>, license: &str) -> Vec<String> {
    let registry = input.registry;
    if registry.knows_license(license) {
        return Vec::new();
    }
    let names = license_names(license).into_iter();
    names.filter(|name| !registry.knows_license(name)).collect()
}

/// What there is to tell of a licence of the student's that no record is about.
fn own_license(input: &RightsInput<'_>, name: &str) -> Option<Finding> {
    let found = |code: &str, level: Level, message: String| {
        Finding::new(Area::Licences, code, level, message)
    };
    if is_listed(name) {
        let message = format!(
            "no record says what the student's licence `{name}`, which SPDX lists, leaves room for"
        );
        return Some(found("student-license-unrecorded", Level::Warning, message).help(
            "whether it leaves room for what has to go on with the student is for a person to say",
        ));
    }
    let is_own = names_own_text(name);
    if is_own && input.student_text.is_some() {
        return None;
    }
    let message = format!(
        "nobody knows the student's licence `{name}`: no record is about it, SPDX does not list it, and the recipe names no text of it"
    );
    let text =
        "`student_license_text = { source = \"…\", sha256 = \"…\" }` in `[intent]` names its text";
    let help = if is_own {
        text.to_owned()
    } else {
        let near = input.registry.nearest_license(name);
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        format!("{near}a licence of your own is called `LicenseRef-…`, and {text}")
    };
    Some(found("student-license-unknown", Level::Deny, message).help(help))
}

/// A text of the student's licence that is known as that of another.
fn other_text(input: &RightsInput<'_>, text: &LicenseText) -> Option<Finding> {
    let known = input.registry.license_of_text(&text.text);
    known.and_then(|_| disagreement(input, text))
}

/// Each record that reaches the student, with what it came in with.
fn bound<'a>(
    input: &RightsInput<'a>,
    findings: &mut Vec<Finding>,
) -> Vec<(String, &'a TermsRecord, Through)> {
    let mut bound = Vec::new();
    for origin in input.origins {
        let ruling = input
            .registry
            .judge(origin, input.intent, input.declarations, input.today);
        let records = ruling
            .records
            .iter()
            .filter_map(|id| input.registry.record(id));
        let name = format!("answers of `{}`", origin.model);
        bound.extend(records.map(|record| (name.clone(), record, Through::Answers)));
    }
    for (list, through, what) in [
        (input.weights, Through::Weights, "weights of"),
        (input.prompts, Through::Prompts, "prompts of"),
    ] {
        for licensed in list {
            let license = licensed.license.as_deref();
            if through == Through::Prompts && license.is_some_and(is_own) {
                continue;
            }
            let (records, found) = licenses_of(input, licensed, through);
            if through == Through::Prompts && !records.is_empty() {
                findings.push(only_declared(input, licensed));
            }
            let name = format!("{what} `{}`", licensed.name);
            bound.extend(
                records
                    .into_iter()
                    .map(|record| (name.clone(), record, through)),
            );
            findings.extend(found);
        }
    }
    bound
}

/// Of prompts nobody has seen a licence: what is known of it is what the recipe, or whoever imported them, says.
fn only_declared(input: &RightsInput<'_>, prompts: &Licensed) -> Finding {
    let name = &prompts.name;
    let license = prompts.license.as_deref().unwrap_or_default();
    let message = format!(
        "that the prompts of `{name}` are under `{license}` is declared and was not observed, and it says nothing of the rights of those who wrote or are named in them"
    );
    Finding::new(Area::Licences, "declared", Level::Note, message)
        .via(format!("student `{}`", input.student))
        .via(format!("prompts of `{name}`"))
}

/// The records of its licence, of alternatives the most permissive, and what is not known of it.
fn licenses_of<'a>(
    input: &RightsInput<'a>,
    licensed: &Licensed,
    through: Through,
) -> (Vec<&'a TermsRecord>, Vec<Finding>) {
    let name = &licensed.name;
    let way = through.name();
    let found = |code: &str, message: String| {
        Finding::new(Area::Licences, code, Level::Deny, message)
            .via(format!("student `{}`", input.student))
            .via(format!("{way} of `{name}`"))
    };
    let Some(license) = &licensed.license else {
        let message = format!("the licence of the {way} of `{name}` is not declared");
        let help = match through {
            Through::Prompts => "say `license` in the recipe; texts of your own are `own`",
            Through::Answers | Through::Weights => "say `license` in the recipe",
        };
        return (Vec::new(), vec![found("undeclared", message).help(help)]);
    };
    let rules = Rules {
        registry: input.registry,
        intent: input.intent,
        declarations: input.declarations,
        today: input.today,
    };
    let licensing = rules.licensing(license, through, Collected::On(input.today));
    let unknown = licensing.missing.iter().map(|license| {
        let message =
            format!("there is no record of the licence `{license}` of the {way} of `{name}`");
        let near = input.registry.nearest_license(license);
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        found("unknown", message).help(format!(
            "{near}add the record with a `[[terms]]` of the recipe, or say in a signed `[[clarification]]` what licence it really is"
        ))
    });
    let unknown = unknown.collect();
    (licensing.records, unknown)
}

/// One record on its way to the student.
struct Way<'a> {
    input: &'a RightsInput<'a>,
    name: &'a str,
    through: Through,
    record: &'a TermsRecord,
}

impl Way<'_> {
    fn found(&self, name: &str, level: Level, message: impl Into<String>) -> Finding {
        Finding::new(Area::Licences, name, level, message)
            .via(format!("student `{}`", self.input.student))
            .via(self.name)
            .via(format!("terms `{}`", self.record.id))
    }

    fn findings(&self) -> Vec<Finding> {
        let RightsInput {
            registry,
            intent,
            declarations,
            today,
            ..
        } = *self.input;
        let declared = registry.declared(self.record, declarations, today);
        let mut findings = Vec::new();
        let goes_on = flow_down(registry, self.record, self.through, intent, &declared);
        findings.extend(self.verdict("flow-down", &goes_on));
        // What terms say of answers is the audit of terms' to tell.
        if self.through != Through::Answers {
            let decision = decide(self.record, self.through, intent, &declared);
            findings.extend(self.verdict("denied", &decision));
        }
        for duty in self.duties() {
            let message = format!("{}: {} (`{}`)", duty.kind.name(), duty.text, duty.terms);
            findings.push(self.found("duty", Level::Note, message));
        }
        findings
    }

    fn verdict(&self, name: &str, decision: &Decision) -> Option<Finding> {
        if decision.verdict.permits() {
            return None;
        }
        let reasons: Vec<&str> = decision.reasons.iter().map(String::as_str).collect();
        let finding = self.found(name, Level::Deny, reasons.join("; "));
        let help = if decision.verdict == Verdict::NeedsDeclaration {
            format!(
                "a person who answers for it adds a `[[declaration]]` about `{}` (terms_sha256 = \"{}\"), and signs it with `limbeck sign RECIPE`",
                self.record.id,
                self.record.digest()
            )
        } else if name == "flow-down" {
            format!(
                "give the student the licence `{}`, or leave this out",
                self.record.id
            )
        } else {
            "leave this out, or change `[intent]`".to_owned()
        };
        Some(finding.help(help))
    }

    /// What is owed on this way. What terms of routes ask for is told by the audit of terms.
    fn duties(&self) -> BTreeSet<OwedDuty> {
        let decision = decide(
            self.record,
            self.through,
            self.input.intent,
            &BTreeSet::new(),
        );
        let is_route = self.record.kind == crate::terms::Kind::Route;
        if is_route {
            BTreeSet::new()
        } else {
            decision.duties
        }
    }
}

/// Names that must begin in some way.
fn naming(input: &RightsInput<'_>, duties: &BTreeSet<OwedDuty>) -> Vec<Finding> {
    let named = duties
        .iter()
        .filter(|duty| duty.kind == DutyKind::NamingPrefix);
    let wrong = named.filter_map(|duty| {
        let prefix = duty.show.as_deref()?;
        if input.student.starts_with(prefix) {
            return None;
        }
        let message = format!(
            "the student is called `{}`, and `{}` asks for a name that begins with `{prefix}`",
            input.student, duty.terms
        );
        let finding = Finding::new(Area::Licences, "naming", Level::Deny, message);
        Some(
            finding
                .via(format!("student `{}`", input.student))
                .via(format!("terms `{}`", duty.terms))
                .help(format!(
                    "name the recipe `{prefix}-{}` in `[recipe]`",
                    input.student
                )),
        )
    });
    wrong.collect()
}

/// Recipe, model file and hub's page that say different licences. Tags are often wrong, so this may be on purpose.
fn said_twice(input: &RightsInput<'_>, tags: &LicenseTags) -> Option<Finding> {
    let LicenseTags {
        model,
        declared: (by, declared),
        own: (beside, own),
    } = tags;
    let id = |name: &str| {
        let record = input.registry.license(name, Collected::On(input.today));
        record.map_or_else(|| name.to_lowercase(), |record| record.id.to_lowercase())
    };
    if id(declared) == id(own) {
        return None;
    }
    let message = format!("{by} says `{declared}` of `{model}`, and {beside} says `{own}`");
    Some(
        Finding::new(Area::Licences, "tags-disagree", Level::Warning, message)
            .via(format!("student `{}`", input.student))
            .via(format!("model `{model}`"))
            .help("read the licence text; where the recipe is right, an `[[audit.rule]]` says why"),
    )
}

/// Whether the record is that of `tag`, or of one of the licences that an expression names.
fn is_among(record: &TermsRecord, tag: &str) -> bool {
    record.is_called(tag) || license_names(tag).iter().any(|name| record.is_called(name))
}

/// A licence text that is not what is declared beside it.
fn disagreement(input: &RightsInput<'_>, text: &LicenseText) -> Option<Finding> {
    let found = |name: &str, level: Level, message: String| {
        Finding::new(Area::Licences, name, level, message)
            .via(format!("student `{}`", input.student))
            .via(text.beside.clone())
            .via(format!("file `{}`", text.file))
    };
    let known = input.registry.license_of_text(&text.text);
    match (known, &text.tag) {
        (Some(record), Some(tag)) if !is_among(record, tag) => Some(
            found(
                "tag-disagrees",
                Level::Deny,
                format!(
                    "`{}` declares `{tag}`, and the text in `{}` is that of `{}`",
                    text.beside, text.file, record.id
                ),
            )
            .help("the text is what binds; declare its licence in the recipe"),
        ),
        (Some(record), None) => Some(found(
            "tag-missing",
            Level::Note,
            format!(
                "`{}` declares no licence, and the text in `{}` is that of `{}`",
                text.beside, text.file, record.id
            ),
        )),
        (None, tag) => {
            let tag = tag.as_deref().unwrap_or("none");
            let message = format!(
                "the text in `{}` is of no licence that is known; what is declared is `{tag}`",
                text.file
            );
            Some(found("text-unknown", Level::Warning, message))
        }
        _ => None,
    }
}
