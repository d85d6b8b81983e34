//! Terms: whether those that answers were given under allow what is meant to be done with them.
//!
//! Answers are judged by what was in force when they were given. What is in force today is told apart.

use crate::record::TermsInForce;

use super::{Area, Finding, Level, RightsInput};
use crate::terms::{
    Basis, Collected, Decision, Declaration, Origin, Registry, Ruling, Standing, Verdict,
};

/// Everything that stands against the intent in the terms of the answers, and what is owed under them.
pub fn terms(input: &RightsInput<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (origin, ruling) in judged(input) {
        findings.extend(of_origin(input, &origin, &ruling));
    }
    for declaration in input.declarations {
        findings.extend(of_declaration(input, declaration));
    }
    super::gravest_first(findings)
}

/// All origins with the rulings on them. Days on which the same was ruled are told as one, by the last of them.
fn judged(input: &RightsInput<'_>) -> Vec<(Origin, Ruling)> {
    let mut judged: Vec<(Origin, Ruling)> = Vec::new();
    for origin in input.origins {
        let ruling = judge(input, origin);
        let is_same = |known: &&mut (Origin, Ruling)| {
            let mut other = known.0.clone();
            other.answers = origin.answers;
            let known_day = std::mem::replace(&mut other.collected, origin.collected);
            let is_import = |collected| matches!(collected, Collected::Until(_));
            let is_late = |collected: Collected| collected.day() > input.today;
            other == *origin
                && is_import(known_day) == is_import(origin.collected)
                // So that those that a wrong clock dated are counted alone.
                && is_late(known_day) == is_late(origin.collected)
                && known.1 == ruling
        };
        match judged.iter_mut().find(is_same) {
            Some((known, _)) => {
                known.answers += origin.answers;
                known.collected = known.collected.max(origin.collected);
            }
            None => judged.push((origin.clone(), ruling)),
        }
    }
    judged
}

fn of_origin(input: &RightsInput<'_>, origin: &Origin, ruling: &Ruling) -> Vec<Finding> {
    // Answers that are not asked for yet have no number.
    let what = match origin.answers {
        0 => format!("answers of `{}`", origin.model),
        count => format!("{count} answers of `{}`", origin.model),
    };
    let found = |name: &str, level: Level, message: String| {
        Finding::new(Area::Terms, name, level, message)
            .via(format!("student `{}`", input.student))
            .via(what.clone())
            .via(origin.describe())
            .via(format!("terms {}", quoted(ruling.records.iter())))
    };
    let mut findings = Vec::new();
    let tomorrow = input.today.tomorrow().unwrap_or(input.today);
    if origin.collected.day() > tomorrow {
        let message = format!(
            "answers are dated {}, which is after today, {}",
            origin.collected.day(),
            input.today
        );
        findings.push(
            found("clock", Level::Deny, message)
                .help("a clock was wrong when they were kept, or is now; which terms were in force is not known"),
        );
    }
    let reasons = joined(&ruling.decision);
    match ruling.decision.verdict {
        Verdict::Allow | Verdict::AllowWithDuties => {}
        Verdict::NeedsDeclaration => {
            let finding = found("declaration-missing", Level::Deny, reasons);
            findings.push(finding.help(how_to_declare(input.registry, ruling)));
        }
        Verdict::Unknown => {
            let finding = found("unknown", Level::Deny, reasons);
            findings.push(finding.help(
                "add the record with a `[[terms]]` of the recipe; `limbeck terms add FILE` begins one from a saved text",
            ));
        }
        Verdict::Deny => {
            let finding = found("denied", Level::Deny, reasons);
            findings.push(finding.help(
                "leave these answers out, change `[intent]`, or ask the provider for what the terms do not give",
            ));
        }
    }
    for duty in &ruling.decision.duties {
        let message = format!("{}: {} (`{}`)", duty.kind.name(), duty.text, duty.terms);
        findings.push(found("duty", Level::Note, message));
    }
    if let Collected::Until(day) = origin.collected {
        let message = format!(
            "when these answers were given is not known, only that it was by {day}; the strictest terms until then are applied"
        );
        findings.push(found("day-unknown", Level::Note, message));
    }
    findings.extend(recorded_otherwise(input, origin).map(|message| {
        found("recorded-otherwise", Level::Warning, message)
            .help("the records that the receipts name are not those that Limbeck and the recipe have today; look at what has changed between them")
    }));
    findings.extend(tightened(input, origin, ruling).map(|message| {
        found("tightened", Level::Warning, message)
            .help("what was collected before stays under the earlier terms; ask for no more without looking at the new ones")
    }));
    findings
}

fn judge(input: &RightsInput<'_>, origin: &Origin) -> Ruling {
    input
        .registry
        .judge(origin, input.intent, input.declarations, input.today)
}

/// Which records the receipts name, if the registry says today that others were in force, or says something else in them.
fn recorded_otherwise(input: &RightsInput<'_>, origin: &Origin) -> Option<String> {
    let recorded = origin.recorded.as_ref()?;
    let known = input.registry.in_force(origin);
    if *recorded == known {
        return None;
    }
    let ids = |terms: &[TermsInForce]| match terms {
        [] => "none".to_owned(),
        _ => quoted(terms.iter().map(|one| &one.id)),
    };
    let day = origin.collected.day();
    let (then, now) = (ids(recorded), ids(&known));
    Some(if then == now {
        format!("the record {then} says something else today than when answers of {day} were kept")
    } else {
        format!(
            "receipts of {day} name as the terms in force {then}, and by what is known today it is {now}"
        )
    })
}

/// What today's terms say if they are stricter than those of the day, declarations aside.
fn tightened(input: &RightsInput<'_>, origin: &Origin, ruling: &Ruling) -> Option<String> {
    let mut today = origin.clone();
    today.collected = Collected::On(input.today);
    let bare = |origin: &Origin| input.registry.judge(origin, input.intent, &[], input.today);
    let now = bare(&today);
    if now.records == ruling.records || now.decision.verdict <= bare(origin).decision.verdict {
        return None;
    }
    Some(format!(
        "the terms have tightened since {}: {}",
        origin.collected.day(),
        joined(&now.decision)
    ))
}

fn of_declaration(input: &RightsInput<'_>, declaration: &Declaration) -> Option<Finding> {
    let about = &declaration.terms;
    let found = |name: &str, level: Level, message: String| {
        Finding::new(Area::Terms, name, level, message)
            .via("recipe")
            .via(format!("declaration about `{about}`"))
    };
    let standing = declaration.standing(input.registry, input.today);
    Some(match standing {
        Standing::Valid => return unused(input, declaration),
        Standing::Unsigned => found(
            "declaration-unsigned",
            Level::Deny,
            format!("nobody answers for the declaration about `{about}`"),
        )
        .help("`reviewer` names the person who does"),
        Standing::WithoutReason => found(
            "declaration-unsigned",
            Level::Deny,
            format!("the declaration about `{about}` gives no reason"),
        )
        .help("`reason` says why it is so"),
        Standing::Expired => found(
            "declaration-expired",
            Level::Deny,
            format!(
                "the declaration about `{about}` ended on {}",
                declaration.expires
            ),
        )
        .help("have it reviewed again, and give it a new `expires`"),
        Standing::Stale => found(
            "declaration-stale",
            Level::Deny,
            format!("the declaration about `{about}` was made about another state of the record"),
        )
        .help(format!(
            "have it reviewed again; `limbeck terms show {about}` prints the record and its digest"
        )),
        Standing::UnknownTerms => found(
            "declaration-stale",
            Level::Deny,
            format!("there is no record of terms `{about}` that the declaration could be about"),
        )
        .help("`limbeck terms list` shows the ids"),
    })
}

/// A declaration that holds and changes nothing.
fn unused(input: &RightsInput<'_>, declaration: &Declaration) -> Option<Finding> {
    let is_about = |ruling: &Ruling| {
        let ids = ruling.records.iter();
        ids.into_iter()
            .any(|id| id.eq_ignore_ascii_case(&declaration.terms))
    };
    let of_answers = input.origins.iter().map(|origin| judge(input, origin));
    let used = of_answers.into_iter().any(|ruling| is_about(&ruling));
    let licensed = input.weights.iter().chain(input.prompts);
    let mut declared = licensed.filter_map(|under| under.license.as_ref());
    let of_license = declared.any(|license| {
        let record = input.registry.license(license, Collected::On(input.today));
        record.is_some_and(|record| record.id.eq_ignore_ascii_case(&declaration.terms))
    });
    if used || of_license {
        return None;
    }
    let message = format!(
        "the declaration about `{}` is about nothing that is here",
        declaration.terms
    );
    Some(
        Finding::new(Area::Terms, "declaration-unused", Level::Warning, message)
            .via("recipe")
            .help("take it out of the recipe"),
    )
}

/// What a person can write into the recipe, or why nobody can.
fn how_to_declare(registry: &Registry, ruling: &Ruling) -> String {
    if ruling.decision.needs.is_empty() {
        return "say `commercial = true` or `false` in `[intent]`".to_owned();
    }
    let lines = ruling.decision.needs.iter().map(|(id, statement)| {
        let digest = registry.record(id).map(crate::terms::TermsRecord::digest);
        format!(
            "[[declaration]] terms = \"{id}\", says = [\"{}\"], terms_sha256 = \"{}\"",
            statement.name(),
            digest.unwrap_or_default()
        )
    });
    let lines: Vec<String> = lines.collect();
    let secondary = ruling.records.iter().any(|id| {
        registry
            .record(id)
            .is_some_and(|record| record.basis == Basis::Secondary)
    });
    let read = if secondary {
        "read the text itself first; "
    } else {
        ""
    };
    format!(
        "{read}a person who answers for it adds to the recipe, with `reviewer`, `reason` and `expires`, and signs with `limbeck sign RECIPE`: {}",
        lines.join("; ")
    )
}

fn joined(decision: &Decision) -> String {
    let reasons: Vec<&str> = decision.reasons.iter().map(String::as_str).collect();
    reasons.join("; ")
}

fn quoted<'a>(ids: impl Iterator<Item = &'a String>) -> String {
    let ids: Vec<String> = ids.map(|id| format!("`{id}`")).collect();
    if ids.is_empty() {
        "unknown".to_owned()
    } else {
        ids.join(", ")
    }
}
