//! Findings as `JUnit`, which most CI systems show: a suite an area, a case a code.

use limbeck_store::audit::{Area, CODES, Finding, Level};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Looked, NO_ADVICE};
use crate::rights::signed_with;

/// A code fails if something of it is denied; what is not denied stands in its output.
pub(super) fn text(looked: &Looked) -> anyhow::Result<String> {
    let mut report = Report::new("limbeck audit");
    for (area, found) in &looked.areas {
        report.add_test_suite(suite(*area, found));
    }
    Ok(report.to_string()?)
}

fn suite(area: Area, found: &[Finding]) -> TestSuite {
    let mut suite = TestSuite::new(area.name());
    for code in CODES.iter().filter(|code| code.area() == area) {
        let of_code = found.iter().filter(|finding| finding.code == code.name);
        let (denied, told): (Vec<&Finding>, Vec<&Finding>) =
            of_code.partition(|finding| finding.level == Level::Deny);
        let mut status = TestCaseStatus::success();
        if let Some(first) = denied.first() {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(first.message.clone());
            status.set_type(code.name);
            status.set_description(lines(&denied));
        }
        let mut case = TestCase::new(code.name, status);
        case.set_classname(area.name());
        if !told.is_empty() {
            case.set_system_out(lines(&told));
        }
        suite.add_test_case(case);
    }
    suite.set_system_out(NO_ADVICE);
    suite
}

fn lines(findings: &[&Finding]) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!("{}: {}", finding.level.name(), finding.message));
        if !finding.path.is_empty() {
            lines.push(format!("  in: {}", finding.path.join(" > ")));
        }
        if let Some(help) = &finding.help {
            lines.push(format!("  to do: {help}"));
        }
        if let Some(waiver) = &finding.waiver {
            let (reviewer, reason) = (&waiver.reviewer, &waiver.reason);
            let until = waiver.expires;
            let signed = signed_with(waiver.signature.as_ref());
            lines.push(format!(
                "  waived for training and export by {reviewer}{signed} until {until}: {reason}"
            ));
        }
    }
    lines.join("\n")
}
