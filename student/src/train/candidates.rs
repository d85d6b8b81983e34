//! The teacher's strongest candidates at each token, in the student's ids.

use std::collections::HashMap;

use limbeck_model::Tokenizer;
use limbeck_model::differentiable::TargetTerm;

use super::TrainError;
use crate::example::TeacherToken;

/// Mass outside the candidates that is rounding rather than knowledge.
const NO_TAIL: f32 = 1e-6;

/// Translates candidates.
pub(super) struct Candidates<'a> {
    tokenizer: &'a Tokenizer,
    student_ids: HashMap<u32, u32>,
}

impl<'a> Candidates<'a> {
    /// `teacher_ids` holds the teacher's id of each of the student's.
    pub fn new(tokenizer: &'a Tokenizer, teacher_ids: &[u32]) -> Result<Self, TrainError> {
        if teacher_ids.len() != tokenizer.vocab_size() {
            return Err(TrainError::TeacherIds {
                expected: tokenizer.vocab_size(),
                found: teacher_ids.len(),
            });
        }
        // Whatever control token the teacher would write, it would end its answer.
        let end = |id| {
            if tokenizer.is_control(id) {
                tokenizer.eos()
            } else {
                id
            }
        };
        let student_ids = (0..)
            .zip(teacher_ids)
            .map(|(id, &teacher)| (teacher, end(id)))
            .collect();
        Ok(Self {
            tokenizer,
            student_ids,
        })
    }

    /// A term of weight 1 for each token of `answer` and for the end after it, where the teacher's candidates are
    /// known: where it wrote the same token after the same text. `answer` is the student's encoding of `text`.
    pub fn terms(
        &self,
        text: &str,
        answer: &[u32],
        teacher: &[TeacherToken],
    ) -> Vec<Option<TargetTerm>> {
        let (written, starts) = self.written(teacher);
        let shift = leading_space(&written).saturating_sub(leading_space(text.as_bytes()));
        let agreed = written[shift..]
            .iter()
            .zip(text.as_bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let mut place = 0;
        let ends = answer.iter().copied().chain([self.tokenizer.eos()]);
        ends.map(|token| {
            let here = place;
            place += self.tokenizer.token_bytes(token).len();
            let which = starts
                .binary_search(&(here + shift))
                .ok()
                .filter(|_| here <= agreed)?;
            let same = self.student_ids.get(&teacher[which].id) == Some(&token);
            same.then(|| self.term(&teacher[which].top)).flatten()
        })
        .collect()
    }

    /// The bytes that the teacher wrote, and where each token begins, up to the first token that the student lacks or
    /// that ends the answer (which begins, too).
    fn written(&self, teacher: &[TeacherToken]) -> (Vec<u8>, Vec<usize>) {
        let (mut written, mut starts) = (Vec::new(), Vec::new());
        for token in teacher {
            starts.push(written.len());
            let bytes = self
                .student_ids
                .get(&token.id)
                .map(|&id| self.tokenizer.token_bytes(id));
            match bytes {
                Some(bytes) if !bytes.is_empty() => written.extend(bytes),
                _ => break,
            }
        }
        (written, starts)
    }

    /// Candidates that the student lacks go to the tail, and several that mean the end are added up.
    fn term(&self, top: &[(u32, f32)]) -> Option<TargetTerm> {
        let mut mass: Vec<(u32, f32)> = Vec::with_capacity(top.len());
        for (id, log_probability) in top {
            let Some(&id) = self.student_ids.get(id) else {
                continue;
            };
            let probability = log_probability.exp();
            if !probability.is_finite() {
                return None;
            }
            match mass.iter_mut().find(|(token, _)| *token == id) {
                Some((_, mass)) => *mass += probability,
                None => mass.push((id, probability)),
            }
        }
        let total: f32 = mass.iter().map(|(_, mass)| mass).sum();
        if total <= 0.0 {
            return None;
        }
        let tail = if total < 1.0 - NO_TAIL {
            1.0 - total
        } else {
            0.0
        };
        // Without a tail the candidates are all there is, whatever rounding says.
        let scale = if tail > 0.0 { 1.0 } else { 1.0 / total };
        let (ids, probabilities) = mass
            .into_iter()
            .map(|(id, mass)| (id, mass * scale))
            .unzip();
        Some(TargetTerm {
            weight: 1.0,
            ids,
            probabilities,
            tail,
        })
    }
}

fn leading_space(text: &[u8]) -> usize {
    text.len() - text.trim_ascii_start().len()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use limbeck_model::testing::tiny_tokenizer;

    /// A teacher whose ids are the student's plus 1000.
    fn teacher_ids(tokenizer: &Tokenizer) -> Vec<u32> {
        (1000..).take(tokenizer.vocab_size()).collect()
    }

    fn written(tokenizer: &Tokenizer, text: &str, end: Option<u32>) -> Vec<TeacherToken> {
        let ids = tokenizer.encode(text, false).into_iter().chain(end);
        ids.map(|id| TeacherToken {
            id: id + 1000,
            top: vec![
                (id + 1000, 0.5f32.ln()),
                (1001, 0.125f32.ln()),
                (1002, 0.125f32.ln()),
                (9, 0.2f32.ln()),
            ],
        })
        .collect()
    }

    #[test]
    fn candidates_are_translated_merged_and_the_rest_is_the_tail() {
        let tokenizer = tiny_tokenizer();
        let candidates = Candidates::new(&tokenizer, &teacher_ids(&tokenizer)).unwrap();
        let answer = tokenizer.encode("the end", false);
        let terms = candidates.terms("the end", &answer, &written(&tokenizer, "the end", Some(2)));
        assert_eq!(terms.len(), answer.len() + 1);
        let first = terms[0].as_ref().unwrap();
        // 1001 and 1002 are control tokens: both mean the end, token 0. Token 9 of the teacher is unknown.
        assert_eq!(first.ids, [answer[0], 0]);
        assert!(
            (first.probabilities[0] - 0.5).abs() < 1e-6
                && (first.probabilities[1] - 0.25).abs() < 1e-6
        );
        assert!((first.tail - 0.25).abs() < 1e-6);
        let last = terms.last().unwrap().as_ref().unwrap();
        assert_eq!(last.ids, [0]);
        assert!((last.probabilities[0] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn texts_that_were_cut_or_trimmed_use_what_still_lines_up() {
        let tokenizer = tiny_tokenizer();
        let candidates = Candidates::new(&tokenizer, &teacher_ids(&tokenizer)).unwrap();
        let known = |text: &str, wrote: &str, end| {
            let answer = tokenizer.encode(text, false);
            let terms = candidates.terms(text, &answer, &written(&tokenizer, wrote, end));
            terms.iter().map(Option::is_some).collect::<Vec<_>>()
        };
        // Cut: the teacher went on, so nothing is known about the end.
        assert_eq!(known("ab", "abc", None), [true, true, false]);
        // Trimmed: a space that the answer lost does not shift what follows.
        assert_eq!(known("xb", " xb", Some(0)), [true, true, true]);
        // Another text altogether from the second character on.
        assert_eq!(known("xyz", "xbz", Some(0)), [true, false, false, false]);
        assert_eq!(known("x", "", None), [false, false]);
    }

    #[test]
    fn a_table_of_another_length_is_refused() {
        let tokenizer = tiny_tokenizer();
        assert!(matches!(
            Candidates::new(&tokenizer, &[1, 2]),
            Err(TrainError::TeacherIds { found: 2, .. })
        ));
    }
}
