//! `evaluation-overlap`: inputs that also occur in an evaluation suite.

use std::collections::HashSet;

use super::pool::{Judgement, Pool};
use crate::normalise;

/// So many words in a row are chance in neither a message nor a story.
const WORDS: usize = 8;

pub(super) fn judge(pool: &Pool, evaluation_inputs: &[String]) -> Vec<Judgement> {
    let suite: Vec<String> = evaluation_inputs.iter().map(|i| normalise(i)).collect();
    let whole: HashSet<&str> = suite.iter().map(String::as_str).collect();
    let runs: HashSet<&str> = suite.iter().flat_map(|text| word_runs(text)).collect();
    pool.kept()
        .map(|(member, candidate)| {
            let input = normalise(&candidate.input);
            if whole.contains(input.as_str()) {
                let reason = "the input is in an evaluation suite".to_owned();
                return Judgement::new(member, false, Some(1.0), reason);
            }
            let own = word_runs(&input);
            let shared: Vec<&&str> = own.iter().filter(|run| runs.contains(*run)).collect();
            match shared.first() {
                None => {
                    let reason = "in no evaluation suite".to_owned();
                    Judgement::new(member, true, Some(0.0), reason)
                }
                Some(run) => {
                    let share = shared.len() as f64 / own.len() as f64;
                    let reason = format!("shares `{run}` with an input of an evaluation suite");
                    Judgement::new(member, false, Some(share), reason)
                }
            }
        })
        .collect()
}

/// Every run of [`WORDS`] words of a normalised text; none for a shorter one.
fn word_runs(text: &str) -> Vec<&str> {
    // Normalised words are parted by single spaces, so a run of words is a slice of the text.
    let mut starts = vec![0];
    starts.extend(text.match_indices(' ').map(|(at, _)| at + 1));
    let ends = starts.iter().skip(1).map(|start| start - 1);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    starts
        .iter()
        .zip(ends.iter().skip(WORDS - 1))
        .map(|(&start, &end)| &text[start..end])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_whole_words() {
        assert_eq!(
            word_runs("a bb c d e f g h i"),
            ["a bb c d e f g h", "bb c d e f g h i"]
        );
        assert_eq!(word_runs("a b c d e f g é"), ["a b c d e f g é"]);
        assert!(word_runs("a b c d e f g").is_empty());
        assert!(word_runs("").is_empty());
    }
}
