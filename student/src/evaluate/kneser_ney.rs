//! The floor of generative suites: an interpolated, modified Kneser-Ney trigram over token ids.
//!
//! Chen and Goodman 1999, section 3: with raw counts `c` for trigrams and the number of distinct left neighbours for
//! shorter n-grams,
//!
//! ```text
//! p(w | u v) = max(c(u v w) − D(c), 0) / c(u v ·) + γ(u v) · p(w | v)
//! γ(u v)     = Σ_k D_k · N_k(u v ·) / c(u v ·)           k = 1, 2, 3 and more
//! ```
//!
//! and so on down to the unigram, which is interpolated with the uniform distribution over the vocabulary. Every
//! document starts from a begin mark that is context only: n-grams that contain it have no left neighbour, and keep
//! their raw count.

use std::collections::HashMap;
use std::hash::Hash;

use super::metric::AnswerNats;

/// Stands for the start of a document in contexts; no vocabulary reaches it.
const BEGIN: u32 = u32::MAX;

/// A trained trigram model.
#[derive(Clone, Debug)]
pub struct KneserNey {
    vocabulary_size: usize,
    trigrams: Order<[u32; 2]>,
    bigrams: Order<u32>,
    unigrams: Order<()>,
}

impl KneserNey {
    /// Counts `documents` (token ids below `vocabulary_size`) from start to end: input, answer and end token, as the
    /// student sees them. Nothing to count gives the uniform distribution.
    pub fn train<'a>(
        documents: impl IntoIterator<Item = &'a [u32]>,
        vocabulary_size: usize,
    ) -> Self {
        let mut trigrams: HashMap<([u32; 2], u32), u32> = HashMap::new();
        let mut starts: HashMap<u32, u32> = HashMap::new();
        for document in documents {
            let mut context = [BEGIN, BEGIN];
            for &token in document {
                if context[1] == BEGIN {
                    *starts.entry(token).or_default() += 1;
                } else {
                    *trigrams.entry((context, token)).or_default() += 1;
                }
                context = [context[1], token];
            }
        }
        let mut bigrams: HashMap<(u32, u32), u32> = HashMap::new();
        for &([_, middle], token) in trigrams.keys() {
            *bigrams.entry((middle, token)).or_default() += 1;
        }
        bigrams.extend(
            starts
                .into_iter()
                .map(|(token, count)| ((BEGIN, token), count)),
        );
        let mut unigrams: HashMap<((), u32), u32> = HashMap::new();
        for &(_, token) in bigrams.keys() {
            *unigrams.entry(((), token)).or_default() += 1;
        }
        Self {
            vocabulary_size,
            trigrams: Order::new(trigrams),
            bigrams: Order::new(bigrams),
            unigrams: Order::new(unigrams),
        }
    }

    /// The probability of `token` after `context`, of which the last two tokens count; an empty context is the start
    /// of a document. Over the vocabulary it sums to 1.
    pub fn probability(&self, context: &[u32], token: u32) -> f64 {
        let uniform = 1.0 / self.vocabulary_size.max(1) as f64;
        let unigram = self.unigrams.interpolate(&(), token, uniform);
        let last = context.last().copied().unwrap_or(BEGIN);
        let bigram = self.bigrams.interpolate(&last, token, unigram);
        match context {
            [] => bigram,
            [only] => self.trigrams.interpolate(&[BEGIN, *only], token, bigram),
            [.., before, last] => self.trigrams.interpolate(&[*before, *last], token, bigram),
        }
    }

    /// The loss of `tokens[answer_start..]`, which should end with the end token, given all that is before each of
    /// them; `bytes` is the UTF-8 length of the answer.
    pub fn answer_nats(&self, tokens: &[u32], answer_start: usize, bytes: usize) -> AnswerNats {
        let start = answer_start.min(tokens.len());
        let nats = (start..tokens.len())
            .map(|at| -self.probability(&tokens[..at], tokens[at]).ln())
            .sum();
        AnswerNats {
            nats,
            bytes,
            tokens: tokens.len() - start,
        }
    }
}

/// One order of the model: counts by context and token, and what the interpolation needs of each context.
#[derive(Clone, Debug)]
struct Order<Context> {
    counts: HashMap<(Context, u32), u32>,
    contexts: HashMap<Context, ContextTotals>,
    discounts: [f64; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct ContextTotals {
    total: u64,
    /// Distinct tokens seen once, twice, and three times or more.
    kinds: [u32; 3],
}

impl<Context: Copy + Eq + Hash> Order<Context> {
    fn new(counts: HashMap<(Context, u32), u32>) -> Self {
        let mut contexts: HashMap<Context, ContextTotals> = HashMap::new();
        for ((context, _), &count) in &counts {
            let totals = contexts.entry(*context).or_default();
            totals.total += u64::from(count);
            totals.kinds[kind(count)] += 1;
        }
        let discounts = discounts(counts.values().copied());
        Self {
            counts,
            contexts,
            discounts,
        }
    }

    /// The discounted estimate of this order plus its left-over mass times `lower`.
    fn interpolate(&self, context: &Context, token: u32, lower: f64) -> f64 {
        let Some(totals) = self.contexts.get(context) else {
            return lower;
        };
        let total = totals.total as f64;
        let discounted = self
            .counts
            .get(&(*context, token))
            .map_or(0.0, |&count| f64::from(count) - self.discounts[kind(count)]);
        let left_over: f64 = self
            .discounts
            .iter()
            .zip(totals.kinds)
            .map(|(discount, tokens)| discount * f64::from(tokens))
            .sum();
        (discounted + left_over * lower) / total
    }
}

/// Which of the three discounts a count takes.
fn kind(count: u32) -> usize {
    count.clamp(1, 3) as usize - 1
}

/// The discounts of Chen and Goodman 1999, equation 26, from how many n-grams occur once to four times. A corpus too
/// small for them (none of some count, or a discount outside 0 to its count) takes the constants that `KenLM`
/// falls back to.
fn discounts(counts: impl Iterator<Item = u32>) -> [f64; 3] {
    const FALLBACK: [f64; 3] = [0.5, 1.0, 1.5];
    let mut of = [0_u64; 4];
    for count in counts {
        if let 1..=4 = count {
            of[count as usize - 1] += 1;
        }
    }
    if of.contains(&0) {
        return FALLBACK;
    }
    let of = of.map(|number| number as f64);
    let y = of[0] / (of[0] + 2.0 * of[1]);
    let found =
        [1.0, 2.0, 3.0].map(|k: f64| k - (k + 1.0) * y * of[k as usize] / of[k as usize - 1]);
    let sane = found
        .iter()
        .zip([1.0, 2.0, 3.0])
        .all(|(d, most)| *d > 0.0 && *d <= most);
    if sane { found } else { FALLBACK }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::interval::draw;
    use super::*;

    const VOCABULARY: usize = 30;

    /// Documents of a crooked little language, so that counts of every size and unseen n-grams occur.
    fn corpus(documents: usize) -> Vec<Vec<u32>> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        (0..documents)
            .map(|_| {
                let mut tokens = vec![draw(&mut random, 3) as u32];
                for _ in 0..12 {
                    let last = tokens[tokens.len() - 1];
                    let step = draw(&mut random, 4) * draw(&mut random, 3);
                    tokens.push((last * 3 + step as u32) % (VOCABULARY as u32 - 2));
                }
                tokens.push(VOCABULARY as u32 - 1);
                tokens
            })
            .collect()
    }

    fn trained(documents: &[Vec<u32>]) -> KneserNey {
        KneserNey::train(documents.iter().map(Vec::as_slice), VOCABULARY)
    }

    /// The formula written out over lists of n-grams, with nothing shared with the model but the fallback.
    struct Reference {
        /// Every n-gram position of the padded corpus, by length.
        grams: Vec<Vec<Vec<u32>>>,
    }

    impl Reference {
        fn new(documents: &[Vec<u32>]) -> Self {
            let padded = |document: &Vec<u32>| [vec![BEGIN], document.clone()].concat();
            let grams = (0..=3)
                .map(|length: usize| {
                    documents
                        .iter()
                        .flat_map(|document| {
                            let padded = padded(document);
                            padded
                                .windows(length.max(1))
                                .map(<[u32]>::to_vec)
                                .collect::<Vec<_>>()
                        })
                        .collect()
                })
                .collect();
            Self { grams }
        }

        fn count(&self, gram: &[u32]) -> f64 {
            if gram.len() == 3 || gram[0] == BEGIN {
                let same = self.grams[gram.len()].iter().filter(|seen| *seen == gram);
                return same.count() as f64;
            }
            let left: BTreeSet<u32> = self.grams[gram.len() + 1]
                .iter()
                .filter(|seen| seen[1..] == *gram)
                .map(|seen| seen[0])
                .collect();
            left.len() as f64
        }

        fn discount(&self, length: usize, count: f64) -> f64 {
            let distinct: BTreeSet<&Vec<u32>> = self.grams[length]
                .iter()
                .filter(|gram| gram[length - 1] != BEGIN)
                .collect();
            let n = |k: f64| {
                let with = distinct
                    .iter()
                    .filter(|gram| (self.count(gram) - k).abs() < 0.5);
                with.count() as f64
            };
            let y = n(1.0) / (n(1.0) + 2.0 * n(2.0));
            match count {
                c if c < 0.5 => 0.0,
                c if c < 1.5 => 1.0 - 2.0 * y * n(2.0) / n(1.0),
                c if c < 2.5 => 2.0 - 3.0 * y * n(3.0) / n(2.0),
                _ => 3.0 - 4.0 * y * n(4.0) / n(3.0),
            }
        }

        /// `discounts` by order, then by count.
        fn probability(&self, discounts: &[[f64; 3]; 3], context: &[u32], token: u32) -> f64 {
            let lower = if context.is_empty() {
                1.0 / VOCABULARY as f64
            } else {
                self.probability(discounts, &context[1..], token)
            };
            let counts: Vec<f64> = (0..VOCABULARY as u32)
                .map(|other| self.count(&[context, &[other]].concat()))
                .collect();
            let total: f64 = counts.iter().sum();
            if total == 0.0 {
                return lower;
            }
            let discount = |count: f64| match count as usize {
                0 => 0.0,
                count => discounts[context.len()][count.min(3) - 1],
            };
            let removed: f64 = counts.iter().map(|count| discount(*count)).sum();
            let count = counts[token as usize];
            (count - discount(count)) / total + removed / total * lower
        }
    }

    #[test]
    fn probabilities_are_those_of_the_formula_written_out() {
        let documents = corpus(40);
        let model = trained(&documents);
        let reference = Reference::new(&documents);
        let discounts = [
            model.unigrams.discounts,
            model.bigrams.discounts,
            model.trigrams.discounts,
        ];
        for (order, found) in discounts.iter().enumerate().skip(1) {
            for (count, found) in (1..=3).zip(found) {
                let expected = reference.discount(order + 1, f64::from(count));
                assert!(
                    (found - expected).abs() < 1e-12,
                    "order {order}, count {count}"
                );
            }
        }
        let document = &documents[3];
        for end in 0..document.len() {
            // The reference marks the start in the context; the model is told only the tokens.
            let marked = [&[BEGIN], &document[..end]].concat();
            let context = &marked[marked.len().saturating_sub(2)..];
            for token in [document[end], 0, 7, 28] {
                let expected = reference.probability(&discounts, context, token);
                let found = model.probability(&document[..end], token);
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{context:?} {token}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn every_context_sums_to_one() {
        let documents = corpus(60);
        let model = trained(&documents);
        let mut contexts: Vec<Vec<u32>> =
            vec![vec![], vec![0], vec![28], vec![28, 28], vec![1, 28]];
        for document in &documents[..10] {
            contexts.extend((0..document.len()).map(|end| document[..end].to_vec()));
        }
        for context in contexts {
            let sum: f64 = (0..VOCABULARY as u32)
                .map(|token| model.probability(&context, token))
                .sum();
            assert!((sum - 1.0).abs() < 1e-9, "{context:?} sums to {sum}");
        }
    }

    #[test]
    fn unseen_contexts_back_off_one_order_at_a_time() {
        let documents = corpus(60);
        let model = trained(&documents);
        // 28 never occurs: as a far context it leaves the bigram, as a near one the unigram.
        for token in 0..VOCABULARY as u32 {
            let unigram = model
                .unigrams
                .interpolate(&(), token, 1.0 / VOCABULARY as f64);
            let bigram = model.bigrams.interpolate(&4, token, unigram);
            assert!((model.probability(&[28, 4], token) - bigram).abs() < 1e-15);
            assert!((model.probability(&[4, 28], token) - unigram).abs() < 1e-15);
            assert!(model.probability(&[4, 28], token) > 0.0);
        }
    }

    #[test]
    fn an_empty_corpus_is_uniform() {
        let model = trained(&[]);
        assert!((model.probability(&[1, 2], 3) - 1.0 / VOCABULARY as f64).abs() < 1e-15);
    }

    #[test]
    fn only_the_answer_is_charged() {
        let documents = corpus(30);
        let model = trained(&documents);
        let tokens = &documents[0];
        let answer = model.answer_nats(tokens, tokens.len() - 2, 9);
        let expected = -model
            .probability(&tokens[..tokens.len() - 2], tokens[tokens.len() - 2])
            .ln()
            - model
                .probability(&tokens[..tokens.len() - 1], tokens[tokens.len() - 1])
                .ln();
        assert!((answer.nats - expected).abs() < 1e-12);
        assert_eq!((answer.bytes, answer.tokens), (9, 2));
        let unseen: Vec<u32> = vec![28, 27, 28, 27];
        let strange = model.answer_nats(&unseen, 0, 4);
        assert!(strange.nats.is_finite() && strange.nats > answer.nats);
    }
}
