//! What stands before training and export: they refuse what an audit denies for the recipe's intent.

use std::collections::BTreeMap;

use limbeck_store::audit::{self, Area, Finding, IntegrityOptions, Level, RightsInput, Waiver};
use limbeck_store::review::Carried;

use super::{Finished, Pipeline, curate};
use crate::printer::{WithHint, sanitize_line};
use crate::progress::{Progress, ProgressMode};
use crate::rights::{Looking, Materials, Reviewed, signed_with, today};
use crate::signing::reviewer;

/// So many findings are told; an audit tells all.
const MOST_TOLD: usize = 5;

impl Pipeline {
    /// Stops `stage` where terms, licences or integrity deny it and nobody waives that. Judged are the answers that the
    /// dataset is made of. Returns the waivers by which it goes on.
    pub(super) async fn refuse_what_is_denied(
        &self,
        stage: &str,
        dataset: &str,
    ) -> anyhow::Result<Vec<Carried<Waiver>>> {
        let reviewed = self.reviewed()?;
        let looking = self.looking(&reviewed);
        let materials = looking.held(&self.store, Some(dataset)).await?;
        let mut findings = self.rights(&reviewed, &materials);
        let options = IntegrityOptions::default();
        let integrity = self.store.audit_integrity(&options).await?;
        findings.push((Area::Integrity, integrity));
        let more = format!(
            "limbeck audit terms licences integrity {} --workdir {}",
            self.recipe.path().display(),
            self.work.path().display()
        );
        let waivers = self.judge_findings(stage, &reviewed, findings, &more)?;
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
        let purpose = &reviewed.purpose;
        let carried = waivers
            .into_iter()
            .map(|waiver| Carried::new(waiver, purpose));
        Ok(carried.collect())
    }

    /// The same, unless nothing but a look is asked for.
    pub(super) async fn may_go_on(
        &self,
        stage: &str,
        curated: &Finished<curate::Outcome>,
    ) -> anyhow::Result<Vec<Carried<Waiver>>> {
        if self.options.only_look {
            return Ok(Vec::new());
        }
        self.refuse_what_is_denied(stage, &curated.outcome.dataset)
            .await
    }

    /// Stops before anything is asked where it is known that training would be refused afterwards.
    pub(super) async fn refuse_what_would_be_denied(&self) -> anyhow::Result<()> {
        let reviewed = self.reviewed()?;
        let mut materials = self.looking(&reviewed).planned().await?;
        // What a model's own file says of its licence is not known before it is here.
        materials
            .origins
            .retain(|origin| origin.license.is_some() || !origin.is_local());
        materials
            .weights
            .retain(|weights| weights.license.is_some());
        let findings = self.rights(&reviewed, &materials);
        let more = format!("limbeck terms check {}", self.recipe.path().display());
        self.judge_findings("train", &reviewed, findings, &more)
            .map(drop)
    }

    /// What counts of what the recipe says, by those who are trusted on this machine.
    pub(super) fn reviewed(&self) -> anyhow::Result<Reviewed> {
        let reviewers = reviewer::trusted(&[])?;
        Ok(Reviewed::of(&self.recipe, &reviewers, &[])?)
    }

    pub(super) fn looking<'a>(&'a self, reviewed: &'a Reviewed) -> Looking<'a> {
        Looking {
            recipe: &self.recipe,
            reviewed,
            cache: self.cache.offline(),
            progress: Progress::new(ProgressMode::None, &self.printer),
            today: today(),
        }
    }

    fn rights(&self, reviewed: &Reviewed, materials: &Materials) -> Vec<(Area, Vec<Finding>)> {
        let intent = self.recipe.meant(materials.families.clone());
        let input = RightsInput {
            registry: &reviewed.registry,
            intent: &intent,
            declarations: &reviewed.declarations,
            student: self.recipe.name(),
            origins: &materials.origins,
            weights: &materials.weights,
            prompts: &materials.prompts,
            texts: &materials.texts,
            tags: &materials.tags,
            today: today(),
        };
        let mut licences = audit::licences(&input);
        licences.extend(materials.findings.iter().cloned());
        vec![
            (Area::Terms, audit::terms(&input)),
            (Area::Licences, licences),
        ]
    }

    /// The waivers that were needed, if every denial has one. The command `more` tells the rest.
    fn judge_findings(
        &self,
        stage: &str,
        reviewed: &Reviewed,
        findings: Vec<(Area, Vec<Finding>)>,
        more: &str,
    ) -> anyhow::Result<Vec<Waiver>> {
        let policy = reviewed.policy(today());
        let judged = findings
            .into_iter()
            .flat_map(|(area, found)| policy.apply(area, found));
        let (mut waivers, mut denied) = (BTreeMap::new(), Vec::new());
        for finding in judged.filter(|finding| finding.level == Level::Deny) {
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
}

fn told(denied: &[Finding]) -> String {
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
