//! Redaction: what the detectors of the privacy audit meet is replaced by placeholders such as `[handle]`, or by what a
//! recipe says instead.
//!
//! Detector, version and counts are kept, never what was met. In what comes out the detectors that were asked for meet
//! nothing, so that redacting it again changes nothing.

mod own;
#[cfg(test)]
mod own_tests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::own::Placed;
use crate::audit::privacy::{self, Detector};
use crate::curate::Candidate;

/// A recipe asks for something that nothing detects.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// There is no such detector.
    #[error("there is no detector `{name}`")]
    Unknown {
        /// The name given.
        name: String,
        /// All names.
        known: Vec<&'static str>,
    },
    /// A placeholder for something that is not replaced.
    #[error("there is a placeholder for `{name}`, which is not replaced")]
    NotReplaced {
        /// The name given.
        name: String,
        /// The names of what is replaced.
        replaced: Vec<&'static str>,
    },
    /// A placeholder that could be taken for something that is to be replaced.
    #[error("`{placeholder}` cannot stand in place of what `{name}` meets: {reason}")]
    Placeholder {
        /// The detector.
        name: String,
        /// The placeholder given.
        placeholder: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A detector's expression cannot be compiled.
    #[error("a detector is broken")]
    Detector(#[from] regex::Error),
}

/// What one detector had replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The detector's name.
    pub detector: String,
    /// Its version.
    pub version: u32,
    /// What it met, in words.
    pub what: String,
    /// How many were replaced.
    pub matches: u64,
    /// How many items, such as rows or answers, held any.
    pub items: u64,
    /// What stands in their place, where it is not the detector's own placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
}

impl Replaced {
    /// The detector, its version and a placeholder of the recipe's: what decides how a text comes out.
    pub fn identity(&self) -> Value {
        identity(&self.detector, self.version, self.placeholder.as_deref())
    }
}

/// Replaces what the detectors that a recipe names meet; nothing where it names none.
#[derive(Clone, Default)]
pub struct Redactor {
    detectors: Arc<[Box<dyn Detector>]>,
    /// By the place of the detector: what the recipe says instead of its placeholder. Empty where it says nothing.
    own: Arc<[Option<String>]>,
}

/// How many were replaced, over many items.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By the place of the detector: matches, and items that held any.
    all: Vec<(u64, u64)>,
    items: u64,
}

/// What is to be replaced in a text, and the place of the detector that met it.
struct Met {
    at: Range<usize>,
    detector: usize,
}

impl Redactor {
    /// With the detectors of these names.
    pub fn new(names: &[String]) -> Result<Self, RedactError> {
        let mut detectors = privacy::replaceable()?;
        let known: Vec<_> = detectors.iter().map(|detector| detector.name()).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(RedactError::Unknown {
                name: name.clone(),
                known,
            });
        }
        detectors.retain(|detector| names.iter().any(|name| name == detector.name()));
        Ok(Self {
            detectors: detectors.into(),
            own: Arc::default(),
        })
    }

    /// Whether nothing is ever replaced.
    pub fn is_off(&self) -> bool {
        self.detectors.is_empty()
    }

    /// Names and versions of the detectors, and the recipe's placeholders: what decides how a text comes out.
    pub fn identity(&self) -> Vec<Value> {
        let detectors = self.detectors.iter().enumerate();
        detectors
            .map(|(place, one)| identity(one.name(), one.version(), self.own_placeholder(place)))
            .collect()
    }

    /// `text` with placeholders. What is replaced is added to `counts`.
    ///
    /// What a replacement lays bare is replaced as well: each pass over the text takes out at least one character that
    /// is in no placeholder, and the last one finds nothing.
    pub fn text<'t>(&self, text: &'t str, counts: &mut Counts) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        loop {
            let mut placed = Vec::new();
            loop {
                let met = self.meet(&text);
                if met.is_empty() {
                    break;
                }
                for Met { detector, .. } in &met {
                    counts.matched(*detector);
                }
                text = Cow::Owned(self.replace(&text, &met, &mut placed));
            }
            // Nothing meets a detector's own placeholder. Beside one of the recipe's something may be met again.
            if self.own.is_empty() || placed.is_empty() {
                return text;
            }
            text = Cow::Owned(self.own_words(&text, &placed));
        }
    }

    /// `text` with a detector's own placeholder for each that was met, which is added to those that were `placed`.
    fn replace(&self, text: &str, met: &[Met], placed: &mut Vec<Placed>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut all = Vec::with_capacity(placed.len() + met.len());
        let mut before = placed.iter().peekable();
        let mut done = 0;
        for Met { at, detector } in met {
            while let Some(one) = before.next_if(|one| one.at < at.start) {
                all.push(one.moved(done, out.len()));
            }
            // A placeholder is met as a whole or not at all.
            while before.next_if(|one| one.at < at.end).is_some() {}
            out.push_str(&text[done..at.start]);
            all.push(Placed {
                at: out.len(),
                detector: *detector,
            });
            out.push_str(self.detectors[*detector].placeholder());
            done = at.end;
        }
        all.extend(before.map(|one| one.moved(done, out.len())));
        out.push_str(&text[done..]);
        *placed = all;
        out
    }

    /// Redacts what a student would learn from one trace. A label is none of it: it is the recipe's own word.
    pub fn candidate(&self, candidate: &mut Candidate, counts: &mut Counts) {
        counts.item(|counts| {
            if let Cow::Owned(input) = self.text(&candidate.input, counts) {
                candidate.item = Candidate::item_of(&input);
                candidate.input = input;
            }
            if candidate.choices.is_none()
                && let Cow::Owned(answer) = self.text(&candidate.answer, counts)
            {
                candidate.answer = answer;
                candidate.redacted = true;
            }
        });
    }

    /// What `counts` come to: an entry for every detector, also for those that met nothing.
    pub fn replaced(&self, counts: &Counts) -> Vec<Replaced> {
        let counted = counts.all.iter().copied().chain(std::iter::repeat((0, 0)));
        let detectors = self.detectors.iter().enumerate().zip(counted);
        detectors
            .map(|((place, detector), (matches, items))| Replaced {
                detector: detector.name().to_owned(),
                version: detector.version(),
                what: detector.what().to_owned(),
                matches,
                items,
                placeholder: self.own_placeholder(place).map(str::to_owned),
            })
            .collect()
    }

    /// Everything that is to be replaced, from left to right. Of what begins at the same place the longest counts, and
    /// what overlaps goes together, so that no end of anything stays.
    fn meet(&self, text: &str) -> Vec<Met> {
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        for (place, detector) in self.detectors.iter().enumerate() {
            found.extend(detector.look(text).into_iter().map(|at| (at, place)));
        }
        found.sort_by_key(|(at, place)| (at.start, Reverse(at.end), *place));
        let mut met: Vec<Met> = Vec::new();
        for (at, detector) in found {
            let done = met.last().map_or(0, |last| last.at.end);
            // A placeholder before it is to a detector what the beginning of a text is.
            let before = &text[done.min(at.start)..at.start];
            if !self.detectors[detector].is_one(&text[at.clone()], before, &text[at.end..]) {
                continue;
            }
            match met.last_mut() {
                Some(last) if at.start < done => last.at.end = done.max(at.end),
                _ => met.push(Met { at, detector }),
            }
        }
        met
    }
}

fn identity(detector: &str, version: u32, placeholder: Option<&str>) -> Value {
    match placeholder {
        None => json!([detector, version]),
        Some(placeholder) => json!([detector, version, placeholder]),
    }
}

impl Counts {
    /// Counts what `replace` replaces as that of one item.
    pub fn item<T>(&mut self, replace: impl FnOnce(&mut Self) -> T) -> T {
        let mut one = Self::default();
        let result = replace(&mut one);
        for (detector, (matches, _)) in one.all.into_iter().enumerate() {
            let sum = self.of(detector);
            sum.0 += matches;
            sum.1 += u64::from(matches > 0);
        }
        self.items += 1;
        result
    }

    /// How many items were looked at.
    pub fn items(&self) -> u64 {
        self.items
    }

    fn matched(&mut self, detector: usize) {
        self.of(detector).0 += 1;
    }

    fn of(&mut self, detector: usize) -> &mut (u64, u64) {
        if self.all.len() <= detector {
            self.all.resize(detector + 1, (0, 0));
        }
        &mut self.all[detector]
    }
}
