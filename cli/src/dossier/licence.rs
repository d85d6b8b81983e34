//! `LICENSE` and `NOTICE`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use limbeck_store::terms::{DutyKind, license_names};
use spdx::identifiers::LICENSES;

use super::Facts;

/// The text of `LICENSE` for a licence: the `own` one of the recipe, that of the SPDX list, or where to look for it.
/// Nothing is made up.
pub fn license_text(license: &str, own: Option<&str>) -> String {
    let listed = || spdx_text(license).map(|(_, text)| text);
    match own.or_else(listed) {
        Some(text) => format!("{}\n", text.trim_end()),
        None => format!(
            "This model is under `{license}`.\n\nThe text of that licence is not in the SPDX license list, from which \
             Limbeck takes texts. Whoever gives the model to others puts the text here.\n"
        ),
    }
}

/// Id and text of a licence of the SPDX list, in whatever case it is named.
fn spdx_text(name: &str) -> Option<(&'static str, &'static str)> {
    let known = LICENSES
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(name))?;
    let id = spdx::license_id(known.name)?;
    Some((id.name, id.text()))
}

/// The text of `NOTICE`; `None` where nothing has to go with the model.
pub fn notice(facts: &Facts) -> Option<String> {
    let released = facts.intent.releases_model();
    let kept: Vec<_> = facts
        .rights
        .duties
        .iter()
        .filter(|duty| goes_along(duty.kind))
        .collect();
    if kept.is_empty() || !released {
        return None;
    }
    let mut text = format!("{}\n\n", facts.name);
    for duty in &kept {
        if let Some(show) = &duty.show {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{show}");
        }
    }
    for weights in &facts.weights {
        let license = weights
            .license
            .as_deref()
            .unwrap_or("a licence that is not declared");
        let by = weights.clarified.as_ref().map_or_else(String::new, |by| {
            format!(
                ", as {} declares by {} (SHA-256 {})",
                by.reviewer, by.text, by.sha256
            )
        });
        let _ = writeln!(
            text,
            "It takes the tokenizer, or weights that were changed, from {}, which is under {license}{by}.",
            weights.name
        );
    }
    let _ = writeln!(text, "\nWhat is owed, and under which terms:");
    for duty in &kept {
        let _ = writeln!(text, "- {} ({})", duty.text, duty.terms);
    }
    text.push_str(&texts(facts));
    Some(text)
}

/// Duties that something in the folder can meet.
fn goes_along(kind: DutyKind) -> bool {
    matches!(
        kind,
        DutyKind::Notice
            | DutyKind::LicenceCopy
            | DutyKind::Attribution
            | DutyKind::Display
            | DutyKind::AcceptableUse
    )
}

/// The licence texts of the weights: those that lie beside them, or those of the SPDX list.
fn texts(facts: &Facts) -> String {
    let mut parts = String::new();
    for text in &facts.texts {
        let _ = write!(
            parts,
            "\n---- as it lies beside the {} ----\n\n{}\n",
            text.beside,
            text.text.trim_end()
        );
    }
    let names: BTreeSet<String> = facts
        .weights
        .iter()
        .filter_map(|weights| weights.license.as_deref())
        .flat_map(license_names)
        .collect();
    let own = facts.intent.student_license.as_deref().unwrap_or_default();
    for name in &names {
        if facts
            .texts
            .iter()
            .any(|text| text.tag.as_ref() == Some(name))
        {
            continue;
        }
        if name.eq_ignore_ascii_case(own) {
            let _ = write!(parts, "\nThe text of {name} is in the file LICENSE.\n");
        } else if let Some((id, text)) = spdx_text(name) {
            let _ = write!(parts, "\n---- {id} ----\n\n{}\n", text.trim_end());
        } else {
            let _ = write!(
                parts,
                "\nThe text of {name} is not in the SPDX license list; whoever gives the model to others adds it.\n"
            );
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_has_the_text_of_the_list_or_says_that_it_has_none() {
        for name in ["apache-2.0", "Apache-2.0"] {
            let text = license_text(name, None);
            assert!(text.contains("Version 2.0, January 2004"), "{text}");
            assert!(text.ends_with('\n'));
        }
        let own = license_text("LicenseRef-own", Some("You may run it.\n\n"));
        assert_eq!(own, "You may run it.\n");
        let unknown = license_text("LicenseRef-own", None);
        assert!(
            unknown.contains("`LicenseRef-own`") && unknown.contains("not in the SPDX"),
            "{unknown}"
        );
    }
}
