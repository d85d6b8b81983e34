//! An answer while it is read: what every dialect fills in, and what is made of it at the end.

use super::json::note;
use super::think;
use crate::wire::failure::tidy;
use crate::wire::{Failure, FailureKind, Finish, Oddity, Retraction, Usage, WireAnswer, WireToken};

/// What has been read of an answer.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) reasoning: String,
    /// What was put in place of the answer.
    pub(super) refusal: String,
    /// Why it ended, and the service's word for it.
    pub(super) finish: Option<(Finish, String)>,
    /// Nothing more belongs to the answer.
    pub(super) done: bool,
    /// Something of an answer was there, however empty.
    pub(super) answered: bool,
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) system_fingerprint: Option<String>,
    pub(super) tokens: Vec<WireToken>,
    /// What is wrong with the tokens' log-probabilities.
    pub(super) broken_tokens: Option<String>,
    /// The service broke the answer off with this.
    pub(super) failure: Option<Failure>,
    pub(super) oddities: Vec<Oddity>,
}

impl Draft {
    /// Something was said.
    pub(super) fn has_begun(&self) -> bool {
        !self.text.is_empty() || !self.reasoning.is_empty()
    }

    /// What it all came to. `open_in_prompt`: see [`think::split`].
    pub(super) fn finish(
        mut self,
        open_in_prompt: bool,
        request_id: Option<String>,
    ) -> Result<WireAnswer, Failure> {
        self.split_reasoning(open_in_prompt);
        self.check_usage();
        let usage = (self.usage != Usage::default()).then(|| Box::new(self.usage));
        let result = self.conclude(request_id.clone());
        result.map_err(|failure| Failure {
            usage,
            request_id,
            ..failure
        })
    }

    fn conclude(mut self, request_id: Option<String>) -> Result<WireAnswer, Failure> {
        let retraction = match self.take_failure()? {
            Some(retraction) => Some(retraction),
            None => self.retraction()?,
        };
        if !self.answered && retraction.is_none() {
            let message = "the response holds no answer";
            return Err(Failure::transport(FailureKind::Malformed, message));
        }
        if self.finish.is_none() {
            note(&mut self.oddities, Oddity::NoFinish);
        }
        if let Some(what) = self.broken_tokens {
            self.tokens.clear();
            note(&mut self.oddities, Oddity::LogProbabilities { what });
        }
        Ok(WireAnswer {
            text: self.text,
            reasoning: (!self.reasoning.is_empty()).then_some(self.reasoning),
            finish: self.finish.map(|(finish, _)| finish).unwrap_or_default(),
            retraction,
            usage: self.usage,
            model: self.model,
            response_id: self.response_id,
            request_id,
            system_fingerprint: self.system_fingerprint,
            tokens: self.tokens,
            oddities: self.oddities,
        })
    }

    /// An error that broke the answer off. One of policy after something was said takes that back; any other is
    /// where it ends.
    fn take_failure(&mut self) -> Result<Option<Retraction>, Failure> {
        let Some(failure) = self.failure.take() else {
            return Ok(None);
        };
        let finish = match failure.kind {
            FailureKind::Policy => Finish::ContentFilter,
            FailureKind::Refused => Finish::Refusal,
            _ => return Err(failure),
        };
        if !self.has_begun() {
            return Err(failure);
        }
        let reason = failure
            .code
            .unwrap_or_else(|| failure.kind.name().to_owned());
        self.finish = Some((finish, reason.clone()));
        Ok(Some(Retraction {
            reason,
            message: Some(failure.message),
        }))
    }

    /// A refusal or a filter takes back what was said; if nothing was, there is no answer.
    fn retraction(&mut self) -> Result<Option<Retraction>, Failure> {
        let refusal = std::mem::take(&mut self.refusal);
        if !refusal.is_empty() && !matches!(self.finish, Some((Finish::ContentFilter, _))) {
            self.finish = Some((Finish::Refusal, "refusal".to_owned()));
        }
        let (kind, reason) = match &self.finish {
            Some((Finish::Refusal, reason)) => (FailureKind::Refused, reason.clone()),
            Some((Finish::ContentFilter, reason)) => (FailureKind::Policy, reason.clone()),
            _ => return Ok(None),
        };
        let message = (!refusal.is_empty()).then_some(refusal);
        if self.has_begun() {
            return Ok(Some(Retraction { reason, message }));
        }
        let said = message.as_deref().unwrap_or("nothing was said");
        let mut failure = Failure::transport(kind, &tidy(said));
        failure.code = Some(reason);
        Err(failure)
    }

    /// Moves reasoning between tags out of the text, and leaves the tokens that spell the rest. Whitespace between
    /// reasoning and text belongs to neither.
    fn split_reasoning(&mut self, open_in_prompt: bool) {
        let split = if self.reasoning.is_empty() {
            think::split(&self.text, open_in_prompt)
        } else {
            None
        };
        let blank = if self.reasoning.is_empty() {
            0
        } else {
            self.text.len() - self.text.trim_start().len()
        };
        let start = split.map_or(blank, |(start, _)| start);
        if !self.tokens.is_empty()
            && let Err(what) = spell(&mut self.tokens, &self.text, start)
        {
            self.broken_tokens = Some(what.to_owned());
        }
        if let Some((_, thought)) = split {
            self.reasoning = thought.to_owned();
        }
        self.text.drain(..start);
    }

    /// No tokens written where something was said cannot be true, and would make the answer free.
    fn check_usage(&mut self) {
        if self.usage.output == Some(0) && self.has_begun() {
            self.usage.output = None;
            let (field, value) = ("output tokens".to_owned(), "0".to_owned());
            note(&mut self.oddities, Oddity::Usage { field, value });
        }
    }
}

/// Leaves those of `tokens` that spell `text` from byte `start` on. Log-probabilities that stand beside other words
/// than their own would teach nonsense, so tokens that do not spell it are an error.
fn spell(tokens: &mut Vec<WireToken>, text: &str, start: usize) -> Result<(), &'static str> {
    let mut spelled = Vec::with_capacity(text.len());
    for token in tokens.iter() {
        spelled.extend_from_slice(&token.bytes);
    }
    let indent = |bytes: &[u8]| bytes.len() - bytes.trim_ascii_start().len();
    // Services strip whitespace around a text and cut stop texts off, but leave the tokens.
    if !spelled
        .trim_ascii_start()
        .starts_with(text.as_bytes().trim_ascii())
    {
        return Err("the tokens do not spell the text");
    }
    let begin = (indent(&spelled) + start).saturating_sub(indent(text.as_bytes()));
    let end = begin + text.len() - start;
    let mut place = 0;
    let mut first = None;
    tokens.retain(|token| {
        let (from, to) = (place, place + token.bytes.len());
        place = to;
        let within = to > begin && from < end;
        if within && first.is_none() {
            first = Some(from);
        }
        within
    });
    let shared = spelled
        .get(first.unwrap_or(begin)..begin)
        .unwrap_or_default();
    if shared.trim_ascii().is_empty() {
        Ok(())
    } else {
        Err("a token belongs to the reasoning and to the text")
    }
}
