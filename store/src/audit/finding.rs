//! What an audit finds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AppliedRule, Waiver};

/// What is looked at. Each area has a bit of the exit code of its own, so that a job can tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Whether the terms that answers were given under allow what is meant to be done with them.
    Terms,
    /// The licences of weights, prompts and student.
    Licences,
    /// Whether everything can be followed back to requests.
    Provenance,
    /// Whether anything was changed, taken out, put in or moved.
    Integrity,
    /// How services were treated.
    Conduct,
    /// Personal data and secrets.
    Privacy,
}

impl Area {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 6] = [
        Self::Terms,
        Self::Licences,
        Self::Provenance,
        Self::Integrity,
        Self::Conduct,
        Self::Privacy,
    ];

    /// The bit of the exit code that says that something of this area is denied.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The name as it is given and written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terms => "terms",
            Self::Licences => "licences",
            Self::Provenance => "provenance",
            Self::Integrity => "integrity",
            Self::Conduct => "conduct",
            Self::Privacy => "privacy",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Note,
    /// To be looked at; nothing fails by it.
    Warning,
    /// What was meant to be done is not to be done.
    Deny,
}

impl Level {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Deny => "deny",
        }
    }
}

/// One thing that an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is called for ever, such as `terms::denied`: recipes allow, warn or deny by it.
    pub code: String,
    /// Where it belongs.
    pub area: Area,
    /// How grave it is.
    pub level: Level,
    /// What was found, about what: names the trace, file, route or key.
    pub message: String,
    /// The way by which the item came in, from what is shipped to where it began: model, dataset, traces, route, terms.
    pub path: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// What a rule of the recipe made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<AppliedRule>,
    /// The waiver by which training and export go on although it is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waiver>,
}

impl Finding {
    /// A finding of `area` called `name`, without a way or help.
    pub fn new(area: Area, name: &str, level: Level, message: impl Into<String>) -> Self {
        Self {
            code: format!("{area}::{name}"),
            area,
            level,
            message: message.into(),
            path: Vec::new(),
            help: None,
            rule: None,
            waiver: None,
        }
    }

    /// Adds a step to the way by which the item came in.
    #[must_use]
    pub fn via(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_the_exit_code_are_those_that_are_documented() {
        let bits = Area::ALL.map(Area::bit);
        assert_eq!(bits, [1, 2, 4, 8, 16, 32]);
    }

    #[test]
    fn a_code_names_its_area() {
        let finding = Finding::new(Area::Terms, "denied", Level::Deny, "no").via("model `a`");
        assert_eq!(finding.code, "terms::denied");
        assert_eq!(finding.path, ["model `a`"]);
    }
}
