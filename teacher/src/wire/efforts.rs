//! The efforts of thinking that a model tells apart.

use limbeck_store::Reasoning;
use serde::Deserialize;

/// Efforts of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Reasoning>")]
pub(super) struct Efforts([bool; EFFORTS.len()]);

/// From none to the most.
const EFFORTS: [Reasoning; 7] = [
    Reasoning::Off,
    Reasoning::Minimal,
    Reasoning::Low,
    Reasoning::Medium,
    Reasoning::High,
    Reasoning::Xhigh,
    Reasoning::Max,
];

impl TryFrom<Vec<Reasoning>> for Efforts {
    type Error = String;

    fn try_from(listed: Vec<Reasoning>) -> Result<Self, Self::Error> {
        if let Some(other) = listed.iter().find(|one| !EFFORTS.contains(one)) {
            return Err(format!("{other:?} is no effort"));
        }
        Ok(Self(EFFORTS.map(|effort| listed.contains(&effort))))
    }
}

impl Efforts {
    /// Whether `reasoning` is one of them. A budget of nothing is off.
    pub(super) fn take(self, reasoning: Reasoning) -> bool {
        let wanted = match reasoning {
            Reasoning::Budget(0) => Reasoning::Off,
            reasoning => reasoning,
        };
        let mut efforts = EFFORTS.iter().zip(self.0);
        efforts.any(|(effort, taken)| taken && *effort == wanted)
    }

    /// As a recipe writes them: `off, low or high`.
    pub(super) fn names(self) -> String {
        let taken = EFFORTS.iter().zip(self.0).filter(|(_, taken)| *taken);
        let mut names: Vec<&str> = taken
            .map(|(effort, _)| match effort {
                Reasoning::Off => "off",
                effort => effort.effort().unwrap_or_default(),
            })
            .collect();
        let last = names.pop().unwrap_or_default();
        match names.as_slice() {
            [] => last.to_owned(),
            names => format!("{} or {last}", names.join(", ")),
        }
    }
}
