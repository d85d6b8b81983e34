//! The sections of the model card about origin and duties.

use std::fmt::Write as _;

use limbeck_store::audit::{Area, Finding, Level, Licensed};
use limbeck_store::review::{Carried, Signature};
use limbeck_student::export::markdown_words as words;

use super::{Facts, Rights, days, license_in_words};
use crate::commands::terms::NOTICE;
use crate::text::grouped;

/// Where the model comes from, what is owed, and how to check it, in Markdown.
pub fn sections(facts: &Facts) -> String {
    let parts = [origin(facts), rights(facts), checking(facts)];
    parts.join("\n")
}

fn origin(facts: &Facts) -> String {
    let (dataset, rows) = &facts.dataset;
    let mut text = format!(
        "## Origin\n\nIt learned from a dataset of {} rows, `{dataset}`, that {} answers make up:\n\n\
         | answers | of | by way of | days (UTC) | terms in force |\n|---|---|---|---|---|\n",
        grouped(*rows as u64),
        grouped(facts.answers()),
    );
    for way in &facts.ways {
        let records: Vec<String> = way.records.iter().map(|id| format!("`{id}`")).collect();
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            grouped(way.answers),
            words(&way.model),
            words(&way.describe()),
            days(way.first, way.last),
            if records.is_empty() {
                "no record".to_owned()
            } else {
                records.join(", ")
            }
        );
    }
    text.push('\n');
    for (what, list) in [
        ("Tokenizer or weights are taken from", &facts.weights),
        ("Prompts come from", &facts.prompts),
    ] {
        if !list.is_empty() {
            let list: Vec<String> = list.iter().map(licensed).collect();
            let _ = writeln!(text, "{what} {}.\n", list.join(", "));
        }
    }
    let ledger = &facts.ledger;
    let _ = writeln!(
        text,
        "Every answer is a record of the ledger `{}`, which had {} records when the model was noted as the last of them, \
         and the root `{}`.",
        ledger.origin,
        grouped(ledger.size),
        ledger.root
    );
    text
}

fn licensed(licensed: &Licensed) -> String {
    let license = license_in_words(licensed.license.as_deref(), licensed.clarified.as_ref());
    format!("{} ({})", words(&licensed.name), words(&license))
}

fn rights(facts: &Facts) -> String {
    let rights = &facts.rights;
    let commercial = match facts.intent.commercial {
        Some(true) => "commercially",
        Some(false) => "not commercially",
        None => "whether commercially is not said",
    };
    let mut text = format!(
        "## Terms and duties\n\nMade to {}; {commercial}. The records of terms and licences that Limbeck had on {} \
         came to `{}`. {NOTICE}\n\n",
        facts.uses().join(", "),
        rights.day,
        rights.terms.name(),
    );
    if rights.duties.is_empty() {
        text.push_str("No duties follow from them.\n");
    } else {
        text.push_str("What is owed:\n\n");
    }
    for duty in &rights.duties {
        let _ = writeln!(
            text,
            "- {} (`{}`, {})",
            words(&duty.text),
            duty.terms,
            duty.kind.name()
        );
    }
    let told = rights
        .findings()
        .filter(|finding| finding.level > Level::Note || finding.rule.is_some());
    let told: Vec<String> = told.map(finding).collect();
    text.push_str(&areas(rights));
    if !told.is_empty() {
        let _ = write!(text, "\nWhat was found:\n\n{}", told.concat());
    }
    if !facts.waivers.is_empty() {
        text.push_str("\nWhat was denied, and went on by a person's word:\n\n");
    }
    for Carried { said: waiver, .. } in &facts.waivers {
        let _ = writeln!(
            text,
            "- `{}`, until {}: {} ({})",
            words(&waiver.code),
            waiver.expires,
            words(&waiver.reason),
            signed(&waiver.reviewer, waiver.signature.as_ref())
        );
    }
    let clarified = facts.clarified();
    if !facts.words.declarations.is_empty() || !clarified.is_empty() {
        text.push_str("\nWhat persons declare:\n\n");
    }
    for Carried {
        said: declaration, ..
    } in &facts.words.declarations
    {
        let says: Vec<&str> = declaration.says.iter().map(|says| says.name()).collect();
        let _ = writeln!(
            text,
            "- {} about `{}`, until {}: {} ({})",
            says.join(", "),
            words(&declaration.terms),
            declaration.expires,
            words(&declaration.reason),
            signed(&declaration.reviewer, declaration.signature.as_ref())
        );
    }
    for (of, clarified) in clarified {
        let _ = writeln!(
            text,
            "- the licence of {} is {}, whatever is declared beside it, by `{}` with the SHA-256 `{}` ({})",
            words(of),
            words(&clarified.license),
            words(&clarified.text),
            words(&clarified.sha256),
            words(&clarified.reviewer)
        );
    }
    text
}

/// Who answers for something, and the key by which that person signed it.
fn signed(reviewer: &str, signature: Option<&Signature>) -> String {
    let signer = signature.map_or_else(
        || "not signed".to_owned(),
        |signature| format!("signed with the key {}", words(&signature.signer())),
    );
    format!("{}; {signer}", words(reviewer))
}

/// What an audit of all areas came to when the files were written.
fn areas(rights: &Rights) -> String {
    let words: Vec<String> = Area::ALL
        .into_iter()
        .map(|area| match rights.count(area, Level::Deny) {
            0 => format!("{area} passes"),
            count => format!("{area} is denied ({count})"),
        })
        .collect();
    format!(
        "\n`limbeck audit` of what went into it, on the day that it was exported: {}. What could not be looked at is in \
         `verdict.intoto.json`.\n",
        words.join(", ")
    )
}

fn finding(finding: &Finding) -> String {
    let rule = finding.rule.as_ref().map_or_else(String::new, |rule| {
        let (was, reason) = (rule.was.name(), words(&rule.reason));
        let signer = rule.signer.as_ref().map_or_else(String::new, |signer| {
            format!("; signed with the key {}", words(signer))
        });
        format!(" (by itself {was}; the recipe says: {reason}{signer})")
    });
    let (code, level) = (&finding.code, finding.level.name());
    format!("- `{code}` ({level}): {}{rule}\n", words(&finding.message))
}

fn checking(facts: &Facts) -> String {
    format!(
        "## Checking\n\n`limbeck verify FOLDER` checks every file here, and that what made them is in the ledger `{}`, \
         without anything else; `bom.cdx.json` is a CycloneDX bill of materials and `training-data.md` a summary of what \
         the model learned from.\n",
        facts.ledger.origin
    )
}
