//! `agreement`: whether the samples and phrasings of one item say the same.

use std::borrow::Cow;
use std::collections::HashMap;

use super::pool::{Judgement, Pool};
use crate::normalise;

pub(super) fn judge(pool: &Pool, at_least: f64) -> Vec<Judgement> {
    pool.items()
        .iter()
        .flat_map(|members| judge_item(pool, members, at_least))
        .collect()
}

fn judge_item(pool: &Pool, members: &[usize], at_least: f64) -> Vec<Judgement> {
    let answers: Vec<Cow<str>> = members.iter().map(|&m| answer(pool, m)).collect();
    let (majority, votes) = majority(&answers);
    let share = votes as f64 / members.len() as f64;
    let mut judgements = Vec::new();
    for (&member, answer) in members.iter().zip(&answers) {
        let agrees = answer == majority;
        let of = format!("{votes} of {} answers agree", members.len());
        let (keep, reason) = if members.len() == 1 {
            (share >= at_least, "the only answer".to_owned())
        } else if share < at_least {
            (false, format!("{of}, below {at_least}"))
        } else if !agrees && pool.probabilities(member).is_none() {
            // A label that was outvoted still softens the merged distribution; a text cannot be merged.
            (false, format!("{of}, not with this one"))
        } else {
            (true, of)
        };
        judgements.push(Judgement::new(member, keep, Some(share), reason));
    }
    judgements
}

/// The likeliest choice, or the normalised text.
fn answer(pool: &Pool, member: usize) -> Cow<'_, str> {
    let candidate = pool.candidate(member);
    match (pool.likeliest(member), &candidate.choices) {
        (Some(best), Some(distribution)) => Cow::Borrowed(&distribution.choices[best]),
        _ => Cow::Owned(normalise(&candidate.answer)),
    }
}

/// The commonest answer, the first of equals, and how often it was given. `answers` is not empty.
fn majority<'a>(answers: &'a [Cow<str>]) -> (&'a str, usize) {
    let mut votes: HashMap<&str, usize> = HashMap::new();
    for answer in answers {
        *votes.entry(answer).or_default() += 1;
    }
    let mut best = ("", 0);
    for answer in answers {
        let count = votes[answer.as_ref()];
        if count > best.1 {
            best = (answer, count);
        }
    }
    best
}
