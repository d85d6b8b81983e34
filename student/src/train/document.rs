//! One example as tokens and targets.

use limbeck_model::Tokenizer;
use limbeck_model::differentiable::{HeadTarget, TargetTerm};

use super::candidates::Candidates;
use super::labels::Labels;
use super::{Objective, TrainError};
use crate::example::{END_OF_ANSWER, END_OF_INPUT, Example, START_OF_INPUT, Target};

/// An example in the student's form: `<|im_start|>` input `<|im_end|>` answer `<|endoftext|>`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// All tokens, the last of which is only ever predicted.
    pub tokens: Vec<u32>,
    /// Place of `<|im_end|>`, which predicts the first token of the answer.
    pub input_end: usize,
    /// What each place from `input_end` on should predict: the answer's tokens and its end.
    pub answer: Vec<HeadTarget>,
    /// The answer is a text, so that language modelling may learn it too.
    pub answer_is_text: bool,
}

impl Document {
    /// `input` with its marks, followed by the answer and what its places should predict.
    fn new(
        input: Vec<u32>,
        answer_tokens: &[u32],
        answer: Vec<HeadTarget>,
        answer_is_text: bool,
    ) -> Self {
        let input_end = input.len() - 1;
        let mut tokens = input;
        tokens.extend_from_slice(answer_tokens);
        Self {
            tokens,
            input_end,
            answer,
            answer_is_text,
        }
    }

    /// Places that the model reads: all but the last token.
    pub fn length(&self) -> usize {
        self.tokens.len() - 1
    }
}

/// What became of an example.
#[derive(Debug)]
pub(super) enum Encoded {
    /// It can be learnt.
    Learnable {
        document: Document,
        /// For labels: one document a choice, to judge which is the most probable.
        labels: Option<LabelDocuments>,
        /// The objective asks for the teacher's candidates and there are none.
        without_candidates: bool,
    },
    /// A text for language modelling alone.
    Unlabelled(Document),
    TooLong,
    WithoutAnswer,
}

/// The choices of one example, each as a document with its own tokens as targets.
#[derive(Clone, Debug)]
pub(super) struct LabelDocuments {
    pub choices: Vec<Document>,
    /// The teacher's most probable choice.
    pub best: usize,
}

/// Turns examples into documents.
pub(super) struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    candidates: Option<Candidates<'a>>,
    objective: &'a Objective,
    context: usize,
    start: u32,
    end: u32,
}

impl<'a> Encoder<'a> {
    pub fn new(
        tokenizer: &'a Tokenizer,
        teacher_ids: Option<&[u32]>,
        objective: &'a Objective,
        context: usize,
    ) -> Result<Self, TrainError> {
        let mark = |token| {
            tokenizer
                .id_of(token)
                .ok_or(TrainError::MissingToken { token })
        };
        mark(END_OF_ANSWER)?;
        Ok(Self {
            tokenizer,
            candidates: teacher_ids
                .map(|ids| Candidates::new(tokenizer, ids))
                .transpose()?,
            objective,
            context,
            start: mark(START_OF_INPUT)?,
            end: mark(END_OF_INPUT)?,
        })
    }

    pub fn encode(&self, example: &Example) -> Result<Encoded, TrainError> {
        let mut tokens = vec![self.start];
        tokens.extend(self.tokenizer.encode(&example.input, false));
        tokens.push(self.end);
        let encoded = match &example.target {
            Target::Unlabelled => {
                let document = Document::new(tokens, &[], vec![], false);
                if self.fits(&document) {
                    Encoded::Unlabelled(document)
                } else {
                    Encoded::TooLong
                }
            }
            Target::Text(text) => self.text(tokens, text, None),
            Target::TextWithTop {
                text,
                tokens: teacher,
            } => {
                let answer = self.tokenizer.encode(text, false);
                let terms = self
                    .candidates
                    .as_ref()
                    .map(|candidates| candidates.terms(text, &answer, teacher));
                self.text(tokens, text, terms)
            }
            Target::Labels {
                choices,
                probabilities,
            } => {
                let labels =
                    Labels::new(self.tokenizer, choices, probabilities).map_err(|reason| {
                        TrainError::Example {
                            id: example.id.clone(),
                            reason,
                        }
                    })?;
                self.labels(&tokens, labels)
            }
        };
        Ok(encoded)
    }

    fn text(&self, input: Vec<u32>, text: &str, terms: Option<Vec<Option<TargetTerm>>>) -> Encoded {
        let mut answer = self.tokenizer.encode(text, false);
        if answer.is_empty() {
            return Encoded::WithoutAnswer;
        }
        answer.push(self.tokenizer.eos());
        let known = terms
            .as_ref()
            .is_some_and(|terms| terms.iter().any(Option::is_some));
        let mut terms = terms.unwrap_or_default().into_iter();
        let Objective {
            cross_entropy,
            forward_kl,
        } = *self.objective;
        let targets = answer
            .iter()
            .map(|&token| {
                let soft = terms
                    .next()
                    .flatten()
                    .unwrap_or_else(|| TargetTerm::token(token, 1.0));
                target([
                    TargetTerm::token(token, cross_entropy),
                    TargetTerm {
                        weight: forward_kl,
                        ..soft
                    },
                ])
            })
            .collect();
        let document = Document::new(input, &answer, targets, true);
        if !self.fits(&document) {
            return Encoded::TooLong;
        }
        Encoded::Learnable {
            document,
            labels: None,
            without_candidates: forward_kl > 0.0 && !known,
        }
    }

    fn labels(&self, input: &[u32], labels: Option<Labels>) -> Encoded {
        let Some(labels) = labels else {
            return Encoded::WithoutAnswer;
        };
        let choices: Vec<Document> = labels
            .choices
            .iter()
            .map(|choice| {
                let hard = choice
                    .iter()
                    .map(|&token| target([TargetTerm::token(token, 1.0)]))
                    .collect();
                Document::new(input.to_vec(), choice, hard, false)
            })
            .collect();
        if !choices.iter().all(|document| self.fits(document)) {
            return Encoded::TooLong;
        }
        let Objective {
            cross_entropy,
            forward_kl,
        } = *self.objective;
        let answer = labels
            .path()
            .map(|(token, distribution)| {
                let (ids, probabilities) = distribution.into_iter().unzip();
                let soft = TargetTerm {
                    weight: forward_kl,
                    ids,
                    probabilities,
                    tail: 0.0,
                };
                target([TargetTerm::token(token, cross_entropy), soft])
            })
            .collect();
        Encoded::Learnable {
            document: Document::new(input.to_vec(), &labels.choices[labels.best], answer, false),
            labels: Some(LabelDocuments {
                choices,
                best: labels.best,
            }),
            without_candidates: false,
        }
    }

    fn fits(&self, document: &Document) -> bool {
        document.length() <= self.context
    }
}

/// The terms that have a weight.
fn target<const N: usize>(terms: [TargetTerm; N]) -> HeadTarget {
    HeadTarget {
        terms: terms.into_iter().filter(|term| term.weight > 0.0).collect(),
    }
}
