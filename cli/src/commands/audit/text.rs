//! Findings as a person reads them.

use std::collections::BTreeSet;

use limbeck_store::audit::{Finding, Level};
use limbeck_store::terms::Use;

use super::{Looked, NO_ADVICE};
use crate::printer::sanitize_line;
use crate::rights::signed_with;

/// Everything that was found, grouped by area, and then what is owed.
pub(super) fn text(looked: &Looked) -> String {
    let mut lines = Vec::new();
    if let Some(lineage) = &looked.lineage {
        lines.push(format!(
            "What went into the model, by dataset {}:\n",
            lineage.dataset
        ));
    }
    for (area, found) in &looked.areas {
        lines.push(format!("{area}: {}", verdict(found)));
        lines.extend(few_of_each(found));
        lines.push(String::new());
    }
    lines.extend(duties(looked));
    lines.push(NO_ADVICE.to_owned());
    lines.join("\n")
}

/// So many findings of one code are shown; other forms have all of them.
const MOST_SHOWN: usize = 5;

fn few_of_each(found: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    let told: Vec<&Finding> = found.iter().filter(|finding| !is_duty(finding)).collect();
    for same in told.chunk_by(|one, other| one.code == other.code && one.level == other.level) {
        for finding in same.iter().take(MOST_SHOWN) {
            lines.extend(finding_lines(finding));
        }
        if let (Some(first), more @ 1..) = (same.first(), same.len().saturating_sub(MOST_SHOWN)) {
            let (level, code) = (first.level.name(), &first.code);
            lines.push(format!(
                "  {level}[{code}] and {more} more of these; `--format json` has all that are told"
            ));
        }
    }
    lines
}

fn verdict(found: &[Finding]) -> String {
    if found.is_empty() {
        return "nothing found".to_owned();
    }
    let levels = [Level::Deny, Level::Warning, Level::Note];
    let mut told = Vec::new();
    for level in levels {
        let of_level = found
            .iter()
            .filter(|finding| finding.level == level && !is_duty(finding));
        match of_level.count() {
            0 => {}
            count => told.push(format!("{count} {}", level.name())),
        }
    }
    match owed(found).len() {
        0 => {}
        1 => told.push("1 duty".to_owned()),
        count => told.push(format!("{count} duties")),
    }
    told.join(", ")
}

fn finding_lines(finding: &Finding) -> Vec<String> {
    let level = finding.level.name();
    let mut lines = vec![
        format!("  {level}[{}]", finding.code),
        format!("    {}", sanitize_line(&finding.message)),
    ];
    if !finding.path.is_empty() {
        let path = finding.path.join(" > ");
        lines.push(format!("    in: {}", sanitize_line(&path)));
    }
    if let Some(help) = &finding.help {
        lines.push(format!("    to do: {}", sanitize_line(help)));
    }
    if let Some(rule) = &finding.rule {
        let (was, reason) = (rule.was.name(), sanitize_line(&rule.reason));
        let signer = match &rule.signer {
            Some(signer) => format!(" (signed by `{}`)", sanitize_line(signer)),
            None => String::new(),
        };
        lines.push(format!(
            "    {was} without the recipe's rule: {reason}{signer}"
        ));
    }
    if let Some(waiver) = &finding.waiver {
        lines.push(format!(
            "    waived for training and export by {}{} until {}: {}",
            sanitize_line(&waiver.reviewer),
            signed_with(waiver.signature.as_ref()),
            waiver.expires,
            sanitize_line(&waiver.reason)
        ));
    }
    lines
}

fn is_duty(finding: &Finding) -> bool {
    finding.code.ends_with("::duty")
}

/// What is owed, each once: its kind, and what to do.
fn owed(found: &[Finding]) -> BTreeSet<(&str, &str)> {
    let duties = found.iter().filter(|finding| is_duty(finding));
    duties
        .filter_map(|duty| duty.message.split_once(": "))
        .collect()
}

/// Duties are the same on many ways, so they are told in a list of their own.
fn duties(looked: &Looked) -> Vec<String> {
    let all = looked.areas.iter().flat_map(|(_, found)| owed(found));
    let all: BTreeSet<(&str, &str)> = all.collect();
    if all.is_empty() {
        return Vec::new();
    }
    let uses: Vec<&str> = looked.intent.iter().copied().map(Use::name).collect();
    let width = all.iter().map(|(kind, _)| kind.len()).max().unwrap_or(0);
    let mut lines = vec![format!("Owed for {}:", uses.join(", "))];
    for (kind, what) in all {
        lines.push(format!("  {kind:<width$}  {}", sanitize_line(what)));
    }
    lines.push(String::new());
    lines
}

#[cfg(test)]
mod tests {
    use limbeck_store::audit::Area;

    use super::*;

    #[test]
    fn of_many_findings_of_a_code_a_few_are_shown_and_the_rest_counted() {
        let one = |number: usize| {
            let message = format!("trace {number}");
            Finding::new(Area::Integrity, "trace-added", Level::Deny, message)
        };
        let mut found: Vec<Finding> = (0..9).map(one).collect();
        found.push(Finding::new(Area::Integrity, "tree", Level::Deny, "torn"));
        let lines = few_of_each(&found).join("\n");
        assert_eq!(lines.matches("deny[integrity::trace-added]").count(), 6);
        assert!(lines.contains("and 4 more of these"), "{lines}");
        assert!(lines.ends_with("    torn"), "{lines}");
        assert!(
            !few_of_each(&found[..5])
                .join("\n")
                .contains("more of these")
        );
    }
}
