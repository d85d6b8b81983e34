//! A list of answers with probabilities, as next-token distributions.

use limbeck_model::Tokenizer;

/// Choices as tokens, with the teacher's probabilities.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    /// Tokens of each choice, its end token included.
    pub choices: Vec<Vec<u32>>,
    /// Sums to one.
    probabilities: Vec<f64>,
    /// The most probable choice; the first of equals.
    pub best: usize,
}

impl Labels {
    /// `Ok(None)` where all probabilities are zero; an error says what is wrong with the list.
    pub fn new(
        tokenizer: &Tokenizer,
        choices: &[String],
        probabilities: &[f64],
    ) -> Result<Option<Self>, String> {
        if choices.is_empty() || choices.len() != probabilities.len() {
            return Err(format!(
                "{} choices and {} probabilities",
                choices.len(),
                probabilities.len()
            ));
        }
        if let Some(wrong) = probabilities.iter().find(|p| !p.is_finite() || **p < 0.0) {
            return Err(format!("{wrong} is no probability"));
        }
        let mut encoded: Vec<Vec<u32>> = Vec::with_capacity(choices.len());
        for choice in choices {
            let mut tokens = tokenizer.encode(choice, false);
            if tokens.is_empty() {
                return Err("a choice is empty".to_owned());
            }
            tokens.push(tokenizer.eos());
            if encoded.contains(&tokens) {
                return Err(format!("the choice `{choice}` is there twice"));
            }
            encoded.push(tokens);
        }
        let total: f64 = probabilities.iter().sum();
        if total <= 0.0 {
            return Ok(None);
        }
        let probabilities: Vec<f64> = probabilities.iter().map(|p| p / total).collect();
        let best = (1..choices.len()).fold(0, |best, i| {
            if probabilities[i] > probabilities[best] {
                i
            } else {
                best
            }
        });
        Ok(Some(Self {
            choices: encoded,
            probabilities,
            best,
        }))
    }

    /// For each token of the most probable choice: the token, and the distribution of the next token over the choices
    /// that begin with what was written so far. The end token is one of them, so that a choice which is the beginning
    /// of another competes with it.
    pub fn path(&self) -> impl Iterator<Item = (u32, Vec<(u32, f32)>)> + '_ {
        let path = &self.choices[self.best];
        (0..path.len()).map(move |place| (path[place], self.next_after(&path[..place])))
    }

    fn next_after(&self, prefix: &[u32]) -> Vec<(u32, f32)> {
        let mut mass: Vec<(u32, f64)> = Vec::new();
        for (choice, &probability) in self.choices.iter().zip(&self.probabilities) {
            if let Some([next, ..]) = choice.strip_prefix(prefix).filter(|_| probability > 0.0) {
                match mass.iter_mut().find(|(token, _)| token == next) {
                    Some((_, mass)) => *mass += probability,
                    None => mass.push((*next, probability)),
                }
            }
        }
        let total: f64 = mass.iter().map(|(_, mass)| mass).sum();
        mass.into_iter()
            .map(|(token, mass)| (token, (mass / total) as f32))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use limbeck_model::testing::tiny_tokenizer;

    fn labels(choices: &[&str], probabilities: &[f64]) -> Result<Option<Labels>, String> {
        let choices: Vec<String> = choices.iter().map(|&choice| choice.to_owned()).collect();
        Labels::new(&tiny_tokenizer(), &choices, probabilities)
    }

    #[test]
    fn distributions_follow_the_trie() {
        let tokenizer = tiny_tokenizer();
        let id = |token: &str| tokenizer.id_of(token).unwrap();
        let labels = labels(&["b", "bx", "c"], &[0.3, 0.5, 0.2])
            .unwrap()
            .unwrap();
        assert_eq!(labels.best, 1);
        let path: Vec<_> = labels.path().collect();
        assert_eq!(path[0], (id("b"), vec![(id("b"), 0.8), (id("c"), 0.2)]));
        assert_eq!(
            path[1],
            (id("x"), vec![(tokenizer.eos(), 0.375), (id("x"), 0.625)])
        );
        assert_eq!(path[2], (tokenizer.eos(), vec![(tokenizer.eos(), 1.0)]));
        assert_eq!(path.len(), 3);
    }

    #[test]
    fn probabilities_need_not_sum_to_one_but_must_make_sense() {
        let twice = labels(&["b", "c"], &[1.0, 3.0]).unwrap().unwrap();
        let first: Vec<f32> = twice
            .path()
            .next()
            .unwrap()
            .1
            .into_iter()
            .map(|entry| entry.1)
            .collect();
        assert_eq!(first, [0.25, 0.75]);
        assert!(labels(&["b", "c"], &[0.0, 0.0]).unwrap().is_none());
        assert!(labels(&["b", "c"], &[1.0]).is_err());
        assert!(labels(&[], &[]).is_err());
        assert!(labels(&["b", "c"], &[f64::NAN, 1.0]).is_err());
        assert!(labels(&["b", "c"], &[-0.5, 1.0]).is_err());
        assert!(labels(&["b", "b"], &[0.5, 0.5]).is_err());
        assert!(labels(&["b", ""], &[0.5, 0.5]).is_err());
    }
}
