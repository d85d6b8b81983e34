//! The candidates of one curation with what is known of them so far.

use std::collections::{BTreeMap, HashMap};

use super::{Candidate, PriorCorrectionFit};

/// One check's finding on one member.
pub(super) struct Judgement {
    /// The member's index.
    pub member: usize,
    pub keep: bool,
    pub value: Option<f64>,
    pub reason: String,
    /// The answer as it should read from now on.
    pub repaired: Option<String>,
}

impl Judgement {
    pub(super) fn new(member: usize, keep: bool, value: Option<f64>, reason: String) -> Self {
        Self {
            member,
            keep,
            value,
            reason,
            repaired: None,
        }
    }
}

/// A candidate, its corrected label probabilities and whether it is still kept.
struct Member {
    candidate: Candidate,
    probabilities: Option<Vec<f64>>,
    weight: f64,
    kept: bool,
    repaired: bool,
}

/// All members, in the order of the candidates.
pub(super) struct Pool {
    members: Vec<Member>,
}

impl Pool {
    pub(super) fn new(
        candidates: Vec<Candidate>,
        prior: &PriorCorrectionFit,
        weights: &BTreeMap<String, f64>,
    ) -> Self {
        let member = |candidate: Candidate| {
            let probabilities = candidate
                .choices
                .as_ref()
                .filter(|c| !c.choices.is_empty() && c.choices.len() == c.log_probabilities.len())
                .map(|c| prior.apply(&candidate.phrasing, &c.log_probabilities));
            Member {
                probabilities,
                weight: weights.get(&candidate.phrasing).copied().unwrap_or(1.0),
                kept: true,
                repaired: false,
                candidate,
            }
        };
        Self {
            members: candidates.into_iter().map(member).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn candidate(&self, member: usize) -> &Candidate {
        &self.members[member].candidate
    }

    /// Whether an earlier check cut the answer.
    pub(super) fn is_repaired(&self, member: usize) -> bool {
        self.members[member].repaired
    }

    /// The probabilities of the choices after prior correction; `None` for a free text.
    pub(super) fn probabilities(&self, member: usize) -> Option<&[f64]> {
        self.members[member].probabilities.as_deref()
    }

    /// The index of the likeliest choice after prior correction, the first of equals.
    pub(super) fn likeliest(&self, member: usize) -> Option<usize> {
        Some(argmax(self.probabilities(member)?))
    }

    /// Members that every check so far keeps.
    pub(super) fn kept(&self) -> impl Iterator<Item = (usize, &Candidate)> {
        self.members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.kept)
            .map(|(index, member)| (index, &member.candidate))
    }

    /// Kept members by item, in the order in which items first occur. Free texts and labels, and labels over
    /// other choices, are no answers to the same question and stay apart.
    pub(super) fn items(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut by_key = HashMap::new();
        for (index, candidate) in self.kept() {
            let choices = self.members[index]
                .probabilities
                .as_ref()
                .and(candidate.choices.as_ref())
                .map(|distribution| &distribution.choices);
            let group = *by_key
                .entry((&candidate.item, choices))
                .or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(index);
        }
        groups
    }

    /// The mean of the members' probabilities, weighted by phrasing; `None` for free texts.
    pub(super) fn merged(&self, members: &[usize]) -> Option<Vec<f64>> {
        let total: f64 = members.iter().map(|&m| self.members[m].weight).sum();
        let mut merged = vec![0.0; self.probabilities(*members.first()?)?.len()];
        for &index in members {
            // Where no phrasing counts for anything, all count the same.
            let share = if total > 0.0 {
                self.members[index].weight / total
            } else {
                1.0 / members.len() as f64
            };
            for (sum, probability) in merged.iter_mut().zip(self.probabilities(index)?) {
                *sum += share * probability;
            }
        }
        Some(merged)
    }

    /// Takes in what a check found.
    pub(super) fn apply(&mut self, judgements: Vec<Judgement>) {
        for judgement in judgements {
            let member = &mut self.members[judgement.member];
            member.kept &= judgement.keep;
            if let Some(answer) = judgement.repaired {
                member.candidate.answer = answer;
                member.repaired = true;
            }
        }
    }
}

/// The index of the greatest, the first of equals.
pub(super) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
