//! `duplicates`: rows that would teach the same thing twice.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Candidate;
use super::pool::{Judgement, Pool};
use crate::normalise;

/// How many characters of a trace id a reason shows; enough for `limbeck traces show`.
const SHOWN: usize = 12;

#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    /// Another phrasing or sample of a label is another opinion, and merging wants it.
    Label(Cow<'a, str>, &'a str, u32),
    /// The same words from another phrasing or sample are the same row.
    Text(Cow<'a, str>, Cow<'a, str>),
}

pub(super) fn judge(pool: &Pool, normalised: bool) -> Vec<Judgement> {
    let mut first = HashMap::new();
    pool.kept()
        .map(|(member, candidate)| {
            let original = *first
                .entry(key(pool, member, candidate, normalised))
                .or_insert(member);
            if original == member {
                return Judgement::new(member, true, None, "the first of its kind".to_owned());
            }
            let id = &pool.candidate(original).trace_id;
            let shown = id.get(..SHOWN).unwrap_or(id);
            Judgement::new(member, false, None, format!("the same as trace {shown}"))
        })
        .collect()
}

fn key<'a>(pool: &Pool, member: usize, candidate: &'a Candidate, normalised: bool) -> Key<'a> {
    let spelling = |text: &'a str| {
        if normalised {
            Cow::Owned(normalise(text))
        } else {
            Cow::Borrowed(text)
        }
    };
    let input = spelling(&candidate.input);
    if pool.probabilities(member).is_some() {
        Key::Label(input, &candidate.phrasing, candidate.sample)
    } else {
        Key::Text(input, spelling(&candidate.answer))
    }
}
