//! Privacy: personal data and secrets in what was asked and answered.
//!
//! A [`Detector`] counts; it never gives out what it met, and neither does a finding. What a pattern cannot see, such
//! as a name or a street, is not counted: no finding does not mean that nothing personal is there.

mod checksum;
mod patterns;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Area, Finding, Level};

pub use patterns::{detectors, replaceable};

/// Something that meets one kind of personal data or secret in a text.
pub trait Detector: Send + Sync {
    /// A short stable name, which is the name of the finding as well.
    fn name(&self) -> &'static str;
    /// Raised when it counts otherwise than before.
    fn version(&self) -> u32;
    /// What it counts, in words, for more than one.
    fn what(&self) -> &'static str;
    /// How grave it is to meet one.
    fn level(&self) -> Level;
    /// What stands in a text in place of one that was taken out, in brackets: `[handle]`.
    fn placeholder(&self) -> &'static str;
    /// Where something stands in `text` that looks like one, from left to right and without overlap.
    fn look(&self, text: &str) -> Vec<Range<usize>>;
    /// Whether what was found between `before` and `after` is one.
    fn is_one(&self, found: &str, before: &str, after: &str) -> bool;
    /// How many there are in `text`.
    fn count(&self, text: &str) -> u64 {
        let found = self.look(text).into_iter();
        let ones = found.filter(|at| {
            let (before, after) = (&text[..at.start], &text[at.end..]);
            self.is_one(&text[at.clone()], before, after)
        });
        ones.count() as u64
    }
}

/// What one detector met in one kind of text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Met {
    matches: u64,
    texts: u64,
}

/// Counts over many texts, a few at a time.
pub struct PrivacyCounts {
    detectors: Vec<Box<dyn Detector>>,
    /// By the kind of text and the place of the detector.
    met: BTreeMap<(&'static str, usize), Met>,
    texts: BTreeMap<&'static str, u64>,
}

impl PrivacyCounts {
    /// Nothing counted yet.
    pub fn new(detectors: Vec<Box<dyn Detector>>) -> Self {
        Self {
            detectors,
            met: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Counts in one item of a `kind` such as `prompts`, which may have several parts.
    pub fn add<'a>(&mut self, kind: &'static str, parts: impl IntoIterator<Item = &'a str>) {
        let parts: Vec<&str> = parts.into_iter().collect();
        *self.texts.entry(kind).or_default() += 1;
        for (place, detector) in self.detectors.iter().enumerate() {
            let matches: u64 = parts.iter().map(|part| detector.count(part)).sum();
            if matches > 0 {
                let met = self.met.entry((kind, place)).or_default();
                met.matches += matches;
                met.texts += 1;
            }
        }
    }

    /// One finding for each detector and kind of text in which it met something.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .met
            .iter()
            .filter_map(|((kind, place), met)| {
                let detector = self.detectors.get(*place)?;
                let all = self.texts.get(kind)?;
                let message = format!(
                    "{} in {} of {all} {kind}: {} (detector `{}`, version {})",
                    detector.what(),
                    met.texts,
                    met.matches,
                    detector.name(),
                    detector.version(),
                );
                let finding =
                    Finding::new(Area::Privacy, detector.name(), detector.level(), message)
                        .via(*kind);
                Some(match detector.level() {
                    Level::Deny => finding.help(
                        "take them out of the source, withdraw those that are real, and harvest again",
                    ),
                    _ => finding.help(
                        "take them out of the source if they are not needed; the student may repeat them",
                    ),
                })
            })
            .collect();
        findings.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.code.cmp(&b.code)));
        findings
    }
}
