//! `limbeck terms check`: what the terms mean for a recipe, before anything is asked.

use std::sync::Arc;

use limbeck_store::audit::{Area, Finding, Level};
use serde_json::json;

use super::NOTICE;
use crate::args::GlobalArgs;
use crate::commands::stage::cache_dir;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, sanitize_line, verdict};
use crate::recipe::Recipe;
use crate::rights::{Reviewed, Rights};
use crate::signing::reviewer;
use crate::sources::Cache;

/// Says what stands against the recipe's intent and what is owed; a check fails where something stands against it.
pub(super) async fn run(
    recipe: &Recipe,
    reviewers: &[String],
    json: bool,
    global: &GlobalArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let cache = Cache::new(cache_dir(global)?, true);
    let reviewed = Arc::new(Reviewed::of(recipe, &reviewer::trusted(reviewers)?, &[])?);
    let rights = Rights::planned(recipe, reviewed.clone(), &cache, printer).await?;
    let of_rights = |found: &&Finding| matches!(found.area, Area::Terms | Area::Licences);
    let signatures = reviewed.findings.iter().filter(of_rights);
    let mut findings: Vec<Finding> = signatures.cloned().collect();
    findings.extend(rights.findings(Area::Terms));
    findings.extend(rights.findings(Area::Licences));
    for teacher in &rights.materials.unseen {
        printer.warning(format_args!(
            "the model of `{teacher}` is not on this machine, and the recipe does not say its `license`"
        ));
    }
    let fails = findings.iter().any(|finding| finding.level == Level::Deny);
    let told = if json {
        let value = json!({"recipe": recipe.name(), "permitted": !fails, "findings": findings, "notice": NOTICE});
        printer.json(format_args!("{value:#}"))
    } else {
        printer.line(text(&findings, fails))
    };
    let found = if fails {
        ExitStatus::CheckFailed
    } else {
        ExitStatus::Success
    };
    verdict(told, found)
}

fn text(findings: &[Finding], fails: bool) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!("{}[{}]", finding.level.name(), finding.code));
        lines.push(format!("  {}", sanitize_line(&finding.message)));
        lines.push(format!(
            "  in: {}",
            sanitize_line(&finding.path.join(" > "))
        ));
        if let Some(help) = &finding.help {
            lines.push(format!("  to do: {}", sanitize_line(help)));
        }
    }
    lines.push(String::new());
    let verdict = if fails {
        "The records of terms stand against the intent of this recipe."
    } else {
        "No record of terms stands against the intent of this recipe."
    };
    lines.push(format!("{verdict} {NOTICE}"));
    lines.join("\n").trim_start().to_owned()
}
