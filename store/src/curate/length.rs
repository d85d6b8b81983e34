//! `length`: a band of lengths for the answer.

use super::pool::{Judgement, Pool};

type Band = (Option<usize>, Option<usize>);

pub(super) fn judge(
    pool: &Pool,
    characters: Band,
    tokens: (Option<u32>, Option<u32>),
) -> Vec<Judgement> {
    let tokens = (tokens.0.map(|n| n as usize), tokens.1.map(|n| n as usize));
    pool.kept()
        .map(|(member, candidate)| {
            let character_count = candidate.answer.chars().count();
            let token_count = candidate.completion_tokens as usize;
            let outside = outside(character_count, "characters", characters)
                .or_else(|| outside(token_count, "tokens", tokens));
            let keep = outside.is_none();
            let reason = outside
                .unwrap_or_else(|| format!("{character_count} characters, {token_count} tokens"));
            Judgement::new(member, keep, Some(character_count as f64), reason)
        })
        .collect()
}

/// Why a count does not fit its band, if it does not.
fn outside(count: usize, unit: &str, (least, most): Band) -> Option<String> {
    if let Some(least) = least.filter(|&least| count < least) {
        return Some(format!("{count} {unit}, fewer than {least}"));
    }
    let most = most.filter(|&most| count > most)?;
    Some(format!("{count} {unit}, more than {most}"))
}
