//! What the checks decide, as tables.

mod opinions;
mod texts;

use std::fmt::Write as _;

use expect_test::Expect;

use super::tests_support::{label, text};
use super::*;

fn curation(checks: Vec<Check>) -> Curation {
    Curation {
        checks,
        ..Curation::default()
    }
}

/// Curates and writes what came of it: verdicts, then rows, then what each check did.
#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better at the call"
)]
fn check(candidates: Vec<Candidate>, curation: Curation, suite: &[&str], expected: Expect) {
    let suite: Vec<String> = suite.iter().map(ToString::to_string).collect();
    let curated = curate(candidates, &curation, &suite);
    let mut out = String::new();
    for verdict in &curated.verdicts {
        let keep = if verdict.keep { "keep" } else { "drop" };
        let value = verdict
            .value
            .map_or(String::new(), |v| format!(" ({v:.3})"));
        writeln!(
            out,
            "{keep} {} {}{value}: {}",
            verdict.trace_id, verdict.check, verdict.reason
        )
        .unwrap();
    }
    for row in &curated.rows {
        let answer = match &row.answer {
            RowAnswer::Text { text, repaired, .. } => {
                format!("{text:?}{}", if *repaired { " repaired" } else { "" })
            }
            RowAnswer::Labels {
                choices,
                probabilities,
            } => {
                let pairs = choices.iter().zip(probabilities);
                pairs
                    .map(|(c, p)| format!("{c} {p:.3}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            }
        };
        writeln!(
            out,
            "row {:?}: {answer} <- {}",
            row.input,
            row.trace_ids.join(" ")
        )
        .unwrap();
    }
    for summary in &curated.checks {
        writeln!(
            out,
            "{}: judged {}, dropped {}, repaired {}",
            summary.check, summary.judged, summary.dropped, summary.repaired
        )
        .unwrap();
    }
    writeln!(out, "kept {}, dropped {}", curated.kept, curated.dropped).unwrap();
    let dropped: usize = curated.checks.iter().map(|c| c.dropped).sum();
    assert_eq!(dropped, curated.dropped, "the drops of the checks add up");
    expected.assert_eq(&out);
}
