//! `finished`: answers that were cut off at the most tokens allowed.

use super::pool::{Judgement, Pool};
use super::sentence::full_sentences;
use crate::record::FinishReason;

pub(super) fn judge(pool: &Pool, repair: bool) -> Vec<Judgement> {
    pool.kept()
        .map(|(member, candidate)| {
            let tokens = candidate.completion_tokens;
            let (keep, reason) = match candidate.finish {
                FinishReason::Stop => (true, "ended by itself".to_owned()),
                FinishReason::Choice => (true, "one of the choices".to_owned()),
                FinishReason::Filtered => (false, "taken back by the provider".to_owned()),
                FinishReason::Length if repair => return cut_back(member, &candidate.answer),
                FinishReason::Length => (false, format!("cut off after {tokens} tokens")),
            };
            Judgement::new(member, keep, None, reason)
        })
        .collect()
}

fn cut_back(member: usize, answer: &str) -> Judgement {
    let Some(whole) = full_sentences(answer) else {
        let reason = "cut off before the end of its first sentence".to_owned();
        return Judgement::new(member, false, None, reason);
    };
    let lost = answer.trim_end().chars().count() - whole.chars().count();
    if lost == 0 {
        let reason = "cut off at the end of a sentence".to_owned();
        return Judgement::new(member, true, Some(0.0), reason);
    }
    let reason = format!("cut off; {lost} characters after the last full sentence removed");
    Judgement {
        repaired: Some(whole.to_owned()),
        ..Judgement::new(member, true, Some(lost as f64), reason)
    }
}
