//! `sentences`: answers that go on after the sentences that were asked for.

use super::pool::{Judgement, Pool};
use super::sentence::first_sentences;

pub(super) fn judge(pool: &Pool, at_most: usize) -> Vec<Judgement> {
    pool.kept()
        .filter(|(_, candidate)| candidate.choices.is_none())
        .map(|(member, candidate)| {
            let Some((first, more)) = first_sentences(&candidate.answer, at_most) else {
                let reason = format!("at most {at_most} sentences");
                return Judgement::new(member, true, Some(0.0), reason);
            };
            let reason = format!("cut back to its first {at_most} sentences, {more} removed");
            Judgement {
                repaired: Some(first.to_owned()),
                ..Judgement::new(member, true, Some(more as f64), reason)
            }
        })
        .collect()
}
