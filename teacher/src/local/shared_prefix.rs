//! Finds what many prompts have in common at their start, so that it is read once.
//!
//! Instructions and worked examples stand before every item of a harvest and are often ten times as long as the
//! item. Nobody has to say where they end: the questions that wait are compared token by token.
//!
//! Sharing changes nothing in an answer: keys and values of a token depend on the tokens before it alone, and the
//! decoder computes them in the same order wherever they are read.

/// A beginning is worth reading apart only if this many waiting questions have it.
pub(super) const MIN_QUESTIONS: usize = 8;

/// A beginning shorter than this many tokens is not worth a pass of its own.
const MIN_TOKENS: usize = 8;

/// How many beginnings are kept: several phrasings may be asked in turn. Each takes the memory of its keys and
/// values.
const KEPT: usize = 4;

/// Beginnings that were read, with what reading them gave; the least recently used is dropped first.
pub(super) struct SharedPrefixes<T> {
    /// Most recently used last.
    kept: Vec<Kept<T>>,
}

struct Kept<T> {
    tokens: Vec<u32>,
    read: T,
}

impl<T: Clone> SharedPrefixes<T> {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new() }
    }

    /// The longest kept beginning of `tokens` that leaves at least one token over: its length and what was read.
    pub(super) fn longest(&mut self, tokens: &[u32]) -> Option<(usize, T)> {
        let (index, length) = self.find(tokens)?;
        let used = self.kept.remove(index);
        let read = used.read.clone();
        self.kept.push(used);
        Some((length, read))
    }

    /// The beginning that would save the most reading if it were read now, if any would.
    pub(super) fn worth_reading(&self, waiting: &[&[u32]]) -> Option<Vec<u32>> {
        let covered = |tokens: &[u32]| self.find(tokens).map_or(0, |(_, length)| length);
        most_saving(waiting, covered).map(<[u32]>::to_vec)
    }

    /// Keeps a beginning that was read.
    pub(super) fn keep(&mut self, tokens: Vec<u32>, read: T) {
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        self.kept.push(Kept { tokens, read });
    }

    /// Index and length of the longest kept beginning of `tokens`.
    fn find(&self, tokens: &[u32]) -> Option<(usize, usize)> {
        let body = without_last(tokens);
        self.kept
            .iter()
            .enumerate()
            .filter(|(_, kept)| body.starts_with(&kept.tokens))
            .map(|(index, kept)| (index, kept.tokens.len()))
            .max_by_key(|(_, length)| *length)
    }
}

/// The last token always remains to be read, because its logits are the first that an answer needs.
fn without_last(tokens: &[u32]) -> &[u32] {
    tokens.split_last().map_or(&[], |(_, body)| body)
}

/// The beginning, shared by enough of `waiting`, for which `saved - cost` is largest and above 0: `saved` is the sum
/// over its questions of the tokens that no kept beginning covers already, `cost` is its own length.
///
/// By counting what is saved, instructions that all share win over a few items that begin alike, and the whole
/// prompt wins where it is asked for many samples.
fn most_saving<'a>(waiting: &[&'a [u32]], covered: impl Fn(&[u32]) -> usize) -> Option<&'a [u32]> {
    if waiting.len() < MIN_QUESTIONS {
        return None;
    }
    let mut sorted: Vec<(&[u32], usize)> = waiting
        .iter()
        .map(|tokens| (without_last(tokens), covered(tokens)))
        .collect();
    sorted.sort_unstable();
    // Sorted, all that begin alike are neighbours, and what a range shares is the least that two neighbours share.
    let common: Vec<usize> = sorted
        .windows(2)
        .map(|pair| common_length(pair[0].0, pair[1].0))
        .collect();

    let mut best: Option<(usize, &[u32])> = None;
    for (first, window) in common.windows(MIN_QUESTIONS - 1).enumerate() {
        let length = window.iter().copied().min().unwrap_or(0);
        if length < MIN_TOKENS {
            continue;
        }
        let shares = |common: &&usize| **common >= length;
        let start = first - common[..first].iter().rev().take_while(shares).count();
        let end = first + common[first..].iter().take_while(shares).count();
        let saved: usize = sorted[start..=end]
            .iter()
            .map(|(_, covered)| length.saturating_sub(*covered))
            .sum();
        let gain = saved.saturating_sub(length);
        if gain > best.map_or(0, |(gain, _)| gain) {
            best = Some((gain, &sorted[first].0[..length]));
        }
    }
    best.map(|(_, tokens)| tokens)
}

fn common_length(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `count` prompts: `head`, then a tail that begins differently in each.
    fn prompts(head: &[u32], count: u32) -> Vec<Vec<u32>> {
        (0..count)
            .map(|item| [head, &[1000 + item, 7, 8, 9]].concat())
            .collect()
    }

    fn search(waiting: &[Vec<u32>]) -> Option<Vec<u32>> {
        let waiting: Vec<&[u32]> = waiting.iter().map(Vec::as_slice).collect();
        SharedPrefixes::<()>::new().worth_reading(&waiting)
    }

    #[test]
    fn instructions_are_found_whatever_follows() {
        let head: Vec<u32> = (0..40).collect();
        assert_eq!(search(&prompts(&head, 8)), Some(head.clone()));
        assert_eq!(search(&prompts(&head, 7)), None, "too few to be worth it");
        assert_eq!(
            search(&prompts(&head[..7], 30)),
            None,
            "too short to be worth it"
        );
    }

    #[test]
    fn each_phrasing_is_found_the_one_that_saves_most_first() {
        let (long, short): (Vec<u32>, Vec<u32>) =
            ((0..40).collect(), (0..10).chain(50..70).collect());
        let waiting = [prompts(&long, 20), prompts(&short, 20)].concat();
        let waiting: Vec<&[u32]> = waiting.iter().map(Vec::as_slice).collect();
        let mut prefixes = SharedPrefixes::new();
        assert_eq!(prefixes.worth_reading(&waiting), Some(long.clone()));
        prefixes.keep(long, 'a');
        assert_eq!(prefixes.worth_reading(&waiting), Some(short.clone()));
        prefixes.keep(short, 'b');
        assert_eq!(prefixes.worth_reading(&waiting), None);
        assert_eq!(prefixes.longest(waiting[0]), Some((40, 'a')));
        assert_eq!(prefixes.longest(waiting[39]), Some((30, 'b')));
    }

    #[test]
    fn items_that_begin_alike_do_not_hide_what_all_share() {
        let head: Vec<u32> = (0..40).collect();
        let alike: Vec<u32> = (0..45).collect();
        assert_eq!(
            search(&[prompts(&head, 40), prompts(&alike, 8)].concat()),
            Some(head)
        );
    }

    #[test]
    fn many_samples_of_one_prompt_share_all_but_its_last_token() {
        let prompt: Vec<u32> = (0..40).collect();
        assert_eq!(
            search(&vec![prompt.clone(); 16]),
            Some(prompt[..39].to_vec())
        );
    }

    #[test]
    fn the_last_token_of_a_prompt_is_never_covered() {
        let mut prefixes = SharedPrefixes::new();
        prefixes.keep(vec![1, 2, 3], ());
        assert_eq!(prefixes.longest(&[1, 2, 3]), None);
        assert_eq!(prefixes.longest(&[1, 2, 3, 4]), Some((3, ())));
        assert_eq!(prefixes.longest(&[]), None);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut prefixes = SharedPrefixes::new();
        for first in 0..KEPT as u32 {
            prefixes.keep(vec![first], first);
        }
        assert_eq!(prefixes.longest(&[0, 9]), Some((1, 0)));
        prefixes.keep(vec![100], 100);
        assert_eq!(prefixes.longest(&[0, 9]), Some((1, 0)), "used last");
        assert_eq!(prefixes.longest(&[1, 9]), None, "unused for longest");
    }

    /// The definition, written out: every beginning of every prompt.
    fn largest_gain(waiting: &[Vec<u32>]) -> usize {
        let mut best = 0;
        for prompt in waiting {
            for length in MIN_TOKENS..prompt.len() {
                let head = &prompt[..length];
                let sharing = waiting
                    .iter()
                    .filter(|other| without_last(other).starts_with(head))
                    .count();
                if sharing >= MIN_QUESTIONS {
                    best = best.max((sharing - 1) * length);
                }
            }
        }
        best
    }

    proptest! {
        #[test]
        fn what_is_found_saves_the_most_of_all_beginnings(
            waiting in prop::collection::vec(prop::collection::vec(0..2_u32, 0..24), 0..40),
        ) {
            // Equal heads, so that long common beginnings occur at all.
            let waiting: Vec<Vec<u32>> = waiting.into_iter().map(|tail| [vec![5; 6], tail].concat()).collect();
            let found = search(&waiting);
            let gain = found.as_ref().map_or(0, |head| {
                let sharing = waiting.iter().filter(|prompt| without_last(prompt).starts_with(head)).count();
                assert!(sharing >= MIN_QUESTIONS && head.len() >= MIN_TOKENS);
                (sharing - 1) * head.len()
            });
            prop_assert_eq!(gain, largest_gain(&waiting));
        }
    }
}
