//! `confidence`: how sure the teacher was.

use super::pool::{Judgement, Pool, argmax};

pub(super) fn judge(pool: &Pool, at_least: f64) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    for members in pool.items() {
        // The answers of one item are learned as one distribution, so they stand or fall together.
        if let Some(merged) = pool.merged(&members) {
            let best = argmax(&merged);
            let choice = pool
                .candidate(members[0])
                .choices
                .as_ref()
                .map_or("", |distribution| &distribution.choices[best]);
            for &member in &members {
                judgements.push(measured(
                    member,
                    merged[best],
                    at_least,
                    &format!("`{choice}` has probability"),
                ));
            }
        } else {
            judgements.extend(members.iter().map(|&m| text(pool, m, at_least)));
        }
    }
    judgements
}

fn text(pool: &Pool, member: usize, at_least: f64) -> Judgement {
    match pool.candidate(member).mean_log_probability {
        Some(mean) => measured(
            member,
            f64::from(mean).exp(),
            at_least,
            "its tokens have the mean probability",
        ),
        // An answer whose confidence is unknown does not pass for a confident one.
        None => Judgement::new(
            member,
            false,
            None,
            "the teacher told no log-probabilities, so its confidence is unknown".to_owned(),
        ),
    }
}

fn measured(member: usize, value: f64, at_least: f64, what: &str) -> Judgement {
    let keep = value >= at_least;
    let reason = if keep {
        format!("{what} {value:.3}")
    } else {
        format!("{what} {value:.3}, below {at_least}")
    };
    Judgement::new(member, keep, Some(value), reason)
}
