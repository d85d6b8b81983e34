//! A summary of what the model learned from, along the headings of the template for the public summary of training
//! content under Article 53(1)(d) of Regulation (EU) 2024/1689.

use std::fmt::Write as _;

use limbeck_student::export::markdown_words as words;

use super::{Facts, days, license_in_words};
use crate::text::grouped;

/// What only a person knows.
const TO_FILL_IN: &str = "*to be filled in*";

/// The text of the summary.
pub(super) fn summary(facts: &Facts) -> String {
    let parts = [
        general(facts),
        sources(facts),
        synthetic(facts),
        processing(facts),
    ];
    parts.join("\n")
}

fn general(facts: &Facts) -> String {
    let trained = &facts.training.finished;
    let trained = trained.split('T').next().unwrap_or(trained);
    let description = facts
        .description
        .as_deref()
        .map_or_else(String::new, |text| format!("; {}", words(text)));
    format!(
        "# Summary of training content: {}\n\n\
         A draft by a program, from what was recorded. What it cannot know is left *to be filled in*. It follows the \
         headings of the European Commission's template for providers of general-purpose AI models, and does not say \
         that this model is one.\n\n\
         ## 1. General information\n\n\
         - 1.1 Provider, authorised representative: {TO_FILL_IN}\n\
         - 1.2 Model: {}{description}. {} parameters, trained by {trained}. Models whose weights or tokenizer it \
         takes: {}\n\
         - 1.3 Modality: text. {} examples, {} tokens with their repetitions. Languages: {TO_FILL_IN}\n",
        words(&facts.name),
        words(&facts.name),
        grouped(facts.training.parameters as u64),
        listed(&facts.weights),
        grouped(facts.training.examples as u64),
        grouped(facts.training.tokens),
    )
}

fn listed(list: &[limbeck_store::audit::Licensed]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let each = list.iter().map(|one| {
        let license = license_in_words(one.license.as_deref(), one.clarified.as_ref());
        format!("{} ({})", words(&one.name), words(&license))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn sources(facts: &Facts) -> String {
    let imported = facts.ways.iter().filter(|way| way.route == "import");
    let imported: Vec<String> = imported
        .map(|way| {
            let license = license_in_words(way.license.as_deref(), way.clarified.as_ref());
            format!(
                "{} answers of {} ({})",
                grouped(way.answers),
                words(&way.model),
                words(&license)
            )
        })
        .collect();
    let imported = if imported.is_empty() {
        "none".to_owned()
    } else {
        imported.join(", ")
    };
    format!(
        "## 2. Data sources\n\n\
         - 2.1, 2.2 Data sets, public or of third parties: the texts of prompts come from {}; whether these sources are \
         public: {TO_FILL_IN}\n\
         - 2.2 Answers that were imported by file: {imported}\n\
         - 2.3 Crawled data: Limbeck crawls nothing; whether the sources above were crawled: {TO_FILL_IN}\n\
         - 2.4 Data of users: Limbeck collects none; whether the sources above hold any: {TO_FILL_IN}\n",
        listed(&facts.prompts),
    )
}

fn synthetic(facts: &Facts) -> String {
    let mut text = format!(
        "### 2.5 Synthetic data\n\n\
         The model was trained by distillation: it learned from {} answers, in text, that other models gave.\n\n\
         | model | provider and route | answers | days (UTC) | licence, terms in force |\n|---|---|---|---|---|\n",
        grouped(facts.answers())
    );
    for way in &facts.ways {
        let mut under: Vec<String> = way.license.iter().map(|license| words(license)).collect();
        under.extend(way.records.iter().map(|id| words(id)));
        under.dedup_by(|id, license| id.eq_ignore_ascii_case(license));
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            words(&way.model),
            words(&way.describe()),
            grouped(way.answers),
            days(way.first, way.last),
            if under.is_empty() {
                "not known".to_owned()
            } else {
                under.join(", ")
            }
        );
    }
    let _ = writeln!(
        text,
        "\nThe dataset is `{}`. Each answer has a receipt and a record in the ledger `{}`.\n\n\
         ### 2.6 Other sources\n\nNone that Limbeck knows of.",
        facts.dataset.0, facts.ledger.origin
    );
    text
}

fn processing(facts: &Facts) -> String {
    let curate = &facts.training.sections["curate"];
    let checks = curate["check"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let checks: Vec<String> = checks
        .iter()
        .filter_map(|check| check["kind"].as_str())
        .map(|kind| format!("`{kind}`"))
        .collect();
    let checks = if checks.is_empty() {
        "none".to_owned()
    } else {
        checks.join(", ")
    };
    format!(
        "## 3. Processing\n\n\
         - 3.1 Reservations of rights: what the terms of services and licences say was judged as `{}`; for the sources of \
         prompts: {TO_FILL_IN}\n\
         - 3.2 Removal of illegal content: {TO_FILL_IN}\n\
         - 3.3 Checks that answers went through before they were learned from: {checks}\n",
        facts.rights.terms.name()
    )
}
