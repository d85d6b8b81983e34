//! What stands before training and export: they refuse what an audit denies for the recipe's intent.
//!
//! Both look at all areas, as `limbeck audit` does of a model that lies in the work folder: at what goes into it, and at
//! the store as a whole where nothing less can be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use limbeck_store::audit::{Area, Finding, IntegrityOptions, Level, Lineage, Waiver};
use limbeck_store::review::Carried;

use super::Pipeline;
use crate::auditing::Audit;
use crate::printer::{WithHint, sanitize_line};
use crate::rights::{Reviewed, Rights, signed_with};
use crate::signing::reviewer;

/// So many findings are told; an audit tells all.
const MOST_TOLD: usize = 5;

/// What an audit found before a stage went on.
pub(super) struct Audited<'a> {
    /// What terms and licences were judged by.
    pub(super) rights: Rights<'a>,
    /// What was found in each area.
    pub(super) areas: Vec<(Area, Vec<Finding>)>,
    /// Those by which the stage goes on although something is denied.
    pub(super) waivers: Vec<Carried<Waiver>>,
}

impl Pipeline {
    /// Stops `stage` where the audit denies something and nobody waives that. Judged is what goes into the model of
    /// `lineage`.
    pub(super) async fn refuse_what_is_denied(
        &self,
        stage: &str,
        lineage: &Lineage,
    ) -> anyhow::Result<Audited<'_>> {
        let dataset = Some(lineage.dataset.as_str());
        let (recipe, store, reviewed) = (&self.recipe, &self.store, self.reviewed()?);
        let rights = Rights::held(
            recipe,
            reviewed.clone(),
            &self.cache,
            &self.printer,
            store,
            dataset,
        )
        .await?;
        let audit = Audit {
            store,
            workdir: self.work.path(),
            recipe: Some(recipe),
            reviewed: Some(&reviewed),
            // The recipe is the one that runs, not its copy.
            copy: None,
            is_foreign_copy: false,
            lineage: Some(lineage),
            folder: None,
            integrity: IntegrityOptions::default(),
        };
        let mut areas = Vec::new();
        for area in Area::ALL {
            areas.push((area, audit.findings(area, Some(&rights)).await?));
        }
        let more = format!(
            "limbeck audit {} --workdir {}",
            recipe.path().display(),
            self.work.path().display()
        );
        let waivers = waived(stage, &areas, &more)?;
        for waiver in &waivers {
            self.printer.warning(format_args!(
                "`{}` is denied and waived by {}{} until {}: {}",
                waiver.code,
                sanitize_line(&waiver.reviewer),
                signed_with(waiver.signature.as_ref()),
                waiver.expires,
                sanitize_line(&waiver.reason)
            ));
        }
        let carried = waivers.into_iter();
        let carried = carried.map(|waiver| Carried::new(waiver, &reviewed.purpose));
        Ok(Audited {
            waivers: carried.collect(),
            rights,
            areas,
        })
    }

    /// What counts of what the recipe says, by those who are trusted on this machine.
    pub(super) fn reviewed(&self) -> anyhow::Result<Arc<Reviewed>> {
        let reviewers = reviewer::trusted(&[])?;
        Ok(Arc::new(Reviewed::of(&self.recipe, &reviewers, &[])?))
    }

    /// Stops before anything is asked where it is known that training would be refused afterwards.
    pub(super) async fn refuse_what_would_be_denied(&self) -> anyhow::Result<()> {
        let reviewed = self.reviewed()?;
        let mut rights =
            Rights::planned(&self.recipe, reviewed.clone(), &self.cache, &self.printer).await?;
        // What a model's own file says of its licence is not known before it is here.
        let materials = &mut rights.materials;
        materials
            .origins
            .retain(|origin| origin.license.is_some() || !origin.is_local());
        materials
            .weights
            .retain(|weights| weights.license.is_some());
        let policy = reviewed.policy(rights.today);
        let found = [Area::Terms, Area::Licences]
            .map(|area| (area, policy.apply(area, rights.findings(area))));
        let more = format!("limbeck terms check {}", self.recipe.path().display());
        waived("train", &found, &more).map(drop)
    }
}

/// The waivers that were needed, if every denial has one. The command `more` tells the rest.
fn waived(stage: &str, found: &[(Area, Vec<Finding>)], more: &str) -> anyhow::Result<Vec<Waiver>> {
    let findings = found.iter().flat_map(|(_, found)| found);
    let (mut waivers, mut denied) = (BTreeMap::new(), Vec::new());
    for finding in findings.filter(|finding| finding.level == Level::Deny) {
        match &finding.waiver {
            Some(waiver) => {
                let key = (waiver.code.clone(), waiver.about.clone());
                waivers.insert(key, waiver.clone());
            }
            None => denied.push(finding),
        }
    }
    if denied.is_empty() {
        return Ok(waivers.into_values().collect());
    }
    let error = Err(anyhow::anyhow!(
        "`{stage}` is refused, since the audit denies what the recipe means to do\n{}",
        told(&denied)
    ));
    error.hint(format!(
        "`{more}` tells all of it; a signed `[[waiver]]` with a reviewer, a reason and an end lets {stage} go on, and is shown with what it makes"
    ))
}

fn told(denied: &[&Finding]) -> String {
    let mut lines = Vec::new();
    for finding in denied.iter().take(MOST_TOLD) {
        lines.push(format!(
            "{}: {}",
            finding.code,
            sanitize_line(&finding.message)
        ));
        if !finding.path.is_empty() {
            lines.push(format!(
                "  in: {}",
                sanitize_line(&finding.path.join(" > "))
            ));
        }
        if let Some(help) = &finding.help {
            lines.push(format!("  to do: {}", sanitize_line(help)));
        }
    }
    if denied.len() > MOST_TOLD {
        lines.push(format!("and {} more of these", denied.len() - MOST_TOLD));
    }
    lines.join("\n")
}
